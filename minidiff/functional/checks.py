"""What operations want of shapes, axes and indices, and the errors that say so."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from minidiff.engine.backend import array_module

_waits = ContextVar("index_checks_wait", default=True)


@contextmanager
def nan_for_wrong_indices():
    """Inside, a wrong index on a GPU makes the result NaN instead of an IndexError: to raise one, Python would have to wait for the GPU.

    For training loops and CUDA graphs. Arrays on the CPU are checked as ever.
    """
    token = _waits.set(False)
    try:
        yield
    finally:
        _waits.reset(token)


def check_broadcast(name, *values):
    """Raise TypeError for arrays of two libraries, ValueError for shapes that do not broadcast; numbers go with everything."""
    array_module(*values)
    shapes = [getattr(value, "shape", ()) for value in values]
    if shapes.count(shapes[0]) < len(shapes):
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            listed = f"{', '.join(map(str, shapes[:-1]))} and {shapes[-1]}"
            raise ValueError(f"{name}: shapes {listed} do not broadcast (from the right, sizes must be equal or 1)") from None


def check_not_empty(name, shape, axes):
    """Raise ValueError if one of the axes has no elements."""
    for axis in axes:
        if shape[axis] == 0:
            raise ValueError(f"{name}: there is no number to reduce over axis {axis} of shape {shape}")


def check_axis(name, axis, ndim):
    """`axis` counted from the front.    Raises ValueError if an array of ndim axes has no such axis, TypeError for what is no int."""
    if not hasattr(axis, "__index__"):
        raise TypeError(f"{name}: axis must be an int, got {axis!r}")
    if not -ndim <= axis < ndim:
        raise ValueError(f"{name}: axis must be in {-ndim}..{ndim - 1} for {ndim} axes, got {axis}")
    return axis % ndim


def check_axes(name, axis, ndim):
    """An int, a tuple of ints or None (all axes) as a tuple of axes counted from the front, each once."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(check_axis(name, a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: axis names an axis twice: {axis}")
    return axes


def check_index_range(name, indices, size, lowest=None, waits=False):
    """Raise IndexError unless all indices are in lowest..size-1 (lowest is -size if not given: negative ones count from the end).

    Inside `nan_for_wrong_indices`, for indices on a GPU, unless it `waits` (what they choose can't be NaN): -> a number to be added to
    what they choose, 0 or NaN. Else None.
    """
    if not indices.size:
        return None
    lowest = -size if lowest is None else lowest
    xp = array_module(indices)
    if xp is not np and not (_waits.get() or waits):
        return xp.where(((indices >= lowest) & (indices < size)).all(), xp.float32(0), xp.float32(xp.nan))
    low, high = int(indices.min()), int(indices.max())
    if low < lowest or high >= size:
        raise IndexError(f"{name}: indices must be in {lowest}..{size - 1}, got {low}..{high}")
    return None


def poisoned(y, nan_or_0):
    """y + nan_or_0, which `check_index_range` returned, in y's dtype."""
    return y if nan_or_0 is None else y + nan_or_0.astype(y.dtype)
