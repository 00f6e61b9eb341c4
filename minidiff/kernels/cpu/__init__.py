"""Fast forms of operations in NumPy: products of matrices, Winograd, and memory that is used again."""

from minidiff.kernels.cpu import attention, conv2d, conv_transpose2d, group_norm

__all__ = ["attention", "conv2d", "conv_transpose2d", "group_norm"]
