"""The file that a student works in: imports, the head and the docstring, and no body."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from minidiff.classroom.exercises.exercise import Exercise

TODO = "raise NotImplementedError  # your lines go here"

_HEADER = '''"""{title}

{task}
Grade it with `python -m minidiff exercise {name}`, or run this file.
"""

from __future__ import annotations

'''

_FOOTER = """

if __name__ == "__main__":  # run the file itself to grade it, with breakpoint() where you like
    from minidiff.classroom.exercises.command import grade_here

    raise SystemExit(grade_here("{name}", __file__))
"""


def stub(exercise: Exercise) -> str:
    """The text of the file with the body taken out."""
    return _file(exercise, without_body(exercise.source, exercise.hole))


def with_code(exercise: Exercise, code: str) -> str:
    """The text of the file with `code` in place of the function."""
    return _file(exercise, code)


def _file(exercise: Exercise, code: str) -> str:
    where = ", ".join(map(str, exercise.slides))
    title = f"Exercise {exercise.name}" + (f" (slide {where})." if where else ".")
    what = exercise.task or "Write the body: what the docstring says, line by line."
    header = _HEADER.format(title=title, task=what, name=exercise.name)
    lines = header + imports_for(exercise) + "\n\n\n" + code.rstrip() + "\n"
    return lines + _FOOTER.format(name=exercise.name)


def without_body(source: str, hole: str = "") -> str:
    """A function's lines with its body, or an inner function's, replaced by a line to fill.

    hole: as in `Exercise`
    """
    outer: Any = ast.parse(source).body[0]
    target = outer
    if hole not in ("", "forward"):
        inner = (node for node in ast.walk(outer) if isinstance(node, ast.FunctionDef))
        target = next(node for node in inner if node.name == hole)
    lines = source.splitlines()
    body = target.body
    first = 1 if ast.get_docstring(target) is not None else 0
    begin = body[first - 1].end_lineno if first else body[0].lineno - 1
    indent = " " * body[0].col_offset
    return "\n".join([*lines[:begin], indent + TODO, *lines[body[-1].end_lineno :]])


def imports_for(exercise: Exercise) -> str:
    """Import lines for the names of the package's own version, from where it has them."""
    tree = ast.parse(exercise.source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    known = inspect.unwrap(exercise.function).__globals__
    home = exercise.function.__module__
    lines = {
        _import_line(name, known[name], home)
        for name in used
        if name in known and not hasattr(builtins, name)
        and name != exercise.function.__name__
    }  # fmt: skip
    lines.add("import numpy as np")
    ours = _merged(line for line in lines if "minidiff" in line)
    others = _merged(line for line in lines if "minidiff" not in line and "numpy" not in line)
    groups = (others, ["import numpy as np"], ours)
    return "\n\n".join("\n".join(group) for group in groups if group)


def _merged(lines: Iterable[str]) -> list[str]:
    """One line for all names that come from a module."""
    names: dict[str, list[str]] = {}
    for line in sorted(lines):
        module, _, name = line.partition(" import ")
        names.setdefault(module, []).extend([name] if name else [])
    return [
        f"{module} import {', '.join(found)}" if found else module
        for module, found in names.items()
    ]


def _import_line(name: str, value: Any, home: str) -> str:
    if isinstance(value, ModuleType):
        package, _, last = value.__name__.rpartition(".")
        if package and last == name:
            return f"from {package} import {name}"
        return f"import {value.__name__}" + ("" if value.__name__ == name else f" as {name}")
    own = getattr(value, "__name__", None) or getattr(value, "_name", None)
    module = getattr(value, "__module__", None)
    if own == name and module and hasattr(__import__(module, fromlist=[name]), name):
        return f"from {module} import {name}"
    return f"from {home} import {name}"
