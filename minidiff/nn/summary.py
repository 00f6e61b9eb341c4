"""A table of a network: its modules, what they return, and their numbers of parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from minidiff.engine.tape import no_grad

if TYPE_CHECKING:
    from minidiff.nn.module import Module


def summary(module: Module, inputs: tuple[Any, ...] = (), depth: int | None = None) -> str:
    """The table as text.

    inputs: arguments for one call of the module, which shows the shapes that its parts return.
    It is made without a graph and in evaluation mode. depth: so many levels below the module.
    """
    shapes = _shapes_returned(module, inputs) if inputs else {}
    rows: list[tuple[str, ...]] = [("module", "returns" if inputs else "", "parameters")]
    seen: set[int] = set()
    for path, part in module.named_modules():
        level = path.count(".") + 1 if path else 0
        if depth is not None and level > depth:
            continue
        name = "  " * level + (f"{path.rpartition('.')[2]}: " if path else "") + type(part).__name__
        folded = depth == level  # the parts below are counted here
        own = part.parameters() if folded else _own_parameters(part)
        new = [p for p in own if id(p) not in seen]
        seen |= {id(p) for p in new}
        count = sum(p.size for p in new)
        rows.append((name, shapes.get(id(part), ""), f"{count:,}" if count else ""))
    return "\n".join([*_aligned(rows), "", _totals(module)])


def _own_parameters(part: Module) -> list[Any]:
    """Those that are attributes of the module itself."""
    return [p for name, p in part.named_parameters() if "." not in name]


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    first, second, third = (max(map(len, column)) for column in zip(*rows, strict=True))
    for number, (name, shape, count) in enumerate(rows):
        line = f"{name:{first}}  {shape:{second}}  {count:>{third}}"
        yield line.rstrip()
        if number == 0:
            yield "-" * len(line)


def _totals(module: Module) -> str:
    parameters = list(module.parameters())
    count = module.parameter_count()
    frozen = sum(p.size for p in parameters if not p.requires_grad)
    size = sum(p.data.nbytes for p in parameters)
    text = f"{count:,} parameters, {size / 2**20:.2f} MiB"
    return text + (f", {frozen:,} of them frozen" if frozen else "")


def _shapes_returned(module: Module, inputs: tuple[Any, ...]) -> dict[int, str]:
    """{id of a module: shape of what its last call returned}, of one call of the whole."""
    shapes: dict[int, str] = {}
    modes = [(part, part.training) for _, part in module.named_modules()]
    module.eval()
    try:
        with no_grad(), _watched([part for part, _ in modes], shapes):
            module(*inputs)
    finally:
        for part, training in modes:
            part.training = training
    return shapes


@contextmanager
def _watched(parts: list[Module], shapes: dict[int, str]) -> Iterator[None]:
    """Inside the block, `forward` of each part enters the shape of its result into `shapes`."""

    def watch(part: Module) -> None:
        forward = part.forward

        def forward_watched(*args: Any, **kwargs: Any) -> Any:
            result = forward(*args, **kwargs)
            shapes[id(part)] = _shape_of(result)
            return result

        vars(part)["forward"] = forward_watched

    try:
        for part in parts:
            watch(part)
        yield
    finally:
        for part in parts:
            vars(part).pop("forward", None)


def _shape_of(result: Any) -> str:
    if isinstance(result, (tuple, list)):
        return ", ".join(map(_shape_of, result))
    return str(getattr(result, "shape", type(result).__name__))
