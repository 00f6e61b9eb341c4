"""NumPy's own functions, such as np.stack, on Tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

OF_SHAPES = (np.shape, np.ndim, np.size)


def call(function: Callable, kind: Any, args: Any, kwargs: Any) -> Any:
    """The function on the values.    kind: the class of Tensors, with their methods

    Raises: TypeError if a gradient would be lost.
    """
    if function not in OF_SHAPES:
        given = _tensors_in((args, tuple(kwargs.values())), kind)
        if any(x.requires_grad for x in given):
            name = function.__name__
            method = f"x.{name}(), " if hasattr(kind, name) else ""
            raise TypeError(
                f"np.{name} of a Tensor that requires a gradient would lose it: use {method}"
                f"a function of minidiff.functional, or np.{name}(x.data)"
            )
    return function(*_without_tensors(args, kind), **_without_tensors(kwargs, kind))


def _tensors_in(value: Any, kind: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [x for item in value for x in _tensors_in(item, kind)]
    return [value] if isinstance(value, kind) else []


def _without_tensors(value: Any, kind: Any) -> Any:
    """Arrays in place of Tensors, in nested lists too."""
    if isinstance(value, (list, tuple)):
        return type(value)(_without_tensors(item, kind) for item in value)
    if isinstance(value, dict):
        return {key: _without_tensors(item, kind) for key, item in value.items()}
    return value.data if isinstance(value, kind) else value
