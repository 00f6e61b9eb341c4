"""The tape: what was computed from what, and the walk back along it that is backpropagation.

Each recorded operation is a `Node`: the tensors that went in and the function that turns the gradient of the result into the gradients of
the inputs. `backpropagate` visits the nodes from the last made to the first and applies the chain rule at each.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidiff import anomaly

if TYPE_CHECKING:
    from minidiff.tensor import Tensor

_recording: ContextVar[bool] = ContextVar("recording", default=True)
_count = itertools.count()
_package = str(Path(__file__).parent)


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside, nothing is recorded: no gradients, and no memory kept for them."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


def is_recording() -> bool:
    """False inside `no_grad()`."""
    return _recording.get()


def user_line() -> str:
    """`file:line` of the innermost caller outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_package):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Node:
    """One recorded operation.

    inputs: the tensors it was computed from; places[i] says where inputs[i] stands in the operation's signature (see operation.py);
    backward: dy -> the gradients of the leading parameters.
    """

    __slots__ = ("name", "inputs", "places", "versions", "backward", "takes_wanted", "where", "module_path", "index", "guard", "shape")

    def __init__(self, name: str, inputs: Sequence[Tensor], places: Sequence[tuple[int, int | None]], backward: Callable, shape: tuple):
        self.name = name
        self.inputs = tuple(inputs)
        self.places = tuple(places)
        self.versions = [x.version for x in inputs]
        self.backward: Callable | None = backward
        self.takes_wanted = backward.__code__.co_argcount == 2
        self.where = user_line()
        self.module_path = anomaly.current_module_path()
        self.index = next(_count)
        self.shape = shape
        self.guard: Guard | None = None

    def describe(self) -> str:
        return f"{self.name} ({self.where})"

    def input_gradients(self, dy: Any, wanted: Sequence[bool]) -> list[Any]:
        """The chain rule at this node: the gradient of each input, in the input's own shape, or None where it is not wanted."""
        if self.backward is None:
            raise RuntimeError(
                f"backward: the graph of {self.describe()} was freed by an earlier backward(). "
                "Compute the forward pass again, or call backward(retain_graph=True) the first time"
            )
        for x, version in zip(self.inputs, self.versions, strict=True):
            if x.version != version:
                raise RuntimeError(
                    f"backward: an input of {self.describe()}, shape {x.shape}, was changed in place after it was used "
                    "(by an optimiser step or an assignment): its gradient would be wrong"
                )
        if self.takes_wanted:
            of_parameter = [False] * (1 + max(position for position, _ in self.places))
            for (position, _), want in zip(self.places, wanted, strict=True):
                of_parameter[position] |= want
            gradients = self.backward(dy, tuple(of_parameter))
        else:
            gradients = self.backward(dy)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        result = []
        for x, (position, item), want in zip(self.inputs, self.places, wanted, strict=True):
            gradient = None
            if want:
                gradient = gradients[position] if position < len(gradients) else None
                gradient = gradient if gradient is None or item is None else gradient[item]
                if gradient is None:
                    raise RuntimeError(f"backward: {self.describe()} has no derivative for its argument {position + 1}")
                gradient = unbroadcast(gradient, x.shape)
                if gradient.dtype != x.dtype:
                    raise TypeError(f"backward of {self.describe()}: the gradient of a {x.dtype} input came out as {gradient.dtype}")
            result.append(gradient)
        return result

    def release(self) -> None:
        """Forget the arrays that were kept for the backward pass."""
        self.backward = None
        self.inputs, self.places, self.versions = (), (), []
        self.guard = None


