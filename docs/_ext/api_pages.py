"""The reference in docs/api/: a page for each module with its functions and classes. Docstrings are shown as they are written."""

from __future__ import annotations

import importlib
import inspect
import sys
import textwrap
from pathlib import Path

from slide_pages import write

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from support.api_examples import PACKAGES, sections_of  # noqa: E402

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
    public = [write_public(folder, package) for package in PACKAGES]
    listing = "\n".join(f"- [{package}]({package}.md): {first_line(package)}" for package in names)
    toctree = "```{toctree}\n:hidden:\n\n" + "\n".join([*public, *names]) + "\n```\n"
    names_first = "\n".join(f"- [{package}]({name}.md): {first_line(package)}" for package, name in zip(PACKAGES, public, strict=True))
    write(
        folder / "index.md",
        f"# Reference\n\n## Public names, each with an example\n\nThe tests run every example.\n\n{names_first}\n\n"
        f"## Modules\n\nWhat their docstrings say.\n\n{listing}\n\n{toctree}",
    )


def write_public(folder: Path, package: str) -> str:
    """The page of a package's public names: a table of them, then each with its docstring and its example.    -> its name"""
    module, sections = importlib.import_module(package), sections_of(package)
    rows, parts = [], []
    for name in module.__all__:
        thing = inspect.unwrap(getattr(module, name))
        own = not isinstance(thing, (str, int, float, tuple, dict))  # a constant has its type's docstring
        text = (inspect.getdoc(thing) or "") if own else ""
        rows.append(f"| [`{name}`](#example-{name.lower().strip('_')}) | {in_a_table(text.splitlines()[0] if text else 'a constant')} |")
        parts += [f"(example-{name.lower().strip('_')})=\n## {name}\n", f"```text\n{name}{signature(thing) if own else ''}\n\n{text}\n```\n"]
        parts.append(f"```pycon\n{sections[name]}```\n")
    begin = f"All examples begin with\n\n```pycon\n{sections['']}```\n"
    table = "| name | |\n|---|---|\n" + "\n".join(rows) + "\n"
    write(folder / f"public.{package}.md", "\n".join([f"# {package}: public names\n", table, begin, *parts]))
    return f"public.{package}"


def signature(thing) -> str:
    try:
        return str(inspect.signature(thing)).replace("'", "") if callable(thing) else ""
    except ValueError:
        return ""


def in_a_table(text: str) -> str:
    """One line of a docstring, in which nothing is Markdown."""
    return "`` " + text.replace("|", "\\|").replace("`", "'") + " ``"


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
