"""Checks of shapes, axes and indices, with the errors that say what an operation wants."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minidiff.engine.backend import array_module
from minidiff.engine.setting import Block, Setting

_waits = Setting("nan_for_wrong_indices", True)


def nan_for_wrong_indices() -> Block:
    """Inside, a wrong index on a GPU makes the result NaN instead of an IndexError.

    To raise one, Python would have to wait for the GPU, which a CUDA graph cannot do.
    Arrays on the CPU are checked as ever.
    """
    return _waits.block(False)


def check_choice(name: str, argument: str, value: Any, choices: Iterable[Any]) -> None:
    """Raises: ValueError, which lists the choices, if the value is not one of them."""
    known = tuple(choices)
    if value not in known:
        listed = ", ".join(map(str, known))
        raise ValueError(f"{name}: {argument} must be one of {listed}, got {value!r}")


def check_broadcast(name: str, *values: Any) -> Any:
    """The library of the arrays, NumPy or CuPy. Numbers go with everything.

    Raises: TypeError for arrays of two libraries; ValueError if shapes do not broadcast.
    """
    xp = array_module(*values)
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
    return xp


def check_floating(name: str, x: Any) -> None:
    """Raises: TypeError for integers and booleans."""
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: x must be floating-point, got {x.dtype}")


def check_contract(tensors: Sequence[Any], subscripts: str) -> None:
    """Raises: TypeError, ValueError for subscripts that do not name each axis by a letter."""
    array_module(*tensors)
    inputs, arrow, output = str(subscripts).partition("->")
    each = [*inputs.split(","), output]
    if not arrow or not all(letters.isalpha() or not letters for letters in each):
        raise ValueError(
            "einsum: subscripts must be letters with -> before those of the result, such as "
            f"'ij,jk->ik', got {subscripts!r}"
        )
    if any(len(set(letters)) < len(letters) for letters in each):
        raise ValueError(f"einsum: a letter may come once in each tensor, got {subscripts!r}")
    if [len(letters) for letters in each[:-1]] != [x.ndim for x in tensors]:
        shapes = ", ".join(str(x.shape) for x in tensors)
        raise ValueError(f"einsum: {subscripts!r} does not fit tensors of shapes {shapes}")


def is_int(value: Any) -> bool:
    """Whether it is a whole number of Python or NumPy; True and False are none."""
    if type(value) is int:
        return True
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, (bool, np.bool_))


def is_number(value: Any) -> bool:
    """Whether it is one real number of Python or NumPy; NaN, True and False are none."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        return False
    return not np.iscomplexobj(value) and not np.isnan(value)


def check_shape(name: str, shape: Any, argument: str = "shape") -> tuple[int, ...]:
    """An int or ints as a tuple.

    Raises: TypeError for anything else.
    """
    several = isinstance(shape, Iterable) and not is_int(shape) and not isinstance(shape, str)
    sizes = tuple(shape) if several else (shape,)
    if not all(map(is_int, sizes)):
        raise TypeError(f"{name}: {argument} must be ints, got {shape!r}")
    return tuple(map(int, sizes))


def check_axis(name: str, axis: Any, ndim: int) -> int:
    """`axis` counted from the front.

    Raises: TypeError if it is not an int; ValueError if it is not one of the ndim axes.
    """
    if not is_int(axis) or np.ndim(axis):
        raise TypeError(f"{name}: axis must be an int, got {axis!r}")
    axis = int(axis)
    if not -ndim <= axis < ndim:
        known = f"{-ndim}..{ndim - 1} for {ndim} axes"
        raise ValueError(f"{name}: axis must be in {known}, got {axis}")
    return axis % ndim


def check_axes(name: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """An int, a tuple of ints or None (all axes), as axes counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(check_axis(name, a, ndim) for a in given)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: axis names an axis twice: {axis}")
    return axes


def check_filled_axes(name: str, axis: Any, shape: Sequence[int]) -> tuple[int, ...]:
    """The axes to reduce, as in `check_axes`.

    Raises: ValueError if one of them has no elements.
    """
    axes = check_axes(name, axis, len(shape))
    for axis in axes:
        if shape[axis] == 0:
            raise ValueError(
                f"{name}: there is no number to reduce over axis {axis} of shape {shape}"
            )
    return axes


def check_index_range(
    name: str, indices: Any, size: int, lowest: int | None = None, waits: bool = False
) -> Any:
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


def poisoned(y: Any, nan_or_0: Any) -> Any:
    """y + nan_or_0, which `check_index_range` returned, in y's dtype."""
    return y if nan_or_0 is None else y + nan_or_0.astype(y.dtype)


def items_of(index: Any) -> tuple[Any, ...]:
    """What stands between the brackets of x[index]."""
    return index if isinstance(index, tuple) else (index,)


def is_basic(index: Any) -> bool:
    """Whether x[index] has slices and whole numbers only, which touch each element at most once."""
    basic = int, np.integer, slice, type(None), type(Ellipsis)
    return all(isinstance(item, basic) for item in items_of(index))


def check_indices(name: str, x: Any, index: Any) -> Any:
    """The indices of x[index], each as in `check_index_range`.

    NumPy checks its own; CuPy doesn't.
    """
    if array_module(x) is np:
        return None
    items = items_of(index)
    missing = x.ndim - sum(_axes_taken(item) for item in items)
    axis, total = 0, None
    for item in items:
        numbers = np.asarray(item) if isinstance(item, list) else item
        if _kind(numbers) in ("i", "u"):
            waits = x.dtype.kind != "f"
            nan_or_0 = check_index_range(name, numbers, x.shape[axis], waits=waits)
            if nan_or_0 is not None:
                total = nan_or_0 if total is None else total + nan_or_0
        axis += missing if item is Ellipsis else _axes_taken(item)
    return total


def _axes_taken(item: Any) -> int:
    """How many axes of the array one item of an index uses up."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if _kind(item) == "b" else 1


def _kind(item: Any) -> str:
    """The kind of an array's dtype, "" for what is not an array."""
    dtype = getattr(item, "dtype", None)
    return dtype.kind if isinstance(dtype, np.dtype) else ""
