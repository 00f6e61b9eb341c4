"""What operations want of shapes, axes and indices, and the errors that say so."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from minidiff.engine.backend import array_module

_waits = ContextVar("index_checks_wait", default=True)


@contextmanager
def nan_for_wrong_indices():
    """Inside, a wrong index on a GPU makes the result NaN instead of an IndexError.

    To raise one, Python would have to wait for the GPU, which a CUDA graph cannot do.
    Arrays on the CPU are checked as ever.
    """
    token = _waits.set(False)
    try:
        yield
    finally:
        _waits.reset(token)


def check_broadcast(name, *values):
    """Numbers go with everything.

    Raises: TypeError for arrays of two libraries; ValueError if shapes do not broadcast.
    """
    array_module(*values)
    shapes = [getattr(value, "shape", ()) for value in values]
    if shapes.count(shapes[0]) < len(shapes):
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            listed = f"{', '.join(map(str, shapes[:-1]))} and {shapes[-1]}"
            raise ValueError(
                f"{name}: shapes {listed} do not broadcast "
                "(from the right, sizes must be equal or 1)"
            ) from None


def check_not_empty(name, shape, axes):
    """Raises: ValueError if one of the axes has no elements."""
    for axis in axes:
        if shape[axis] == 0:
            raise ValueError(
                f"{name}: there is no number to reduce over axis {axis} of shape {shape}"
            )


def check_axis(name, axis, ndim):
    """`axis` counted from the front.

    Raises: TypeError if it is not an int; ValueError if it is not one of the ndim axes.
    """
    if not hasattr(axis, "__index__"):
        raise TypeError(f"{name}: axis must be an int, got {axis!r}")
    if not -ndim <= axis < ndim:
        known = f"{-ndim}..{ndim - 1} for {ndim} axes"
        raise ValueError(f"{name}: axis must be in {known}, got {axis}")
    return axis % ndim


def check_axes(name, axis, ndim):
    """An int, a tuple of ints or None (all axes), as axes counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(check_axis(name, a, ndim) for a in given)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: axis names an axis twice: {axis}")
    return axes


def check_index_range(name, indices, size, lowest=None, waits=False):
    """None if all indices are in lowest..size-1; lowest is -size if it is not given.

    Inside `nan_for_wrong_indices`, for indices on a GPU: a number, 0 or NaN, to be added
    to what they choose. If that can't be NaN, `waits` asks for the error nevertheless.
    Raises: IndexError if one is outside.
    """
    if not indices.size:
        return None
    lowest = -size if lowest is None else lowest
    xp = array_module(indices)
    if xp is not np and not (_waits.get() or waits):
        inside = ((indices >= lowest) & (indices < size)).all()
        return xp.where(inside, xp.float32(0), xp.float32(xp.nan))
    low, high = int(indices.min()), int(indices.max())
    if low < lowest or high >= size:
        known = f"{lowest}..{size - 1}"
        raise IndexError(f"{name}: indices must be in {known}, got {low}..{high}")
    return None


def poisoned(y, nan_or_0):
    """y + nan_or_0, which `check_index_range` returned, in y's dtype."""
    return y if nan_or_0 is None else y + nan_or_0.astype(y.dtype)
