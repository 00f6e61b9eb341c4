"""An equation's code line by line, each with the values that it computed in a run on small numbers.

The terminal (`explain --short`), the site and the page show these lines.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

from minidiff.classroom.recording import Assignment, record
from minidiff.classroom.tables.toy_arguments import small_inputs
from minidiff.diffusion.coefficients import Coefficients
from minidiff.diffusion.equation import Equation
from minidiff.engine.printing import location_of, show


class Value(NamedTuple):
    """What a line gave a name, as text; `name` is "" for what is returned."""

    name: str
    text: str


class CodeLine(NamedTuple):
    """One line of the code.

    number: in its file; values: of its last run; turns: how often it ran, as lines of loops do.
    """

    number: int
    text: str
    values: tuple[Value, ...]
    turns: int


class CodeRun(NamedTuple):
    """An equation's file, its arguments, its head, and the lines below the docstring."""

    file: str
    arguments: tuple[Value, ...]
    head: str
    lines: tuple[CodeLine, ...]
    result: str


def run(equation: Equation, inputs: dict[str, Any]) -> tuple[Any, list[Assignment]]:
    """The result of one call, and its assignments but for those of functions and modules."""
    return _run(equation.function, inputs)


def code_lines(equation: Equation) -> CodeRun:
    """Run the equation on its small numbers and put each value beside the line that computed it.

    Of a line that ran several times the last values are kept, of a schedule's coefficients
    those that the code reads. A generator is run up to its first step.
    """
    return lines_of(equation.function, small_inputs(equation))


def lines_of(function: Callable[..., Any], inputs: dict[str, Any]) -> CodeRun:
    """As `code_lines`, for any function or method and its arguments by name."""
    result, assignments = _run(function, inputs)
    function = inspect.unwrap(function)
    file, _, first_line = location_of(function).rpartition(":")
    first = int(first_line)
    source, start = inspect.getsourcelines(function)
    body = textwrap.dedent("".join(source[first - start :])).rstrip().splitlines()
    result_text = "" if inspect.isgeneratorfunction(function) else one_line(result)
    lines = [
        line._replace(values=(Value("", result_text),))
        if not line.values and _returns_a_new_value(line.text)
        else line
        for line in with_values(list(enumerate(body, first)), assignments)
    ]
    arguments = tuple(Value(a.name, one_line(a.value)) for a in assignments if a.line < first)
    return CodeRun(file, arguments, _head(function), tuple(lines), result_text)


def with_values(body: list[tuple[int, str]], assignments: list[Assignment]) -> list[CodeLine]:
    """Each line with the values of the assignments that it made.

    body: (number, text) of each line; the numbers are those of the assignments
    """
    code = "\n".join(text for _, text in body)
    last = {(a.line, a.name): a for a in assignments}
    lines = []
    for number, text in body:
        here = [a for a in last.values() if a.line == number]
        values = [value for a in here for value in _values(a, code)]
        turns = max((_turns(assignments, a) for a in here), default=1)
        lines.append(CodeLine(number, text, tuple(values), turns))
    return lines


def without_docstring(source: str) -> list[tuple[int, str]]:
    """(offset, text) of the lines of a function, from its `def` on, without its docstring.

    Blank lines are left out. The offset counts from the first line of `source`.
    """
    source = textwrap.dedent(source)
    definition: Any = ast.parse(source).body[0]
    lines = source.splitlines()
    first = definition.body[0]
    doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    skipped = range(first.lineno - 1, first.end_lineno) if doc else range(0)
    numbers = range(definition.lineno - 1, len(lines))
    return [(n, lines[n]) for n in numbers if n not in skipped and lines[n].strip()]


def _run(
    function: Callable[..., Any], inputs: dict[str, Any]
) -> tuple[Any, list[Assignment]]:
    result, assignments = record(function, **inputs)
    if isinstance(result, tuple) and len(result) == 2 and callable(result[1]):
        result = result[0]  # an operation of the engine: its value and its derivative
    shown = [a for a in assignments if not callable(a.value) and not inspect.ismodule(a.value)]
    return result, shown


def one_line(value: Any) -> str:
    """The value as `show` gives it, with single spaces; the shape only where it says more."""
    if isinstance(value, dict):  # its values have names of their own
        return "{" + ", ".join(map(str, value)) + "}"
    text = " ".join(show(value).split())
    text = re.sub(r"(?<=\[) +| +(?=[\],])", "", text)
    return re.sub(r"(\[[^()]*\]) \(\d*(?:, ?\d*)*\)$", r"\1", text)


def _values(assignment: Assignment, code: str) -> list[Value]:
    name, value = assignment.name, assignment.value
    if isinstance(value, Coefficients):
        read = dict.fromkeys(re.findall(rf"\b{name}\.(\w+)", code))
        return [Value(f"{name}.{item}", one_line(getattr(value, item))) for item in read]
    return [Value(name, one_line(value))]


def _turns(assignments: list[Assignment], of: Assignment) -> int:
    return sum(a.line == of.line and a.name == of.name for a in assignments)


def _returns_a_new_value(line: str) -> bool:
    """Whether a line of the function itself returns something that has no name yet."""
    returned = re.match(r"return (.+)", line)
    return bool(returned) and not re.fullmatch(r"[\w, ]+", returned[1])  # type: ignore[index]


def _head(function: Any) -> str:
    """The line with `def`, or the lines, down to the colon."""
    text = textwrap.dedent(inspect.getsource(function))
    definition: Any = ast.parse(text).body[0]
    lines = text.splitlines()[definition.lineno - 1 : definition.body[0].lineno - 1]
    return "\n".join(lines)
