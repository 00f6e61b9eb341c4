"""The reference in docs/api/: a page for each module with its functions and classes. Docstrings are shown as they are written."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from pathlib import Path

from slide_pages import write

from minidiff.engine.operation import Operation

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("minidiff.classroom.tables", "minidiff.classroom.plans", "minidiff.__main__")


def modules() -> dict[str, list[str]]:
    """{package: its modules}, without those that are only data."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "minidiff").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if path.name != "__init__.py" and not name.startswith(LEFT_OUT):
            found.setdefault(name.rpartition(".")[0], []).append(name)
    return found


def write_pages(app) -> None:
    folder, names = Path(app.srcdir) / "api", []
    for package, members in modules().items():
        heads = [
            f"```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n   :member-order: bysource\n\n{operations(name)}\n```" for name in members
        ]
        sections = [f"## {name.rpartition('.')[2]}\n\n{head}\n" for name, head in zip(members, heads, strict=True)]
        write(folder / f"{package}.md", "\n".join([f"# {package}\n", *sections]))
        names.append(package)
    listing = "\n".join(f"- [{package}]({package}.md): {first_line(package)}" for package in names)
    toctree = "```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"
    write(folder / "index.md", f"# Reference\n\nThe modules of each package, with what their docstrings say.\n\n{listing}\n\n{toctree}")


def operations(module: str) -> str:
    """The operations of a module: they are objects, not functions, so autodoc passes them over."""
    names = vars(importlib.import_module(module)).values()
    found = {id(thing): thing for thing in names if isinstance(thing, Operation)}.values()  # silu is swish
    lines = [f".. py:currentmodule:: {module}", ""]
    for operation in found:
        function = inspect.unwrap(operation)
        if function.__module__ == module:
            text = textwrap.indent(inspect.getdoc(function) or "", "       ")
            lines += [f".. py:function:: {function.__name__}{inspect.signature(function)}", "", "   ::", "", text, ""]
    return "\n".join(lines)


def first_line(package: str) -> str:
    """The summary of a package."""
    module = __import__(package, fromlist=["_"])
    text = (inspect.getdoc(module) or "").split("\n\n")[0]
    return " ".join(text.split()).replace("*", "\\*").replace("_", "\\_").replace("<", "\\<")


def as_written(app, what, name, obj, options, lines) -> None:
    """The docstring as a literal block: formulas in it are no reStructuredText."""
    text = list(lines)
    if any(text):
        lines[:] = ["::", "", *(f"    {line}" for line in text), ""]


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", as_written)
    return {"parallel_read_safe": True}
