"""The lines of a formula's code, each with the names that it sets and their values."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

from minidiff.classroom.recording import Assignment, record
from minidiff.diffusion.coefficients import Coefficients
from minidiff.engine.printing import location_of, show


def run_with_values(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Call `function` once.

    -> its place, its arguments as text, its lines as `lines_with_values` gives them
    """
    _, assignments = record(function, *args, **kwargs)
    return described(function, assignments)


def described(function: Callable[..., Any], assignments: list[Assignment]) -> dict[str, Any]:
    """The code of a function that was recorded, for the page."""
    head = inspect.unwrap(function).__code__.co_firstlineno
    given = [a for a in assignments if a.line == head and is_shown(a.value)]
    return {
        "place": location_of(function),
        "arguments": {a.name: one_line(a.value) for a in given},
        "lines": lines_with_values(function, assignments),
    }


def lines_with_values(
    function: Callable[..., Any], assignments: list[Assignment]
) -> list[dict[str, Any]]:
    """The lines below the docstring: {"text", "values": {name: text}}, of a loop the last turn."""
    first = inspect.unwrap(function).__code__.co_firstlineno
    return with_values(body_lines(function), first, assignments)


def with_values(
    body: list[tuple[int, str]], first: int, assignments: list[Assignment]
) -> list[dict[str, Any]]:
    """Each line of `body` with the values of the assignments that it made.

    body: (offset, text) of each line; first: the number of the line with offset 0
    """
    text = "\n".join(line for _, line in body)
    values: dict[int, dict[str, str]] = {}
    for a in assignments:
        if isinstance(a.value, Coefficients):
            values.setdefault(a.line, {}).update(coefficients_in(text, a.name, a.value))
        elif is_shown(a.value):
            values.setdefault(a.line, {})[a.name] = one_line(a.value)
    rows = []
    for offset, line in body:
        shown = values.get(first + offset, {}) if offset else {}
        rows.append({"text": line, "values": shown})
    return rows


def coefficients_in(text: str, name: str, now: Coefficients) -> dict[str, str]:
    """Those that the code reads, such as now.alpha_bar."""
    used = dict.fromkeys(re.findall(rf"\b{re.escape(name)}\.(\w+)", text))
    return {f"{name}.{key}": one_line(getattr(now, key)) for key in used}


def body_lines(function: Callable[..., Any]) -> list[tuple[int, str]]:
    """(offset from the first line, text) of the head and of what stands below the docstring."""
    return without_docstring("".join(inspect.getsourcelines(inspect.unwrap(function))[0]))


def without_docstring(source: str) -> list[tuple[int, str]]:
    """(offset, text) of the lines of a function, from its `def` on, without its docstring."""
    source = textwrap.dedent(source)
    definition: Any = ast.parse(source).body[0]
    lines = source.splitlines()
    first = definition.body[0]
    doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    skipped = range(first.lineno - 1, first.end_lineno) if doc else range(0)
    numbers = range(definition.lineno - 1, len(lines))
    return [(n, lines[n]) for n in numbers if n not in skipped and lines[n].strip()]


def is_shown(value: Any) -> bool:
    """Whether a value is one that a formula has: no function and no module."""
    return not callable(value) and not inspect.ismodule(value)


def one_line(value: Any) -> str:
    """The value as `show` writes it, on one line."""
    return " ".join(show(value).split())
