"""Where an equation stands in the source, and what its variables are while it runs."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]


def summary(function: Callable[..., Any]) -> str:
    """First paragraph of the docstring on one line: the formula in the names of the code."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


def location(thing: Any) -> str:
    """`minidiff/diffusion/forward.py:32`, wherever the package is installed."""
    path = Path(inspect.getsourcefile(thing) or "?").resolve()
    if path.is_relative_to(PACKAGE):
        path = path.relative_to(PACKAGE.parent)
    return f"{path.as_posix()}:{inspect.getsourcelines(thing)[1]}"


def source_of(function: Callable[..., Any]) -> str:
    """The function's lines without its decorators."""
    source = textwrap.dedent(inspect.getsource(function))
    definition = ast.parse(source).body[0]
    return "\n".join(source.splitlines()[definition.lineno - 1 :])  # type: ignore[attr-defined]


def trace(
    function: Callable[..., Any], *args: Any, **kwargs: Any
) -> tuple[Any, dict[str, Any]]:
    """Run `function` and catch its local variables.

    -> (what it returned, {name: value} in the order of the source)
    """
    terms: dict[str, Any] = {}

    def on_call(frame: FrameType, event: str, arg: Any) -> Any:
        return on_line if frame.f_code is function.__code__ else None  # type: ignore[attr-defined]

    def on_line(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "return":
            terms.clear()
            terms.update(frame.f_locals)
        return on_line

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        result = function(*args, **kwargs)
    finally:
        sys.settrace(before)
    return result, terms
