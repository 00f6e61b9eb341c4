"""The tape: what was computed from what, and the walk back along it that is backpropagation.

Each recorded operation is a `Node`: where its inputs came from, and the function that turns the gradient of the result into the gradients
of the inputs. `backpropagate` visits the nodes from the last made to the first and applies the chain rule at each. A node knows no values
but those that this function closes over: an intermediate result that no derivative needs is freed when the user lets go of it.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidiff.engine import anomaly
from minidiff.engine.backend import array_module
from minidiff.engine.saved_arrays import Guard

if TYPE_CHECKING:
    from minidiff.engine.operation import Operation
    from minidiff.engine.tensor import Tensor

_recording: ContextVar[bool] = ContextVar("recording", default=True)
_count = itertools.count()
_package = str(Path(__file__).parents[1]) + os.sep


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside, nothing is recorded: no gradients, and no memory kept for them."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


@contextmanager
def enable_grad() -> Iterator[None]:
    """Inside, operations are recorded again, within `no_grad()` too: for a sampler, say, that needs the gradient of a classifier."""
    token = _recording.set(True)
    try:
        yield
    finally:
        _recording.reset(token)


def is_recording() -> bool:
    """False inside `no_grad()`, but for what is inside `enable_grad()` there."""
    return _recording.get()


class Call(NamedTuple):
    """A call of an operation: its name, and the innermost place outside of this package (turned into a line only when it is shown)."""

    operation: str
    code: CodeType
    instruction: int

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

    inputs: the tensors with a gradient that went in; backward: dy -> one gradient per leading parameter of the operation;
    arrays: all that went in and the result, so that they can be guarded; context: what anomaly detection wants to tell, or None.
    """

    __slots__ = (
        "operation",
        "inputs",
        "backward",
        "takes_wanted",
        "call",
        "index",
        "guard",
        "context",
        "keeper",
    )

    def __init__(
        self, operation: Operation, inputs: Sequence[Input], backward: Callable, arrays: Sequence[Any],
        context: anomaly.Context | None = None,
    ):  # fmt: skip
        self.operation = operation
        self.inputs = inputs
        self.backward: Callable | None = backward
        self.takes_wanted = backward.__code__.co_argcount == 2
        self.call = call_of(operation.name)
        self.index = next(_count)
        self.guard: Guard | None = Guard(backward, arrays, self.call)
        self.context = context
        self.keeper: Callable[[], Tensor | None] | None = (
            None  # a weak reference to the result if `.grad` is to be kept for it, too
        )

    def input_gradients(self, dy: Any, wanted: Sequence[bool]) -> list[Any]:
        """The chain rule at this node: the gradient of each input, in the input's own shape, or None where it is not wanted."""
        if self.backward is None:
            raise RuntimeError(
                f"backward: the graph of {self.call} was freed by an earlier backward(). "
                "Compute the forward pass again, or call backward(retain_graph=True) the first time"
            )
        if self.takes_wanted:
            of_parameter = [False] * len(self.operation.parameters)
            for x, want in zip(self.inputs, wanted, strict=True):
                of_parameter[x.parameter] |= want
            gradients = self.backward(dy, tuple(of_parameter))
        else:
            gradients = self.backward(dy)
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
                f"backward: {self.call} has no derivative for its argument {self.operation.parameters[x.parameter]!r}"
            )
        gradient = unbroadcast(as_array(gradient), x.shape)
        if gradient.dtype != x.dtype:
            raise TypeError(
                f"backward of {self.call}: the gradient of a {x.dtype} input came out as {gradient.dtype}"
            )
        return gradient

    def release(self) -> None:
        """Forget the arrays that were kept for the backward pass."""
        self.backward = self.guard = self.context = None
        self.inputs = ()


def source_of(x: Tensor) -> Node | Tensor:
    """What stands for x in the graph: the node that made it, or x itself if it is a leaf."""
    return x if x.node is None else x.node


def unbroadcast(gradient: Any, shape: tuple[int, ...]) -> Any:
    """The adjoint of broadcasting: sum over the axes along which an array of `shape` was repeated."""
    if gradient.shape == shape:
        return gradient
    added = gradient.ndim - len(shape)
    repeated = tuple(range(added)) + tuple(
        added + i for i, n in enumerate(shape) if n == 1 and gradient.shape[added + i] != 1
    )
    return gradient.sum(axis=repeated, keepdims=True).reshape(shape)


