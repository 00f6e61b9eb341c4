"""Grading: a student's file is run on toy arguments and compared with the package, in float64."""

from __future__ import annotations

import contextlib
import copy
import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidiff.classroom.code_lines import one_line
from minidiff.classroom.exercises.exercise import Arguments, Exercise
from minidiff.classroom.exercises.faults import named_fault, results_of
from minidiff.classroom.exercises.results import (
    Item,
    Wrong,
    as_numbers,
    compare_lists,
    first_difference,
    items_of,
)
from minidiff.classroom.exercises.suggest import suggest


class Verdict(NamedTuple):
    """Whether the answer is right, and what there is to say."""

    right: bool
    text: str


def grade(exercise: Exercise, file: str | Path) -> Verdict:
    """Grade the function in a student's file. Whatever that file does, this returns a verdict."""
    try:
        function = load(exercise, file)
        count = compare(exercise, function, str(file))
    except Wrong as wrong:
        return Verdict(False, f"{exercise.name}: {wrong}")
    called = f"{len(exercise.cases())} calls, {count} numbers"
    return Verdict(True, f"{exercise.name}: right ({called} agree with the package's own).")


def load(exercise: Exercise, file: str | Path) -> Callable[..., Any]:
    """The student's function.

    Raises: Wrong if the file can't be run, or does not define the function.
    """
    path, name = Path(file), exercise.function.__name__
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Wrong(f"{path.name} is not text in UTF-8") from error
    names: dict[str, Any] = {"__name__": f"exercise_{exercise.name}", "__file__": str(path)}
    try:
        exec(compile(source, str(path), "exec"), names)  # noqa: S102 - the student's own file
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise Wrong(f"{path.name}:{error.lineno}: {error.msg}: {line}") from error
    except BaseException as error:
        raise Wrong(_in_the_file(error, str(path))) from error
    function = names.get(name)
    if not callable(function):
        raise Wrong(f"{path.name} must define {name}(...), as the stub does")
    wanted = list(inspect.signature(exercise.function).parameters)
    try:
        inspect.signature(function).bind(**dict.fromkeys(wanted))
    except TypeError as error:
        raise Wrong(f"{name} must take ({', '.join(wanted)}): {error}") from error
    except ValueError:  # of a function without a signature
        pass
    return function


def compare(exercise: Exercise, function: Callable[..., Any], file: str) -> int:
    """Call both versions on every case.   -> the number of numbers that agree

    Raises: Wrong that says which number differs first, and what that suggests.
    """
    count, seen = 0, []
    wrong: Wrong | None = None
    for case in exercise.cases():
        try:
            given = _call(exercise, function, case, file)
        except Wrong as error:
            raise wrong or error from error
        seen.append(given)
        if wrong is None:
            key = results_of(exercise, exercise.function, case)
            try:
                count += _compare_results(exercise, key, given, case)
            except Wrong as error:
                wrong = error
    if wrong is not None:
        fault = named_fault(exercise, seen)
        known = f" These numbers come out with this fault: {fault}." if fault else ""
        raise Wrong(f"{_sentence(str(wrong))}{known}")
    return count


def _call(
    exercise: Exercise, function: Callable[..., Any], case: Arguments, file: str
) -> dict[str, Any]:
    """The results of the student's version.

    Raises: Wrong if it fails, or changes an argument.
    """
    arguments = copy.deepcopy(case)
    try:
        with np.errstate(all="ignore"):
            results = results_of(exercise, _unchanged(function), arguments)
    except Wrong:
        raise
    except NotImplementedError as error:
        raise Wrong(_in_the_file(error, file)) from error
    except BaseException as error:
        raise Wrong(f"{_sentence(_in_the_file(error, file))}{_arguments_text(case)}") from error
    return results


def _unchanged(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which is Wrong if it changes an array that it was given."""

    def call(**arguments: Any) -> Any:
        before = {k: v.copy() for k, v in arguments.items() if isinstance(v, np.ndarray)}
        result = function(**arguments)
        for name, array in before.items():
            if not np.array_equal(array, arguments[name], equal_nan=True):
                how = f"in place (as {name} *= ... does): make a new array"
                raise Wrong(f"it changes its argument {name} {how}")
        return result

    return call


def _compare_results(
    exercise: Exercise, key: dict[str, Any], given: dict[str, Any], case: Arguments
) -> int:
    compare_lists(key, given)
    count = 0
    found = {(item.where, item.name): item for item in items_of(given, case)}
    steps = any(item.where for item in items_of(key, case)) or "step" in key
    for item in items_of(key, case):
        other = found.get((item.where, item.name))
        if other is None and steps:
            continue  # only the last term of a Step must be there, see `compare_lists`
        if other is None:
            raise Wrong(f"{item.name} is missing from what it returns")
        count += _compare_item(item, other, exercise.tolerance, case)
    return count


def _compare_item(item: Item, other: Item, tolerance: float, case: Arguments) -> int:
    right, given = as_numbers(item), as_numbers(other)
    label = f"{item.where}{item.name}"
    if right is None:
        return 0
    if given is None:
        raise Wrong(f"{label} is None: is `return` missing?")
    if given.shape != right.shape:
        raise Wrong(f"{label} has the shape {given.shape}, wanted {right.shape}"
                    f"{_shape_hint(right, given)}{_arguments_text(case)}")  # fmt: skip
    at = first_difference(right, given, tolerance)
    if at is None:
        return right.size
    index = f"[{', '.join(map(str, at))}]" if at else ""
    with np.errstate(all="ignore"):
        why = suggest(item.name, right, given, item.context)
    text = f"{label}{index} is {given[at]:.6g}, exact {right[at]:.6g}"
    text += f"; {why}" if why else ""
    raise Wrong(_sentence(text) + _arguments_text(case))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else text + "."


def _shape_hint(right: np.ndarray, given: np.ndarray) -> str:
    if given.ndim > right.ndim:
        return ": two arrays were broadcast, or an axis was not summed"
    if given.ndim < right.ndim:
        return ": an axis too many was summed"
    return ""


def _arguments_text(case: Arguments) -> str:
    """The small arguments of the call, so that it can be repeated by hand."""
    shown = [f"{name} = {one_line(value)}" for name, value in case.items() if _is_short(value)]
    return f" Called with {', '.join(shown)}." if shown else ""


def _is_short(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.size <= 3
    return isinstance(value, (int, float, str)) or type(value).__name__ == "Schedule"


def _in_the_file(error: BaseException, file: str) -> str:
    """An error as one line, at the student's line that led to it."""
    if isinstance(error, NotImplementedError):
        return "the body is still to be written (raise NotImplementedError stands there)"
    kind = type(error).__name__
    said = " ".join(str(error).split()) or "no message"
    if isinstance(error, RecursionError):
        said = "the function calls itself without end"
    if isinstance(error, SystemExit):
        said = "the code ends the program (exit or sys.exit)"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == file:
            at = f"{Path(file).name}:{frame.lineno}"
            with contextlib.suppress(Exception):
                return f"{at}: {kind}: {said}   (line: {frame.line})"
    return f"{kind}: {said}"
