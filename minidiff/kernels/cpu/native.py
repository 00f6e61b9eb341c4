"""The module of C++ kernels for this processor: csrc/cpu, compiled into minidiff._kernels_native.

native_conv2d.py, native_group_norm.py and native_attention.py call it. Each takes what its C++ is
faster at and raises Unsupported for the rest, which the NumPy kernels then compute.

MINIDIFF_CPU_VARIANT=avx512, avx2 or plain chooses a variant that is
not the processor's best, for tests.
"""

from __future__ import annotations

import importlib
import platform
from functools import cache
from types import ModuleType

import numpy as np

from minidiff.engine.registry import Unsupported


@cache
def load() -> tuple[ModuleType | None, str]:
    """The compiled module, or None and the reason why it cannot be used."""
    try:
        return importlib.import_module("minidiff._kernels_native"), ""
    except ImportError as problem:
        if problem.name == "minidiff._kernels_native":
            return None, "it is not built: installing minidiff with a C++ compiler builds it"
        return None, str(problem)


def is_faster() -> bool:
    """Whether the variant in use beats NumPy: its vectors must be as wide as NumPy's own."""
    module, _ = load()
    return module is not None and (
        module.lanes() > 4 or platform.machine() not in ("x86_64", "AMD64")
    )


def float32(**arrays) -> ModuleType:
    """The module, if all arrays are float32 and none is empty.    Raises: Unsupported if not."""
    module, reason = load()
    if module is None:
        raise Unsupported(reason)
    for name, array in arrays.items():
        if array is not None and array.dtype != np.float32:
            raise Unsupported(f"{name} is {array.dtype}, native kernels compute in float32")
        if array is not None and array.size == 0:
            raise Unsupported(f"{name} is empty")
    return module


def contiguous(array):
    """The array, or a copy whose elements lie in order. None stays None."""
    return None if array is None else np.ascontiguousarray(array)
