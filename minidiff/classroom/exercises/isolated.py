"""Grading in a process of its own, so that a loop without an end or a crash ends there."""

from __future__ import annotations

import faulthandler
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from minidiff.classroom.exercises.exercise import Exercise
from minidiff.classroom.exercises.grading import Verdict, grade
from minidiff.classroom.exercises.tables.exercises import get_exercise

SECONDS = 30.0  # that the student's code may take
START = 60.0  # that the process may take besides, to start and to end


def grade_apart(
    exercise: Exercise, file: str | Path, seconds: float = SECONDS, checks: bool = False
) -> Verdict:
    """`grade` in another process, which is ended if it takes longer than `seconds`.

    checks: run the package's tests of this function, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        verdict, stack = Path(folder, "verdict.json"), Path(folder, "stack.txt")
        command = [sys.executable, "-m", "minidiff.classroom.exercises.isolated", exercise.name,
                   str(file), str(verdict), str(stack), str(seconds),
                   *["checks"] * checks]  # fmt: skip
        try:
            done = subprocess.run(command, timeout=seconds + START, check=False)
        except subprocess.TimeoutExpired:
            return _late(exercise, seconds, "")
        if verdict.exists():
            return Verdict(*json.loads(verdict.read_text(encoding="utf-8")))
        said = stack.read_text(encoding="utf-8", errors="replace") if stack.exists() else ""
        if "Timeout" in said:
            return _late(exercise, seconds, _line_in(said, Path(file)))
        ended = f"the program ended in the middle (exit status {done.returncode})"
        return Verdict(False, f"{exercise.name}: {ended}. Does it call os._exit, or crash?")


def _late(exercise: Exercise, seconds: float, at: str) -> Verdict:
    where = f" It was at {at}." if at else ""
    why = f"it is not done after {seconds:g} s: a loop without an end?"
    return Verdict(False, f"{exercise.name}: {why}{where}")


def _line_in(stack: str, file: Path) -> str:
    """`file:line` of the innermost frame in the student's file, and the line itself."""
    frames = re.findall(r'File "(.*?)", line (\d+)', stack)
    for name, number in frames:
        if name == str(file):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            return f"{file.name}:{number}: {lines[int(number) - 1].strip()}"
    return ""


def _and_guards(exercise: Exercise, file: str, graded: Verdict) -> Verdict:
    from minidiff.classroom.exercises.guards import run_guards

    try:
        guards = run_guards(exercise, file)
    except RuntimeError as error:  # the tests are not here
        return Verdict(True, f"{graded.text} ({error})")
    return Verdict(guards.right, f"{graded.text} {guards.text}")


def main(name: str, file: str, verdict: str, stack: str, seconds: str, *checks: str) -> None:
    """In the other process: grade, and write the verdict to a file."""
    with Path(stack).open("w", encoding="utf-8") as dump:
        faulthandler.dump_traceback_later(float(seconds), exit=True, file=dump)
        exercise = get_exercise(name)
        result = grade(exercise, file)
        if checks and result.right:
            result = _and_guards(exercise, file, result)
        faulthandler.cancel_dump_traceback_later()
    Path(verdict).write_text(json.dumps(list(result)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