class _Sums:
    """The sum of the gradients that reached each node and leaf so far. An array that came from an operation may be shared: no edits."""

    def __init__(self) -> None:
        self.of: dict[Node | Tensor, Any] = {}
        self._made_here: set[Node | Tensor] = set()

    def add(self, source: Node | Tensor, gradient: Any) -> None:
        if source not in self.of:
            self.of[source] = gradient
        elif source in self._made_here:
            self.of[source] += gradient
        else:
            self.of[source] = as_array(self.of[source] + gradient)
            self._made_here.add(source)

    def take(self, source: Node | Tensor) -> Any:
        """The finished sum; None if nothing came. It may be shared."""
        self._made_here.discard(source)
        return self.of.pop(source, None)

    def take_own(self, source: Node | Tensor) -> Any:
        """The finished sum, as an array that nobody else has."""
        shared = source not in self._made_here
        dy = self.take(source)
        return copy(dy) if shared else dy


def copy(array: Any) -> Any:
    return array_module(array).array(array)


def as_array(value: Any) -> Any:
    """The value itself, or as a 0-d array the scalar that NumPy makes of arithmetic on 0-d arrays."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def backpropagate(
    root: Tensor,
    gradient: Any,
    targets: Sequence[Tensor] | None = None,
    retain_graph: bool = False,
    read_only: bool = False,
) -> dict[Node | Tensor, Any]:
    """The gradient of `root` (weighted by `gradient`) with respect to each target.    -> {source_of(target): array}

    targets: None stands for every leaf that requires a gradient. Only the part of the graph that leads to a target is walked.
    read_only: the arrays of leaves may be shared, with each other too, rather than copied.
    """
    ends = None if targets is None else {source_of(x) for x in targets}
    nodes, leading = _path_to(source_of(root), ends)
    sums = _Sums()
    sums.add(source_of(root), gradient)
    found: dict[Node | Tensor, Any] = {}
    for node in nodes:
        dy = sums.take(node)
        if dy is None:
            continue
        if ends is None and node.keeper is not None:
            add_to_grad(node.keeper(), copy(dy))
        wanted = [x.source in leading for x in node.inputs]
        if ends is not None and node in ends:
            found[node] = copy(dy)
            if not any(wanted):
                continue
        gradients = node.input_gradients(dy, wanted)
        if anomaly.enabled():
            anomaly.check_backward(node, dy, gradients)
        for x, dx in zip(node.inputs, gradients, strict=True):
            if dx is not None:
                sums.add(x.source, dx)
        if not retain_graph:
            node.release()
    for leaf in list(sums.of):
        found[leaf] = sums.take(leaf) if read_only else sums.take_own(leaf)
    return found


def add_to_grad(x: Tensor | None, gradient: Any) -> None:
    """Add to x.grad, if x is still there. The gradient must be nobody else's."""
    if x is not None:
        x.grad = gradient if x.grad is None else as_array(x.grad + gradient)


def _path_to(
    root: Node | Tensor, ends: set[Node | Tensor] | None
) -> tuple[list[Node], set[Node | Tensor]]:
    """The nodes between `root` and the ends, last made first, and the set of these nodes and of the ends reached."""
    reached = {root}
    stack = [root]
    while stack:
        source = stack.pop()
        if isinstance(source, Node):
            for x in source.inputs:
                if x.source not in reached:
                    reached.add(x.source)
                    stack.append(x.source)
    leading = {
        x
        for x in reached
        if (x in ends if ends is not None else not isinstance(x, Node) and x.requires_grad)
    }
    nodes = []
    for node in sorted((x for x in reached if isinstance(x, Node)), key=lambda node: node.index):
        if (
            node.backward is None
            and node not in leading
            or any(x.source in leading for x in node.inputs)
        ):
            leading.add(node)  # a freed node stays in the walk, to raise its error there
        if node in leading:
            nodes.append(node)
    return nodes[::-1], leading