class Guard:
    """While it lives, its arrays are needed for a gradient: a NumPy array is read-only, and a Tensor refuses to edit it."""

    __slots__ = ("arrays", "holder")
    _lock = threading.RLock()
    _held: dict[int, list[Any]] = {}  # id of an array -> [how many guards hold it, whether to make it writeable again, by whom]

    def __init__(self, arrays: Sequence[Any], holder: str):
        self.arrays: list[Any] = []
        for array in arrays:
            owner = getattr(array, "base", None)
            self.arrays.append(array)
            if isinstance(owner, np.ndarray):
                self.arrays.append(owner)
        self.holder = holder
        with Guard._lock:
            for array in self.arrays:
                entry = Guard._held.get(id(array))
                if entry is None:
                    writeable = isinstance(array, np.ndarray) and array.flags.writeable
                    if writeable:
                        array.flags.writeable = False
                    Guard._held[id(array)] = [1, writeable, holder]
                else:
                    entry[0] += 1

    def __del__(self) -> None:
        with Guard._lock:
            for array in reversed(self.arrays):  # an owner before its view: NumPy lets a view be writeable only if its owner is
                entry = Guard._held[id(array)]
                entry[0] -= 1
                if entry[0] == 0:
                    del Guard._held[id(array)]
                    if entry[1]:
                        try:
                            array.flags.writeable = True
                        except ValueError:  # a view whose owner somebody else still holds
                            pass

    @staticmethod
    def holder_of(array: Any) -> str | None:
        """The operation whose gradient needs this array, or None."""
        entry = Guard._held.get(id(array))
        return entry[2] if entry else None


def unbroadcast(gradient: Any, shape: tuple[int, ...]) -> Any:
    """The adjoint of broadcasting: sum over the axes along which an array of `shape` was repeated."""
    if gradient.shape == shape:
        return gradient
    added = gradient.ndim - len(shape)
    repeated = tuple(range(added)) + tuple(added + i for i, n in enumerate(shape) if n == 1 and gradient.shape[added + i] != 1)
    return gradient.sum(axis=repeated, keepdims=True).reshape(shape)


def backpropagate(root: Tensor, gradient: Any, targets: Sequence[Tensor] | None = None, retain_graph: bool = False) -> dict[int, Any]:
    """The gradient of `root` (weighted by `gradient`) with respect to each target.    -> {id(target): array}

    targets: None stands for every leaf that requires a gradient. Only the part of the graph that leads to a target is walked.
    """
    nodes, wanted = _path_to(root, targets)
    target_ids = None if targets is None else {id(x) for x in targets}
    found: dict[int, Any] = {}
    owned: set[int] = set()  # sums made here, which may be added to in place; a gradient that an operation returned may be shared
    of_node: dict[int, Any] = {}

    def accumulate(store: dict[int, Any], key: int, gradient: Any) -> None:
        if key not in store:
            store[key] = gradient
        elif key in owned:
            store[key] += gradient
        else:
            store[key] = store[key] + gradient
            owned.add(key)

    def deliver(x: Tensor, gradient: Any) -> None:
        if (x.node is None and target_ids is None) or (target_ids is not None and id(x) in target_ids):
            accumulate(found, id(x), gradient)
        if x.node is not None:
            if x.keeps_grad and target_ids is None:
                x.grad = gradient if x.grad is None else x.grad + gradient
            if id(x.node) in wanted:
                accumulate(of_node, id(x.node), gradient)

    deliver(root, gradient)
    for node in nodes:
        dy = of_node.pop(id(node), None)
        if dy is None:
            continue
        owned.discard(id(node))
        gradients = node.input_gradients(dy, wanted[id(node)])
        if anomaly.enabled():
            anomaly.check_backward(node, dy, gradients)
        for x, dx in zip(node.inputs, gradients, strict=True):
            if dx is not None:
                deliver(x, dx)
        if not retain_graph:
            node.release()
    return found


def _path_to(root: Tensor, targets: Sequence[Tensor] | None) -> tuple[list[Node], dict[int, list[bool]]]:
    """The nodes between `root` and the targets, last made first, and for each which of its inputs lead to a target."""
    reached: dict[int, Node] = {}
    stack = [root.node] if root.node is not None else []
    while stack:
        node = stack.pop()
        if id(node) not in reached:
            reached[id(node)] = node
            stack.extend(x.node for x in node.inputs if x.node is not None)
    ids = None if targets is None else {id(x) for x in targets}
    nodes, wanted = [], {}
    for node in sorted(reached.values(), key=lambda node: node.index):
        leads = [
            x.requires_grad if ids is None else (id(x) in ids or (x.node is not None and id(x.node) in wanted)) for x in node.inputs
        ]
        if any(leads) or node.backward is None:  # a freed node stays in the walk, to raise its error there
            wanted[id(node)] = leads
            nodes.append(node)
    return nodes[::-1], wanted
