"""The hand-written kernels of csrc/, entered into the table of minidiff.dispatch.

    python -m minidiff                                  # which kernels are there
    with minidiff.use_kernels(conv2d="tiled"): ...      # this version of conv2d, on a GPU or emulated
    with minidiff.kernels.checks(): ...                 # emulated kernels with every memory access checked

The last version registered for an operation is the one that "auto" takes on a GPU.
"""

from minidiff.dispatch import register_kernel
from minidiff.kernels import convolution
from minidiff.kernels.native import checks, status
from minidiff.kernels.tf32 import allow_tf32

__all__ = ["allow_tf32", "checks", "status"]

for version in ("naive", "tiled", "tf32", "fast"):
    register_kernel("conv2d", version, convolution.conv2d(version))
    register_kernel("conv_transpose2d", version, convolution.conv_transpose2d(version))
