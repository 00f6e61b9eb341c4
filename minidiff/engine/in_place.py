"""Editing a Tensor in place: `y[i] = x`, `y += x`.

Without a gradient the array itself is edited, and all who share it see that. With one the edit is
an operation like any other: the tensor becomes its result, and earlier results keep the old values.
An edit that neither of the two would get right is refused.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from minidiff.engine.checks import is_basic
from minidiff.engine.freeing import free_later
from minidiff.engine.tape import is_recording, no_grad

if TYPE_CHECKING:
    from minidiff.engine.operation import Operation
    from minidiff.engine.tensor import Tensor


class ViewOf:
    """What a Tensor is a view of: whole[index]."""

    __slots__ = ("whole", "index")

    def __init__(self, whole: Tensor, index: Any):
        self.whole, self.index = whole, index

    def __del__(self) -> None:
        free_later(self, "whole")


def edit(x: Tensor, operation: Operation, *arguments: Any) -> Tensor:
    """Give x the values of operation(x, *arguments).    -> x

    Raises: RuntimeError if a live graph needs the values, if x is a leaf or shares its memory and
    a gradient would be lost; ValueError if the result has another shape or dtype.
    """
    alive = x.node is not None and x.node.backward is not None  # a freed graph needs no record
    recorded = is_recording() and (alive or any(map(_requires_grad, arguments)))
    if recorded and x.view_of is not None:
        return _edit_view(x, operation, *arguments)
    x.check_editable()
    if recorded:
        _check_recordable(x)
    with nullcontext() if recorded else no_grad():
        new = operation(x, *arguments)
    if new.shape != x.shape or new.dtype != x.dtype:
        raise ValueError(
            f"{operation.name} in place: the result is {new.dtype} {new.shape}, which a tensor of "
            f"{x.dtype} {x.shape} can't hold"
        )
    if recorded:
        x.become(new)
    else:
        x.data[...] = new.data
    return x


def _edit_view(view: Tensor, operation: Operation, *arguments: Any) -> Tensor:
    """Edit what the view was taken from, and look at it again."""
    whole, index = view.view_of.whole, view.view_of.index  # type: ignore[union-attr]
    view.check_editable()
    view.data, view.view_of = view.data.copy(), None  # it lets go of the memory of `whole`
    whole[index] = edit(view, operation, *arguments)
    view.become(whole[index])
    view.view_of = ViewOf(whole, index)
    return view


def is_view_at(value: Any, whole: Tensor, index: Any) -> bool:
    """Whether value is whole[index], a view of its memory."""
    seen = getattr(value, "view_of", None)
    if seen is None or seen.whole is not whole:
        return False
    return is_basic(index) and seen.index == index


def _check_recordable(x: Tensor) -> None:
    if x.is_trained_leaf:
        raise RuntimeError(
            "this tensor is a leaf that requires a gradient, and can't be edited in place with "
            "another tensor that requires one. Edit a copy, y = x * 1, or edit inside of no_grad()"
        )
    if is_shared(x):
        raise RuntimeError(
            f"this tensor, shape {x.shape}, can't be edited in place: other tensors or arrays have "
            "its memory (it is a view, one was taken of it, or the array that it was made of is "
            "still there), and they would miss the gradient. Edit a copy, y = x * 1"
        )


def _requires_grad(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_requires_grad, value))
    return getattr(value, "requires_grad", False)


def is_shared(x: Any) -> bool:
    """Whether somebody besides x has its array, a view of it, or what it is a view of."""
    array = x.data
    return _references(array) > (_ALONE if array.base is None else _VIEW_ALONE)


def _references(array: Any) -> int:
    owner = array if array.base is None else array.base
    return sys.getrefcount(owner) + (array is not owner) * (sys.getrefcount(array) - 1)


class _Alone:
    """Stands for a tensor whose array nobody else has."""

    def __init__(self, array: Any):
        self.data = array


def _counted(x: Any) -> int:
    array = x.data
    return _references(array)


# what an array's references count that nobody else has; it differs between versions of Python
_ALONE = _counted(_Alone(np.zeros(2)))
_VIEW_ALONE = _counted(_Alone(np.zeros(2)[:1]))
