"""The lines of a formula's code with their values, as the page takes them: dicts for JSON.

What stands beside which line is decided in classroom/code_lines.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from minidiff.classroom.code_lines import CodeLine, lines_of
from minidiff.engine.printing import location_of

INDENT = "    "


def run_with_values(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Call `function` once.

    -> its place, its arguments as text, its lines as `rows` gives them
    """
    given = inspect.signature(inspect.unwrap(function)).bind(*args, **kwargs)
    run = lines_of(function, given.arguments)
    head = [{"text": text, "values": {}} for text in run.head.splitlines()]
    body = [line._replace(text=INDENT + line.text) for line in run.lines if line.text.strip()]
    return {
        "place": location_of(function),
        "arguments": {name: text for name, text in run.arguments},
        "lines": [*head, *rows(body)],
    }


def rows(lines: Iterable[CodeLine]) -> list[dict[str, Any]]:
    """{"text", "values": {name: text}} for each line; of a loop the last turn."""
    return [
        {"text": line.text, "values": {value.name: value.text for value in line.values}}
        for line in lines
    ]
