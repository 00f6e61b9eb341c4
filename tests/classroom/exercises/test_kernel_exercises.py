"""The exercises in CUDA: the package's own kernel passes, wrong ones fail, and their fault is named."""

import re

import pytest

from minidiff.__main__ import main
from minidiff.classroom import emulated
from minidiff.classroom.exercises import kernels
from minidiff.classroom.exercises.kernels import TODO, grade_kernel, key_of, stub_of
from minidiff.classroom.exercises.tables.exercises import EXERCISES
from minidiff.classroom.exercises.tables.kernels import KERNEL_EXERCISES

needs_compiler = pytest.mark.skipif(bool(emulated.why_not()), reason=emulated.why_not() or "-")

NAMES = {  # what the message must say of each fault
    ("transpose_tile", "no barrier"): "shared memory that nobody has written: thread (1,0,0) of block (0,0,0) reads at transpose_tile.cu:",
    ("transpose_tile", "x beyond its edge"): "out of bounds: thread",
    ("transpose_tile", "y beyond its edge"): "is this number never loaded, at the edge?",
    ("transpose_tile", "each square is not turned"): "with this fault: each square is not turned.",
    ("transpose_tile", "without the tile: every lane of a warp writes to another sector"): "the threads of a warp should read and write side by side",
    ("softmax_row", "the largest is not subtracted"): "did exp overflow?",
    ("softmax_row", "every thread has its own sum"): "with this fault: every thread has its own sum.",
    ("softmax_row", "only as many columns as threads"): "y[0, 128] is nan, exact 0.0214554; 44 of 300 numbers are not there",
    ("softmax_row", "no barrier before the memory is used again"): "data race in shared memory: thread",
    ("softmax_row", "no barrier after the sums"): "Is a __syncthreads() missing there",
    ("softmax_row", "columns beyond the last"): "element 1 past the end of an array of 384 elements",
    ("softmax_row", "not divided by the sum"): "with this fault: not divided by the sum.",
}  # fmt: skip
FAULTS = [(name, *fault) for name, exercise in KERNEL_EXERCISES.items() for fault in exercise.faults]


def graded(tmp_path, name, text):
    file = tmp_path / f"{name}.cu"
    file.write_text(text, encoding="utf-8")
    return grade_kernel(KERNEL_EXERCISES[name], file)


def body(name, lines):
    """The stub with these lines for the body."""
    return stub_of(KERNEL_EXERCISES[name]).replace(TODO, lines)


def test_each_has_at_least_three_wrong_answers_and_a_name_of_its_own():
    assert {(name, what) for name, what, _, _ in FAULTS} == set(NAMES)
    assert all(len(exercise.faults) >= 3 and exercise.hints for exercise in KERNEL_EXERCISES.values())
    assert not {exercise.name for exercise in EXERCISES} & set(KERNEL_EXERCISES)


@needs_compiler
@pytest.mark.parametrize("name", KERNEL_EXERCISES)
def test_the_packages_own_kernel_is_right_and_a_stub_is_to_be_written(name, tmp_path):
    exercise = KERNEL_EXERCISES[name]
    verdict = graded(tmp_path, name, key_of(exercise))
    assert verdict.right and "numbers agree with the definition, no access was wrong" in verdict.text, verdict.text
    stub = stub_of(exercise)
    assert TODO in stub and len(stub.splitlines()) < len(key_of(exercise).splitlines()) + 2
    assert "the body is still to be written" in graded(tmp_path, name, stub).text


@needs_compiler
@pytest.mark.parametrize(("name", "what", "old", "new"), FAULTS, ids=lambda text: text[:40])
def test_a_wrong_kernel_fails_and_the_message_names_the_fault(name, what, old, new, tmp_path):
    head, found, tail = key_of(KERNEL_EXERCISES[name]).rpartition(old)
    assert found, f"{name}.cu has changed"
    verdict = graded(tmp_path, name, head + new + tail)
    assert not verdict.right and NAMES[name, what] in verdict.text, verdict.text
    assert " Called with a matrix of " in verdict.text and str(tmp_path) not in verdict.text


