"""The nodes of the tape: what was computed from what.

Each recorded operation is a `Node`. It knows where its inputs came from, and the function that
turns the gradient of the result into the gradients of the inputs. It knows no values but those that
this function closes over: an intermediate result that no derivative needs is freed when the user
lets go of it.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidiff.engine import anomaly, profiler
from minidiff.engine.freeing import free_later
from minidiff.engine.operands import MOVING
from minidiff.engine.saved_arrays import Guard

if TYPE_CHECKING:
    from minidiff.engine.operation import Operation
    from minidiff.engine.tensor import Tensor

_count = itertools.count()
_package = str(Path(__file__).parents[1]) + os.sep


class Call(NamedTuple):
    """A call of an operation, and the innermost place outside of this package that led to it."""

    operation: str
    code: CodeType
    instruction: int  # becomes a line only when it is shown

    @property
    def line(self) -> str:
        """`file:line`"""
        for start, end, line in self.code.co_lines():
            if start <= self.instruction < end:
                return f"{self.code.co_filename}:{line}"
        return self.code.co_filename

    def __str__(self) -> str:
        return f"{self.operation} ({self.line})"


def call_of(operation: str) -> Call:
    """The call of an operation that is being made."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_package):
        frame = frame.f_back
    return Call(operation, frame.f_code, frame.f_lasti)


class Input(NamedTuple):
    """A tensor with a gradient that went into an operation."""

    source: Node | Tensor  # see `source_of`
    parameter: int  # its place in the operation's signature
    item: int | None  # its place in that parameter, if this is a list of tensors
    shape: tuple[int, ...]
    dtype: Any


class Node:
    """One recorded operation.

    inputs: the tensors with a gradient that went in. backward: dy -> one gradient per leading
    parameter of the operation. arrays: all that went in and the result, so that they can be
    guarded.
    context: what anomaly detection will tell, or None.
    """

    __slots__ = (
        "operation", "inputs", "backward", "takes_wanted", "call", "index", "guard", "context",
        "keeper",
    )  # fmt: skip

    def __init__(
        self, operation: Operation, inputs: Sequence[Input], backward: Callable,
        arrays: Sequence[Any], context: anomaly.Context | None = None,
    ):  # fmt: skip
        self.operation = operation
        self.inputs = inputs
        self.backward: Callable | None = backward
        self.takes_wanted = backward.__code__.co_argcount == 2
        self.call = call_of(operation.name)
        self.index = next(_count)
        self.guard: Guard | None = Guard(backward, arrays, self.call)
        self.context = context
        # a weak reference to the result if `.grad` is to be kept for it, too
        self.keeper: Callable[[], Tensor | None] | None = None

    def input_gradients(self, dy: Any, wanted: Sequence[bool]) -> list[Any]:
        """The chain rule at this node: the gradient of each input, in the input's own shape.

        An entry is None where the gradient is not wanted.
        """
        if self.backward is None:
            raise RuntimeError(
                f"backward: the graph of {self.call} was freed by an earlier backward(). "
                "Compute the forward pass again, or call backward(retain_graph=True) the first time"
            )
        if self.guard is not None:
            self.guard.check(self.call)
        if dy.dtype.char == "e" and self.operation.name not in MOVING:
            dy = dy.astype(np.float32)  # as the operation was computed, see operands.widen
        arguments: tuple[Any, ...] = (dy,)
        if self.takes_wanted:
            of_parameter = [False] * len(self.operation.parameters)
            for x, want in zip(self.inputs, wanted, strict=True):
                of_parameter[x.parameter] |= want
            arguments = (dy, tuple(of_parameter))
        if profiler.active is None:
            gradients = self.backward(*arguments)
        else:
            name = self.operation.name
            gradients = profiler.active.backward(name, dy, self.backward, *arguments[1:])
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        return [
            self._of_input(x, gradients) if want else None
            for x, want in zip(self.inputs, wanted, strict=True)
        ]

    def _of_input(self, x: Input, gradients: tuple[Any, ...]) -> Any:
        gradient = gradients[x.parameter] if x.parameter < len(gradients) else None
        if gradient is not None and x.item is not None:
            gradient = gradient[x.item]
        if gradient is None:
            raise RuntimeError(
                f"backward: {self.call} has no derivative for its argument "
                f"{self.operation.parameters[x.parameter]!r}"
            )
        gradient = unbroadcast(as_array(gradient), x.shape)
        if x.dtype.char == "e" and gradient.dtype.char == "f":
            return gradient.astype(x.dtype)
        if gradient.dtype != x.dtype:
            raise TypeError(
                f"backward of {self.call}: the gradient of a {x.dtype} input "
                f"came out as {gradient.dtype}"
            )
        return gradient

    def release(self) -> None:
        """Forget the arrays that were kept for the backward pass."""
        self.backward = self.guard = self.context = None
        self.inputs = ()

    def __del__(self) -> None:
        if self.inputs:
            free_later(self, "inputs")


def source_of(x: Tensor) -> Node | Tensor:
    """The node that made x, or x itself if it is a leaf: this stands for x in the graph."""
    return x if x.node is None else x.node


def unbroadcast(gradient: Any, shape: tuple[int, ...]) -> Any:
    """The adjoint of broadcasting: sum over the axes along which `shape` was repeated."""
    if gradient.shape == shape:
        return gradient
    added = gradient.ndim - len(shape)
    repeated = tuple(range(added)) + tuple(
        added + i for i, n in enumerate(shape) if n == 1 and gradient.shape[added + i] != 1
    )
    return gradient.sum(axis=repeated, keepdims=True).reshape(shape)


def as_array(value: Any) -> Any:
    """The value itself, or a 0-d array for a scalar, which NumPy makes of 0-d arrays."""
    return np.asarray(value) if isinstance(value, np.generic) else value
