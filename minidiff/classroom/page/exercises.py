"""The tab Exercises: the package's functions without their bodies, written and graded here."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from minidiff.classroom.exercises.grading import grade
from minidiff.classroom.exercises.stubs import stub
from minidiff.classroom.exercises.tables.exercises import EXERCISES, get_exercise
from minidiff.classroom.exercises.tables.hints import HINTS
from minidiff.classroom.index import all_equations
from minidiff.classroom.page.wire import on_page
from minidiff.classroom.tables.latex import LATEX

SECONDS = 10.0  # that a student's code may take
_HEADER, _FOOTER = "from __future__ import annotations\n", "\n\nif __name__ =="


class TooLong(RuntimeError):
    """The student's code does not end."""


@on_page
def exercises() -> list[dict[str, Any]]:
    """Every exercise in the order of the lecture."""
    return [
        {"name": e.name, "summary": e.summary, "slides": e.slides, "about": e.about}
        for e in EXERCISES
    ]


@on_page
def open_exercise(name: str) -> dict[str, Any]:
    """The stub, the formula if the slides have one, and how many hints there are."""
    exercise = get_exercise(name)
    ids = [id for id, known in all_equations().items() if known.function is exercise.function]
    at = EXERCISES.index(exercise)
    return {
        "name": name, "code": code_of(name), "summary": exercise.summary,
        "task": " ".join(exercise.task.split()),
        "latex": LATEX[ids[0]] if ids and exercise.hole == "" else "",
        "slides": exercise.slides, "hints": len(HINTS[name]),
        "next": EXERCISES[(at + 1) % len(EXERCISES)].name,
        "before": EXERCISES[at - 1].name, "number": at + 1, "of": len(EXERCISES),
    }  # fmt: skip


def code_of(name: str) -> str:
    """The stub from its imports on, without the lines that grade it in a terminal."""
    text = stub(get_exercise(name)).partition(_HEADER)[2].partition(_FOOTER)[0]
    return text.strip() + "\n"


@on_page
def check(name: str, code: str) -> dict[str, Any]:
    """Grade the code as `python -m minidiff exercise` does.   -> right?, and what is to be said"""
    exercise = get_exercise(name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{name}.py")
        file.write_text(code, encoding="utf-8")
        with time_limit(str(file)):
            verdict = grade(exercise, file)
    return {"right": verdict.right, "text": verdict.text.removeprefix(f"{name}: ")}


@on_page
def hint(name: str, number: int) -> str:
    """A hint by its number."""
    return HINTS[get_exercise(name).name][number - 1]


@contextlib.contextmanager
def time_limit(file: str, seconds: float = SECONDS) -> Iterator[None]:
    """Inside, code of `file` that runs for longer than this gets a TooLong at the line it is at.

    A browser has one process: nobody from outside could end a loop.
    """
    end = time.perf_counter() + seconds

    def watch(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != file:
            return None
        if time.perf_counter() > end:
            raise TooLong(f"it is not done after {seconds:g} s: a loop without an end?")
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)
