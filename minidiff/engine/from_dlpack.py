"""Arrays of other libraries as Tensors, on the same memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidiff.engine import backend
from minidiff.engine.tensor import Tensor

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13  # DLPack's numbers of the kinds of device
HOST = (CPU, CUDA_HOST)


def from_dlpack(x: Any) -> Tensor:
    """A Tensor on the memory of an array or tensor of another library, without a copy.

        weights = md.from_dlpack(torch_tensor.detach())

    x: any object of the DLPack protocol: a tensor of PyTorch, an array of NumPy, CuPy or JAX.
    Whatever one side writes, the other sees. The result requires no gradient. Where the other
    side edits values that a live graph needs, backward() raises a RuntimeError (in main memory).

    Raises: TypeError if x has no DLPack protocol; ValueError for another device than the main
    memory and CUDA; BufferError if the library refuses, as PyTorch does for a gradient.
    """
    if not hasattr(x, "__dlpack__") or not hasattr(x, "__dlpack_device__"):
        raise TypeError(
            f"from_dlpack: wanted an array of a library that speaks DLPack, got {type(x).__name__}"
        )
    kind, number = map(int, x.__dlpack_device__())
    if kind in HOST:
        return Tensor(np.from_dlpack(x))
    if kind in (CUDA, CUDA_MANAGED):
        with backend.on_device(f"cuda:{number}"):
            return Tensor(backend.module_of_device("cuda").from_dlpack(x))
    raise ValueError(
        f"from_dlpack: wanted an array in the main memory or on CUDA, got DLPack's device kind "
        f"{kind}: copy it to the CPU first"
    )
