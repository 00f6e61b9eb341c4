"""Backpropagation: the walk back along the tape of what was computed from what.

The tape consists of nodes, see node.py. `backpropagate` visits them from the last made to the first
and applies the chain rule at each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minidiff.engine import anomaly
from minidiff.engine.backend import array_module
from minidiff.engine.node import Node, as_array, source_of
from minidiff.engine.setting import Setting

if TYPE_CHECKING:
    from minidiff.engine.tensor import Tensor

_recording = Setting("no_grad", True)


def no_grad(function: Callable | None = None) -> Any:
    """Inside, nothing is recorded: no gradients, and no memory kept for them.

    For `with no_grad():`, and to be written as @no_grad() over a function or a generator.
    """
    block = _recording.block(False)
    return block if function is None else block(function)


def enable_grad(function: Callable | None = None) -> Any:
    """Inside, operations are recorded again, within `no_grad()` too.

    A sampler that needs the gradient of a classifier does this, for example.
    """
    block = _recording.block(True)
    return block if function is None else block(function)


def is_recording() -> bool:
    """Whether operations are recorded: not inside `no_grad()`, but inside `enable_grad()`."""
    return _recording.get()


class _Sums:
    """The sum of the gradients that reached each node and leaf so far.

    An array that came from an operation may be shared, so it is not edited.
    """

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


def backpropagate(
    root: Tensor, gradient: Any, targets: Sequence[Tensor] | None = None,
    retain_graph: bool = False, read_only: bool = False,
) -> dict[Node | Tensor, Any]:  # fmt: skip
    """The gradient of `root`, weighted by `gradient`, with respect to each target.

    targets: None stands for every leaf that requires a gradient. Only the part of the graph that
    leads to a target is walked. read_only: the arrays of leaves may be shared, with each other too,
    rather than copied.
    -> {source_of(target): array}
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
    """The nodes between `root` and the ends, last made first.

    -> these nodes, and the set of them and of the ends that are reached
    """
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
