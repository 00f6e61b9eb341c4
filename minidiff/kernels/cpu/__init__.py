"""Fast forms of operations on a CPU: in NumPy, and in C++ if that is built (native.py)."""

from minidiff.kernels.cpu import native_naive  # isort: skip  (the slowest)

from minidiff.kernels.cpu import (  # isort: skip
    attention,
    conv2d,
    conv_transpose2d,
    group_norm,
)

from minidiff.kernels.cpu import (  # isort: skip  (faster than those before)
    native_attention,
    native_conv2d,
    native_group_norm,
)

__all__ = [
    "attention", "conv2d", "conv_transpose2d", "group_norm",
    "native_attention", "native_conv2d", "native_group_norm", "native_naive",
]  # fmt: skip
