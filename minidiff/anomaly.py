"""Find where the first NaN or infinity comes from.

    with minidiff.detect_anomaly():
        loss = mse_loss(model(x), y)
        loss.backward()

The first operation with finite inputs and a result that is not, forward or backward, raises `AnomalyError`: it names the operation,
the module (`up.3.res.conv1`), the line of your program and the range of each input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from minidiff.backend import array_module, is_array

if TYPE_CHECKING:
    from minidiff.tape import Node

_enabled: ContextVar[bool] = ContextVar("detect_anomaly", default=False)
_module_path: ContextVar[str] = ContextVar("module_path", default="")
_root: ContextVar[Any] = ContextVar("root_module", default=None)


class AnomalyError(FloatingPointError):
    """A NaN or an infinity where all inputs were finite."""


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Inside, each result and each gradient is checked for NaN and infinity. Slow: it reads every array once more."""
    token = _enabled.set(True)
    try:
        yield
    finally:
        _enabled.reset(token)


def enabled() -> bool:
    return _enabled.get()


def current_module_path() -> str:
    """The path of the module whose `forward` is running, `up.3.res.conv1`; known only inside `detect_anomaly()`."""
    return _module_path.get()


def current_root() -> Any:
    """The outermost module that is running, or None."""
    return _root.get()


@contextmanager
def inside_module(module: Any, path: str) -> Iterator[None]:
    """While `module`, known as `path`, runs its forward."""
    path_token = _module_path.set(path)
    root_token = _root.set(_root.get() or module)
    try:
        yield
    finally:
        _root.reset(root_token)
        _module_path.reset(path_token)


def check_forward(name: str, where: str, y: Any, inputs: Sequence[Any]) -> None:
    """Raise AnomalyError if `y`, the result of the operation, is not finite."""
    if not _is_finite(y):
        _report(f"forward of {name}", "its result", y, where, current_module_path(), inputs)


def check_backward(node: Node, dy: Any, gradients: Sequence[Any]) -> None:
    """Raise AnomalyError if one of the gradients that the node computed from `dy` is not finite."""
    for i, gradient in enumerate(gradients):
        if gradient is not None and not _is_finite(gradient):
            arrays = [x.data for x in node.inputs] + [dy]
            names = [f"input {j + 1}" for j in range(len(node.inputs))] + ["dy"]
            _report(f"backward of {node.name}", f"the gradient of its input {i + 1}", gradient, node.where, node.module_path, arrays, names)


def _is_finite(x: Any) -> bool:
    return x.dtype.kind != "f" or bool(array_module(x).isfinite(x).all())


def _report(what: str, which: str, y: Any, where: str, path: str, arrays: Sequence[Any], names: Sequence[str] | None = None) -> None:
    xp = array_module(y)
    bad = xp.argwhere(~xp.isfinite(y))
    index = tuple(int(i) for i in bad[0])
    lines = [
        f"{what}: {which} holds {float(y[index])} at index {index} ({len(bad)} of {y.size} values are not finite)",
        f"  module: {path or '(none)'}",
        f"  line:   {where}",
    ]
    for j, array in enumerate(arrays):
        if is_array(array):
            lines.append(f"  {names[j] if names else f'input {j + 1}'}: {_range(array)}")
    raise AnomalyError("\n".join(lines))


def _range(array: Any) -> str:
    text = f"shape {array.shape}, {array.dtype}"
    if array.size and array.dtype.kind in "fiu":
        text += f", from {float(array.min()):.4g} to {float(array.max()):.4g}"
    return text
