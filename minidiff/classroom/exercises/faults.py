"""Known faults: the same numbers as a well-known wrong form are named by it."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import numpy as np

from minidiff.classroom.exercises.exercise import Exercise
from minidiff.classroom.exercises.results import as_numbers, items_of, steps
from minidiff.classroom.exercises.tables.faults import FAULTS, LEFT_OUT
from minidiff.classroom.tables.mutants import MUTANTS


def faults_of(exercise: Exercise) -> list[tuple[str, str, str]]:
    """(what it is, text of the right code, text of the wrong one), those of the mutants first."""
    known = [(m.what, m.old, m.new) for m in MUTANTS if m.id == exercise.about
             and m.what not in LEFT_OUT]  # fmt: skip
    source = exercise.source
    found = [*known, *FAULTS.get(exercise.name, ())]
    return [fault for fault in found if fault[1] in source]


def named_fault(exercise: Exercise, given: list[dict[str, Any]]) -> str:
    """The fault that gives the same numbers in every case; "" if none does.

    given: the results of the student's version in each case
    """
    for what, old, new in faults_of(exercise):
        # a wrong form may fail, or have no numbers
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            function = wrong_form(exercise, old, new)
            cases = exercise.cases()
            if all(
                _same(results_of(exercise, function, case), other, case, exercise.tolerance)
                for case, other in zip(cases, given, strict=True)
            ):
                return what
    return ""


def wrong_form(exercise: Exercise, old: str, new: str) -> Any:
    """The package's own version with `new` in place of the last `old`."""
    head, _, tail = exercise.source.rpartition(old)
    return function_from(exercise, head + new + tail)


def function_from(exercise: Exercise, source: str) -> Any:
    """The function that this source defines, among the names that the package's version sees."""
    source = "from __future__ import annotations\n" + source
    names = dict(exercise.function.__globals__)
    exec(compile(source, f"<{exercise.name}>", "exec"), names)  # noqa: S102 - our own source
    return names[exercise.function.__name__]


def results_of(exercise: Exercise, function: Any, case: dict[str, Any]) -> dict[str, Any]:
    """The results of one call by their names."""
    arguments = copy.deepcopy(case)
    if exercise.call is not None:
        return exercise.call(function, arguments)
    result = steps(function(**arguments))
    names = exercise.returned
    if len(names) > 1 and isinstance(result, tuple):
        return dict(zip(names, result, strict=len(result) == len(names)))
    return {names[0] if len(names) == 1 else "result": result}


def _same(a: dict[str, Any], b: dict[str, Any], case: dict[str, Any], tolerance: float) -> bool:
    pairs = zip(items_of(a, case), items_of(b, case), strict=True)
    for left, right in pairs:
        x, y = as_numbers(left), as_numbers(right)
        if x is None or y is None:
            if (x is None) != (y is None):
                return False
        elif x.shape != y.shape or not np.allclose(x, y, rtol=tolerance, equal_nan=True):
            return False
    return True
