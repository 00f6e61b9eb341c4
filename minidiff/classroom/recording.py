"""The terms of a formula while it runs: each assignment, with the value of its moment."""

from __future__ import annotations

import inspect
import linecache
import operator
import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from minidiff.engine.backend import is_array
from minidiff.engine.printing import plain_array


class Assignment(NamedTuple):
    """A name got a value, or its array was changed in place.

    value: a copy of an array, so that later changes don't show; line: number of the line
    that did it, or of the function's head for its arguments.
    """

    name: str
    value: Any
    line: int


def record(
    function: Callable[..., Any], *args: Any, **kwargs: Any
) -> tuple[Any, list[Assignment]]:
    """Run `function` and note its arguments and each of its assignments.

    A generator runs up to its first `yield`; what it yields is the result. Functions that
    `function` calls are not recorded.   -> (result, assignments)
    """
    function = inspect.unwrap(function)
    found: list[Assignment] = []
    seen: dict[str, tuple[Any, Any]] = {}  # name -> (object, copy)
    line = function.__code__.co_firstlineno

    def on_call(frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code is not function.__code__:
            return None
        note(frame)
        return on_line

    def on_line(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal line
        if event in ("line", "return"):
            note(frame)
            line = frame.f_lineno
        return on_line

    def note(frame: FrameType) -> None:
        variables = frame.f_locals
        names = [name for name in variables if _changed(seen.get(name), variables[name])]
        text = linecache.getline(frame.f_code.co_filename, line)
        for name in sorted(names, key=lambda name: _position(name, text)):
            seen[name] = variables[name], _copy(variables[name])
            found.append(Assignment(name, seen[name][1], line))

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        result = function(*args, **kwargs)
        if inspect.isgenerator(result):
            result = next(result)
    finally:
        sys.settrace(before)
    return result, found


def trace(
    function: Callable[..., Any], *args: Any, **kwargs: Any
) -> tuple[Any, dict[str, Any]]:
    """As `record`, with the last value of each name.    -> (result, {name: value})"""
    result, assignments = record(function, *args, **kwargs)
    return result, {name: value for name, value, _ in assignments}


def _changed(seen: tuple[Any, Any] | None, value: Any) -> bool:
    """Whether a name is new or means another object, or its numbers or items changed."""
    if seen is None or seen[0] is not value:
        return True
    before, now = seen[1], plain_array(value)
    if isinstance(now, list):
        return len(now) != len(before) or any(map(operator.is_not, now, before))
    if not is_array(now) or now.shape != before.shape:
        return is_array(now)
    same = (now == before) | ((now != now) & (before != before))  # NaN is not NaN
    return not bool(same.all())


def _copy(value: Any) -> Any:
    value = plain_array(value)
    if isinstance(value, list):
        return list(value)
    return value.copy() if is_array(value) else value


def _position(name: str, text: str) -> float:
    found = re.search(rf"\b{re.escape(name)}\b", text)
    return found.start() if found else float("inf")