@needs_compiler
@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("transpose_tile", "    tile[0][0] = x[0];", r"it does not compile: transpose_tile.cu:\d+:5: .tile. was not declared in this scope"),
        ("transpose_tile", "", "no number of y is written, or all of them are nan"),
        ("transpose_tile", "    const int i = blockIdx.y * TILE + threadIdx.y, j = blockIdx.x * TILE + threadIdx.x;\n"
         "    if (i < rows && j < columns) y[i * columns + j] = x[i * columns + j];", "the numbers are copied, not turned"),
        ("softmax_row", "    if (threadIdx.x < 3) __syncthreads();\n    y[threadIdx.x] = 0;", "barrier divergence"),
        ("softmax_row", "    for (int j = threadIdx.x; j < columns; j += THREADS) y[blockIdx.x * columns + j] = 2;", "y.0, 0. is 2, exact 0.00781096"),
    ],
)  # fmt: skip
def test_what_else_goes_wrong_is_said(name, lines, said, tmp_path):
    verdict = graded(tmp_path, name, body(name, lines))
    assert not verdict.right and re.search(said, verdict.text), verdict.text


@needs_compiler
def test_a_loop_without_an_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(emulated, "RUNNING", 2.0)
    verdict = graded(tmp_path, "softmax_row", body("softmax_row", "    while (columns) y[0] = x[0];"))
    assert not verdict.right and "a loop without an end?" in verdict.text


@needs_compiler
def test_the_command_writes_grades_and_hints(tmp_path, capsys):
    assert main(["exercise", "--new", str(tmp_path)]) == 0
    assert {path.stem for path in tmp_path.glob("*.cu")} == set(KERNEL_EXERCISES)
    assert "`softmax_row.cu`" in (tmp_path / "README.md").read_text()
    assert main(["exercise", "softmax_row", str(tmp_path)]) == 1
    assert "(hints: python -m minidiff exercise softmax_row --hint)" in capsys.readouterr().out
    assert main(["exercise", "softmax_row", "--hint"]) == 0
    assert "hint 1 of 4: Three passes over the row" in capsys.readouterr().out
    (tmp_path / "transpose_tile.cu").write_text(key_of(KERNEL_EXERCISES["transpose_tile"]))
    assert main(["exercise", "all", str(tmp_path)]) == 0
    assert f"1 right, 0 wrong, {len(EXERCISES) + 1} to begin" in capsys.readouterr().out


def test_without_a_compiler_they_are_skipped_and_the_reason_is_said(tmp_path, monkeypatch, capsys):
    reason = "g++ must be installed to compile a kernel for the emulator"
    monkeypatch.setattr(emulated, "why_not", lambda: reason)
    assert main(["exercise"]) == 0
    assert f"(not here: {reason})" in capsys.readouterr().out
    assert main(["exercise", "--new", str(tmp_path)]) == 0 and not list(tmp_path.glob("*.cu"))
    (tmp_path / "softmax_row.cu").write_text("mine")
    assert main(["exercise", "softmax_row", str(tmp_path)]) == 2
    assert capsys.readouterr().err.strip() == f"minidiff: {reason}"
    assert main(["exercise", "all", str(tmp_path)]) == 0
    assert f"softmax_row: skipped: {reason}" in capsys.readouterr().out


def test_a_file_that_is_not_there_and_a_name_that_is_nearly_right(tmp_path, capsys):
    assert main(["exercise", "softmax_row", str(tmp_path)]) == 2
    assert "there is no" in capsys.readouterr().err
    assert main(["exercise", "softmaxrow"]) == 2
    assert "did you mean softmax_row" in capsys.readouterr().err
    assert main(["exercise", "softmax_row", "--hint", "9"]) == 2
    assert "softmax_row has hints 1 to 4, got 9" in capsys.readouterr().err


def test_what_a_program_without_a_word_is_called(tmp_path):
    assert kernels._emulator_said(emulated.Ran("ran", -11, "", ""), tmp_path) == "the program was ended by SIGSEGV."
