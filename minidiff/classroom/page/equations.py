"""The tab Equation: every formula with its code, its numbers, its checks and its bugs."""

from __future__ import annotations
import __future__

import contextlib
import inspect
import json
import linecache
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidiff.classroom.code_lines import one_line, with_values, without_docstring
from minidiff.classroom.coverage import in_words, slides_of, tests_by_equation
from minidiff.classroom.explain import run
from minidiff.classroom.index import all_equations, get_equation
from minidiff.classroom.mutants import run_checks
from minidiff.classroom.page.lines import rows
from minidiff.classroom.page.wire import on_page, sentence
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.mutants import MUTANTS
from minidiff.classroom.tables.toy_arguments import small_inputs
from minidiff.diffusion.equation import Equation
from minidiff.diffusion.schedule import Schedule, make_schedule

EDITED = "<code on the page>"


@on_page
def index() -> list[dict[str, Any]]:
    """Every equation: its id, its formula in code names, and its slides."""
    bugs = {mutant.id for mutant in MUTANTS}
    return [
        {
            "id": id, "summary": equation.summary, "bug": id in bugs,
            "slides": [slide.number for slide in slides_of(id)],
        }
        for id, equation in all_equations().items()
    ]  # fmt: skip


@on_page
def open_equation(id: str) -> dict[str, Any]:
    """Formula, code, place, corrections, and the arguments that can be changed."""
    equation = get_equation(id)
    return {
        "id": id,
        "latex": LATEX[id],
        "summary": equation.summary,
        "code": code_of(equation),
        "place": equation.location,
        "paper": equation.paper,
        "slides": [[slide.number, slide.title] for slide in slides_of(id)],
        "errata": [[number, *ERRATA[number]] for number in equation.errata],
        "checks": [test.rpartition("::")[2] for test in tests_by_equation().get(id, [])],
        "bugs": sum(mutant.id == id for mutant in MUTANTS),
        "arguments": [
            {"name": name, "text": as_text(value), "fixed": as_text(value) is None,
             "shown": one_line(value)}
            for name, value in small_inputs(equation).items()
        ],
    }  # fmt: skip


def code_of(equation: Equation) -> str:
    """The function without decorator and docstring: what a student edits."""
    return "\n".join(line for _, line in without_docstring(equation.source))


def as_text(value: Any) -> str | None:
    """A value as a student can type it; None if it is no number, array, word or schedule."""
    if isinstance(value, Schedule):
        return f"{value.config['name']} {value.T}"
    if isinstance(value, np.ndarray):
        return json.dumps(value.tolist())
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return str(value)
    return None


def from_text(name: str, text: str, like: Any) -> Any:
    """The value that was typed for the argument `name`.

    Raises: ValueError that says what was wanted.
    """
    try:
        if isinstance(like, Schedule):
            kind, T = text.split()
            return make_schedule(kind, int(T))
        if isinstance(like, np.ndarray):
            return np.array(json.loads(text), dtype=like.dtype)
        return type(like)(text)
    except (ValueError, TypeError) as error:
        wanted = "a name and T, such as linear 10" if isinstance(like, Schedule) else None
        wanted = wanted or f"{type(like).__name__} like {as_text(like)}"
        raise ValueError(f"{name}: wanted {wanted}, got {text!r}") from error


@contextlib.contextmanager
def edited(equation: Equation, code: str) -> Iterator[None]:
    """The equation's function with this code inside, for everyone who has imported it.

    Raises: SyntaxError for code that is none; ValueError if it defines another function.
    """
    function = equation.function
    if code == code_of(equation):
        yield
        return
    names: dict[str, Any] = {}
    source = code + "\n"
    flags = __future__.annotations.compiler_flag  # as in the module that the code comes from
    compiled = compile(source, EDITED, "exec", flags)
    exec(compiled, function.__globals__, names)  # noqa: S102 - the reader's own code
    if function.__name__ not in names:
        raise ValueError(f"the code must define {function.__name__}(...)")
    linecache.cache[EDITED] = len(source), None, source.splitlines(True), EDITED
    original = function.__code__, function.__defaults__
    try:
        function.__code__ = names[function.__name__].__code__
        yield
    finally:
        function.__code__, function.__defaults__ = original


def inputs_from(equation: Equation, arguments: dict[str, str]) -> dict[str, Any]:
    """The small inputs, with what was typed in their place."""
    given = small_inputs(equation)
    return {
        name: from_text(name, arguments[name], value)
        if name in arguments and as_text(value) is not None
        else value
        for name, value in given.items()
    }


@on_page
def run_equation(id: str, code: str, arguments: dict[str, str]) -> dict[str, Any]:
    """Run the code as it is edited.   -> each line with its values, and the result"""
    equation = get_equation(id)
    inputs = inputs_from(equation, arguments)
    own = code == code_of(equation)
    with edited(equation, code):
        result, assignments = run(equation, inputs)
        first = equation.function.__code__.co_firstlineno
    own_lines = without_docstring(inspect.getsource(equation.function))  # from its decorator on
    body = own_lines if own else list(enumerate(code.splitlines()))
    numbered = [(first + offset, text) for offset, text in body]
    made = [a for a in assignments if a.line > first]  # on the first line: the arguments
    return {"lines": rows(with_values(numbered, made)), "result": one_line(result)}


@on_page
def check(id: str, code: str) -> dict[str, Any]:
    """Run the exact checks of the equation on the edited code.

    difference: the first number that differs from the package's own, on the small inputs
    """
    equation = get_equation(id)
    with edited(equation, code):
        seen = run_checks([id])
    return {
        "passed": seen.failed is None, "count": seen.passed, "test": in_words(seen.failed or ""),
        "why": seen.why, "difference": "" if seen.failed is None else difference(equation, code),
    }  # fmt: skip


def difference(equation: Equation, code: str) -> str:
    """Which number of the result differs first, on the small inputs; "" where none can be named."""
    right, _ = run(equation, small_inputs(equation))
    try:
        with edited(equation, code):
            wrong, _ = run(equation, small_inputs(equation))
        right, wrong = np.asarray(right, np.float64), np.asarray(wrong, np.float64)
    except Exception as error:
        return sentence(error)
    name = returned_name(code_of(equation))
    if right.shape != wrong.shape:
        return f"{name} has the shape {wrong.shape}, right is {right.shape}"
    places = np.argwhere(~np.isclose(wrong, right, rtol=1e-9, atol=1e-12))
    if not len(places):
        return ""
    at = tuple(places[0].tolist())
    where = f"{name}{list(at)}" if at else name
    return f"{where} is {wrong[at]:.6g}, right is {right[at]:.6g}"


def returned_name(code: str) -> str:
    """The name that the function returns last, or "the result"."""
    last = code.strip().splitlines()[-1].strip()
    name = last.removeprefix("return ").strip()
    return name if last.startswith("return ") and name.isidentifier() else "the result"


@on_page
def bug(number: int | None = None) -> dict[str, Any]:
    """A round of "find the bug": an equation with one wrong term."""
    number = (0 if number is None else number) % len(MUTANTS)
    mutant = MUTANTS[number]
    equation = get_equation(mutant.id)
    wrong = code_of(equation).replace(mutant.old.rstrip("\n"), mutant.new.rstrip("\n"))
    return {"number": number, "of": len(MUTANTS), "id": mutant.id, "code": wrong}


@on_page
def reveal(number: int) -> str:
    """What is wrong in a round, in words."""
    return MUTANTS[number].what
