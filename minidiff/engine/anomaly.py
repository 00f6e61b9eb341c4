"""Find where the first NaN or infinity comes from.

    with minidiff.detect_anomaly():
        loss = mse_loss(model(x), y)
        loss.backward()

The first operation whose result, or whose gradient, is not finite raises `AnomalyError`: it names
the operation, the module (`up.3.res.conv1`), the line of your program, and the range of each input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from minidiff.engine.backend import array_module, is_array
from minidiff.engine.setting import Setting

if TYPE_CHECKING:
    from minidiff.engine.node import Call, Node

_enabled = Setting("detect_anomaly", False)
_module_path = Setting("module_path", "")
_root: Setting[Any] = Setting("root_module", None)


class AnomalyError(FloatingPointError):
    """A NaN or an infinity."""


def detect_anomaly(function: Callable | None = None) -> Any:
    """Inside, each result and each gradient is checked for NaN and infinity.

    For `with detect_anomaly():`, and to be written as @detect_anomaly() over a function or a
    generator. It is slow: it reads every array once more, and keeps it.
    """
    block = _enabled.block(True)
    return block if function is None else block(function)


def enabled() -> bool:
    return _enabled.get()


def current_root() -> Any:
    """The outermost module that is running, or None."""
    return _root.get()


@contextmanager
def inside_module(module: Any, path: str) -> Iterator[None]:
    """While `module`, known as `path`, runs its forward."""
    root = module if _root.get() is None else _root.get()
    with _module_path.block(path), _root.block(root):
        yield


class Context(NamedTuple):
    """Facts about a call: the module it was made in, and the arrays that went in, by name."""

    module_path: str
    arrays: list[tuple[str, Any]]


def context(arguments: Mapping[str, Any]) -> Context:
    """The context of a call that is being made with these arguments."""
    arrays = []
    for name, value in arguments.items():
        items = enumerate(value) if isinstance(value, (list, tuple)) else ()
        for label, array in [(name, value), *((f"{name}[{i}]", item) for i, item in items)]:
            if is_array(array):
                arrays.append((label, array))
    return Context(_module_path.get(), arrays)


def check_forward(call: Call, y: Any, context: Context) -> None:
    """Raise AnomalyError if `y`, the result of the call, is not finite."""
    if not _is_finite(y):
        _report(
            f"forward of {call.operation}",
            "the result",
            y,
            call,
            context.module_path,
            context.arrays,
        )


def check_backward(node: Node, dy: Any, gradients: Sequence[Any]) -> None:
    """Raise AnomalyError if one of the gradients that the node computed from `dy` is not finite."""
    for x, gradient in zip(node.inputs, gradients, strict=True):
        if gradient is not None and not _is_finite(gradient):
            name = node.operation.parameters[x.parameter] + (
                "" if x.item is None else f"[{x.item}]"
            )
            path, arrays = node.context or Context(
                "unknown: its forward pass ran outside of detect_anomaly()", []
            )
            _report(
                f"backward of {node.call.operation}",
                f"the gradient of {name}",
                gradient,
                node.call,
                path,
                [*arrays, ("dy", dy)],
            )


def _is_finite(x: Any) -> bool:
    return x.dtype.kind != "f" or bool(array_module(x).isfinite(x).all())


def _report(
    what: str, which: str, y: Any, call: Call, path: str, arrays: Sequence[tuple[str, Any]]
) -> None:
    xp = array_module(y)
    bad = xp.argwhere(~xp.isfinite(y))
    index = tuple(int(i) for i in bad[0])
    lines = [
        f"{what}: {which} holds {float(y[index])} at index {index} ({len(bad)} of {y.size} values "
        f"are not finite)",
        f"  module: {path or '(none)'}",
        f"  line:   {call.line}",
    ]
    lines += [f"  {name}: {_range(array)}" for name, array in arrays]
    raise AnomalyError("\n".join(lines))


def _range(array: Any) -> str:
    text = f"shape {array.shape}, {array.dtype}"
    if array.dtype.kind not in "fiu":
        return text
    finite = array[array_module(array).isfinite(array)]
    if finite.size:
        text += f", from {float(finite.min()):.4g} to {float(finite.max()):.4g}"
    return (
        text if finite.size == array.size else f"{text}, and {array.size - finite.size} not finite"
    )
