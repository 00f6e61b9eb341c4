"""A drawing of the tape: the operations behind a result, and the parameters that they lead to.

    graph = md.draw_graph(loss, model)
    graph.save("loss.svg")     # .svg, .png and .pdf by Graphviz (pip install "minidiff[graph]")
    print(graph.dot)           # Graphviz' text, which any of its viewers draws
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from minidiff.engine.node import Input, Node, source_of
from minidiff.engine.printing import place
from minidiff.engine.tensor import Tensor

Source = Node | Tensor
TEXT, PICTURES = (".dot", ".gv"), (".svg", ".png", ".pdf")
STYLE = """\
  graph [rankdir=TB, nodesep=0.25, ranksep=0.35, bgcolor="white"]
  node [fontname="Helvetica", fontsize=11, shape=box, style="rounded,filled", color="#555555",
        fillcolor="#eef2f7"]
  edge [fontname="Helvetica", fontsize=9, color="#555555", fontcolor="#555555", arrowsize=0.7]"""
FILL = {"operation": "#eef2f7", "parameter": "#d8ecd9", "leaf": "#fbefc9", "result": "#f5d9d6"}
HOW_TO_INSTALL = (
    'wants the package graphviz (pip install "minidiff[graph]") and Graphviz\' program dot; '
    "a .dot file needs neither"
)


class Graph:
    """The tape behind a result, as text for Graphviz. A notebook shows it as a picture.

    dot: the text. operations, leaves: how many there are.
    """

    def __init__(self, dot: str, operations: int, leaves: int):
        self.dot, self.operations, self.leaves = dot, operations, leaves

    def __repr__(self) -> str:
        return (
            f"Graph({self.operations} operations, {self.leaves} leaves; .save('graph.svg') draws "
            "it, .dot is its text)"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as text (.dot, .gv) or as a picture (.svg, .png, .pdf).

        Raises: ValueError for another ending; RuntimeError if a picture is wanted and Graphviz is
        not there. Nothing is written then.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in TEXT + PICTURES:
            raise ValueError(
                f"draw_graph: path must end in {', '.join(TEXT + PICTURES)}, got {path.name!r}"
            )
        data = self.dot.encode() if ending in TEXT else self.draw(ending[1:])
        path.write_bytes(data)

    def draw(self, kind: str = "svg") -> bytes:
        """The picture that Graphviz makes of it.    kind: svg, png or pdf

        Raises: RuntimeError if Graphviz is not there, with what to install.
        """
        try:
            import graphviz  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError as error:
            raise RuntimeError(f"draw_graph: a picture {HOW_TO_INSTALL}") from error
        try:
            return bytes(graphviz.Source(self.dot).pipe(format=kind))
        except graphviz.ExecutableNotFound as error:
            raise RuntimeError(f"draw_graph: a picture {HOW_TO_INSTALL}") from error

    def _repr_svg_(self) -> str | None:
        """For notebooks; None, where only the text can be shown."""
        try:
            return self.draw().decode()
        except RuntimeError:
            return None


def draw_graph(result: Tensor, parameters: Any = None) -> Graph:
    """Draw what `result.backward()` will walk through: operations, shapes, and leaves.

    Boxes are operations, with the shape of what they made; the arrows into one carry the names
    of its arguments. What needs no gradient is not on the tape, so it is not drawn. Draw before
    `backward()`, which frees the tape.

    parameters: a module, or {name: tensor}, that tells the names of the leaves

    Raises: TypeError if result is no Tensor; ValueError if there is no tape behind it.
    """
    if not isinstance(result, Tensor):
        raise TypeError(f"draw_graph: result must be a Tensor, got {type(result).__name__}")
    if not result.requires_grad:
        raise ValueError(
            "draw_graph: result must be on the tape, but nothing that it was computed from "
            "requires a gradient, or it was computed inside no_grad()"
        )
    names = {id(tensor): name for name, tensor in _named(parameters)}
    shapes, order = _walk(result)
    number = {id(source): i for i, source in enumerate(order)}
    lines = ["digraph tape {", STYLE]
    for source in order:
        lines.append(f"  n{number[id(source)]} [{_box(source, result, shapes, names)}]")
    nodes = [source for source in order if isinstance(source, Node)]
    for node in nodes:
        for x in node.inputs:
            label = _quoted(_argument(node, x))
            lines.append(f"  n{number[id(x.source)]} -> n{number[id(node)]} [label={label}]")
    return Graph("\n".join([*lines, "}", ""]), len(nodes), len(order) - len(nodes))


def _named(parameters: Any) -> Iterable[tuple[str, Tensor]]:
    if parameters is None:
        return []
    if isinstance(parameters, Mapping):
        return parameters.items()
    if not hasattr(parameters, "named_parameters"):
        raise TypeError(
            "draw_graph: parameters must be a module or {name: tensor}, got "
            f"{type(parameters).__name__}"
        )
    found: Iterable[tuple[str, Tensor]] = parameters.named_parameters()
    return found


def _walk(result: Tensor) -> tuple[dict[int, tuple[int, ...]], list[Source]]:
    """The shape of each source by its id, and all of them, the first computed first."""
    first = source_of(result)
    shapes, found, waiting = {id(first): tuple(result.shape)}, {id(first): first}, [first]
    while waiting:
        source = waiting.pop()
        if not isinstance(source, Node):
            continue
        if source.backward is None:
            raise ValueError(
                f"draw_graph: the tape of {source.operation.name} was freed by an earlier "
                "backward(): draw before it, or call backward(retain_graph=True)"
            )
        for x in source.inputs:
            if id(x.source) not in found:
                found[id(x.source)], shapes[id(x.source)] = x.source, tuple(x.shape)
                waiting.append(x.source)
    leaves = [source for source in found.values() if not isinstance(source, Node)]
    nodes = [source for source in found.values() if isinstance(source, Node)]
    return shapes, [*leaves, *sorted(nodes, key=lambda node: node.index)]


def _box(source: Source, result: Tensor, shapes: dict, names: dict[int, str]) -> str:
    """The attributes of one box: what it is, its shape, and where it was computed."""
    shape = shapes[id(source)]
    size = "a number" if shape == () else " x ".join(map(str, shape))
    if isinstance(source, Node):
        file, _, line = source.call.line.rpartition(":")
        kind = "result" if source is source_of(result) else "operation"
        label, tip = source.operation.name, f"{place(file)}:{line}" if file else ""
    else:
        kind = "parameter" if id(source) in names else "leaf"
        label, tip = names.get(id(source), "leaf"), "requires a gradient"
    text = f"label={_quoted(label + chr(10) + size)}, tooltip={_quoted(tip)}"
    return f'{text}, fillcolor="{FILL[kind]}"' + ("" if kind == "operation" else ", penwidth=1.5")


def _argument(node: Node, x: Input) -> str:
    """The name of an argument in the operation's signature; of a list also the place in it."""
    name = node.operation.parameters[x.parameter]
    return name if x.item is None else f"{name}[{x.item}]"


def _quoted(text: str) -> str:
    """A string of Graphviz' language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
