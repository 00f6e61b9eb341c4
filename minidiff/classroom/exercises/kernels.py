"""Exercises in CUDA: the student's kernel is compiled for the emulator, checked and compared."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np

from minidiff.classroom import emulated
from minidiff.classroom.exercises.grading import Verdict
from minidiff.classroom.exercises.results import first_difference
from minidiff.classroom.exercises.suggest import suggest
from minidiff.classroom.exercises.tables.kernels import KERNEL_EXERCISES, KernelExercise

MAIN = "exercises/run_exercise.cpp"
TODO = "    // your lines go here"
TOLERANCE = 2e-6  # float32 of a few hundred additions
_HEAD = """// Exercise {name}. Write the kernel's body; the launch is there.
// Grade it with `python -m minidiff exercise {name}`.
// It is compiled for the emulator, every access is checked, and the numbers are compared.
//
"""

ADVICE = (
    ("nobody has written", "Is a __syncthreads() missing between writing and reading, or is this "
                           "number never loaded, at the edge?"),
    ("data race", "Is a __syncthreads() missing there, or do two threads write to one place?"),
    ("out of bounds", "At the edge some threads have nothing to do: is there an if for them?"),
    ("barrier divergence", "Every thread of a block must reach each __syncthreads(): no return "
                           "and no if around it."),
    ("index", "Is the array as large as the loop believes?"),
)  # fmt: skip


def key_of(exercise: KernelExercise) -> str:
    """The package's own kernel.

    Raises: RuntimeError with the reason where the sources are not.
    """
    return (emulated.sources() / "exercises" / f"{exercise.name}.cu").read_text(encoding="utf-8")


def stub_of(exercise: KernelExercise) -> str:
    """The file that a student works in: the kernel without its body.

    Raises: RuntimeError with the reason where the sources are not.
    """
    lines = key_of(exercise).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("__global__"))
    last = next(i for i, line in enumerate(lines) if i > first and line == "}")
    text = "\n".join([*lines[: first + 1], TODO, *lines[last:]])
    return _HEAD.format(name=exercise.name) + text + "\n"


def grade_kernel(exercise: KernelExercise, file: str | Path) -> Verdict:
    """Compile a student's file, and run it on every case.

    Raises: RuntimeError with the reason where nothing can be compiled.
    """
    text = Path(file).read_text(encoding="utf-8", errors="replace")
    if TODO.strip() in text:
        return _wrong(exercise, "the body is still to be written (your lines go there).")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / f"{exercise.name}.cu"
        source.write_text(text, encoding="utf-8")
        program, compiled = emulated.build(source, MAIN, folder)
        if compiled.status != 0:
            return _wrong(exercise, _compiler_said(compiled.errors, folder))
        said, count = "", 0
        for case in exercise.cases():
            said = _of_case(exercise, case.astype(np.float32), program, folder)
            if said:
                return _wrong(exercise, f"{said} Called with a matrix of {_size(case)}.")
            count += case.size
    cases = len(exercise.cases())
    told = f"{cases} matrices, {count} numbers agree with the definition, no access was wrong"
    return Verdict(True, f"{exercise.name}: right ({told}).")


def _wrong(exercise: KernelExercise, said: str) -> Verdict:
    return Verdict(False, f"{exercise.name}: {said}")


def _of_case(exercise: KernelExercise, x: np.ndarray, program: Path, folder: Path) -> str:
    """What is wrong in one case, in a sentence; "" if nothing is."""
    given, result = folder / "x", folder / "y"
    x.tofile(given)
    result.unlink(missing_ok=True)
    ran = emulated.execute(program, str(given), str(result), *map(str, x.shape))
    if ran.status != 0:
        return _emulator_said(ran, folder)
    right = exercise.definition(x.astype(np.float64))
    y = np.fromfile(result, np.float32).reshape(right.shape).astype(np.float64)
    return _numbers(exercise, x, right, y) or _bytes(exercise, ran.out)


def _numbers(exercise: KernelExercise, x: np.ndarray, right: np.ndarray, y: np.ndarray) -> str:
    at = first_difference(right, y, TOLERANCE)
    if at is None:
        return ""
    place = f"y[{', '.join(map(str, at))}]"
    for what, wrong in exercise.known.items():
        with np.errstate(all="ignore"):
            if first_difference(wrong(x.astype(np.float64)), y, TOLERANCE) is None:
                why = f"these numbers come out with this fault: {what}."
                return f"{place} is {y[at]:.6g}, exact {right[at]:.6g}; {why}"
    if np.isnan(y[at]) and np.isfinite(y).any():
        missing = f"{np.isnan(y).sum()} of {y.size} numbers are not there"
        why = "does nobody write them, or did exp overflow?"
        return f"{place} is nan, exact {right[at]:.6g}; {missing}: {why}"
    if np.isnan(y).all():
        return "no number of y is written, or all of them are nan."
    with np.errstate(all="ignore"):
        why = suggest("y", right, y, {"x": x.astype(np.float64)})
    return f"{place} is {y[at]:.6g}, exact {right[at]:.6g}" + (f"; {why}." if why else ".")


def _bytes(exercise: KernelExercise, out: str) -> str:
    found = re.search(r"(\d+) bytes asked for, (\d+) moved", out)
    assert found, out
    asked, moved = int(found[1]), int(found[2])
    # a sector is 32 bytes: of a few numbers much more moves than is asked for
    if asked < 4096 or moved <= exercise.most_moved * asked:
        return ""
    return (
        f"the numbers are right, but {moved} bytes move for {asked} that are asked for: "
        "the threads of a warp should read and write side by side."
    )


def _emulator_said(ran: emulated.Ran, folder: Path) -> str:
    said = " ".join((ran.errors or ran.out).split()).replace(f"{folder.name}/", "")
    end = emulated.ending(ran.status)
    if not said or end:
        return f"{end or 'the program failed without a word'}."
    said = said.partition(": ")[2] or said  # the kernel's name is that of the exercise
    advice = next((advice for words, advice in ADVICE if words in said), "")
    return f"{said}. {advice}".strip()


def _compiler_said(errors: str, folder: Path) -> str:
    """The first error of the compiler, at the student's line."""
    lines = errors.replace(f"{folder}/", "").splitlines()
    first = next((line for line in lines if "error:" in line), lines[0] if lines else "no word")
    return f"it does not compile: {first.replace(' error:', '')}."


def _size(case: np.ndarray) -> str:
    return f"{case.shape[0]} x {case.shape[1]}"


def is_kernel(name: str) -> bool:
    """Whether an exercise of this name is one in CUDA."""
    return name in KERNEL_EXERCISES
