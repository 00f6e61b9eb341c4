"""Copies of Tensors by `copy` and `pickle`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minidiff.engine.tensor import Tensor


def reduced(x: Tensor) -> tuple:
    """What is stored of a leaf: its array, and its gradient.

    Raises: TypeError for a result, whose graph can't be copied.
    """
    if x.node is not None:
        raise TypeError(
            f"a result of {x.node.operation.name} can't be copied or pickled, because its "
            "graph can't: only leaves can. Use x.detach(), or x.data"
        )
    return _leaf, (type(x), x.data, x.requires_grad, x.grad)


def _leaf(kind: type[Tensor], data: Any, requires_grad: bool, grad: Any) -> Tensor:
    """A leaf of this class, as it was stored."""
    leaf = kind.__new__(kind)
    leaf.restore(data, requires_grad, grad)
    return leaf
