"""Memory of the fast NumPy kernels: channels last under (N, C, H, W), and arrays used again.

The numbers of one pixel lie side by side, so that a convolution copies and multiplies runs of C
numbers. The shape (N, C, H, W) is a view of that, which NumPy's elementwise operations keep.
Nothing outside of the kernels needs to know.
"""

from __future__ import annotations

import math
import threading

import numpy as np

from minidiff.engine.backend import array_module

CACHE_LINE = 64  # bytes
_of_this_thread = threading.local()


def channels_last(x):
    """(N, C, H, W) -> (N, H, W, C), contiguous: a view if x lies that way already, else a copy."""
    return array_module(x).ascontiguousarray(x.transpose(0, 2, 3, 1))


def channels_first(x):
    """(N, H, W, C) -> (N, C, H, W), a view."""
    return x.transpose(0, 3, 1, 2)


def scratch(xp, name, shape, dtype):
    """An uninitialised array, valid until this thread asks for the same name again.

    A fresh array costs a page fault for every 4 KB, and is never in the cache; this one is. It
    starts at a cache line, which makes the processor's widest loads half as many.
    """
    if xp is not np:
        return xp.empty(shape, dtype)
    buffers = _of_this_thread.__dict__
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if name not in buffers or buffers[name].size < size:
        memory = np.empty(size + CACHE_LINE, np.uint8)
        buffers[name] = memory[-memory.ctypes.data % CACHE_LINE :]
    return buffers[name][:size].view(dtype).reshape(shape)


def chunks(n, most):
    """0..n-1 as slices of at most `most`, all about as long."""
    count = -(-n // max(most, 1))
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]
