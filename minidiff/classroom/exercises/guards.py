"""`--checks`: the tests that guard the package's own function are run on the student's."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from minidiff.classroom.coverage import in_words, repository, tests_by_equation
from minidiff.classroom.exercises.exercise import Exercise
from minidiff.classroom.exercises.grading import Verdict, load
from minidiff.classroom.index import all_equations
from minidiff.classroom.mutants import run_checks

_STUDENT = "_students_function"


def guards_of(exercise: Exercise) -> list[str]:
    """The ids of the equations whose tests can run on the student's function.

    None for an exercise that leaves a part of the package's function out.
    """
    if exercise.is_a_part:
        return []
    known = all_equations().items()
    ids = [id for id, equation in known if equation.function is exercise.function]
    return [id for id in ids if tests_by_equation().get(id)]


def run_guards(exercise: Exercise, file: str) -> Verdict:
    """Run these tests.   -> whether they pass, and what the first failed one says

    Raises: RuntimeError without the tests or pytest; Wrong if the file has no such function.
    """
    if repository() is None:
        raise RuntimeError("its tests are not installed here: they need a clone of the project")
    ids = guards_of(exercise)
    if not ids:
        why = "is graded by numbers alone: no test of the package is for just this"
        return Verdict(True, f"{exercise.name} {why}.")
    with replaced(exercise.function, load(exercise, file)):
        seen = run_checks(ids)
    if seen.failed is None:
        tests = "one test of it passes" if seen.passed == 1 else f"{seen.passed} tests of it pass"
        return Verdict(True, f"The package's own {tests}, too.")
    said = in_words(seen.failed)
    return Verdict(
        False, f'{exercise.name}: the test "{said}" of the package fails: {seen.why}'
    )


@contextlib.contextmanager
def replaced(function: Callable[..., Any], by: Callable[..., Any]) -> Iterator[None]:
    """Everyone who has imported `function` calls `by` inside the block."""
    kinds = inspect.Parameter
    head, call, star = [], [], False
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is kinds.VAR_KEYWORD:
            head.append(f"**{name}")
            call.append(f"**{name}")
            continue
        if parameter.kind is kinds.KEYWORD_ONLY and not star:
            head.append("*")
            star = True
        head.append(name)
        call.append(f"{name}={name}")
    text = f"def forward({', '.join(head)}):\n    return {_STUDENT}({', '.join(call)})\n"
    names: dict[str, Any] = {}
    exec(text, names)  # noqa: S102 - the line above
    original = function.__code__
    function.__globals__[_STUDENT] = by
    function.__code__ = names["forward"].__code__
    try:
        yield
    finally:
        function.__code__ = original
        del function.__globals__[_STUDENT]
