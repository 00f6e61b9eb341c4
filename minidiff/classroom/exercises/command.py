"""`python -m minidiff exercise`: the list, the folder to work in, grades and hints."""

from __future__ import annotations

import textwrap
from pathlib import Path

from minidiff.classroom import emulated
from minidiff.classroom.exercises.exercise import Exercise
from minidiff.classroom.exercises.grading import Verdict, grade
from minidiff.classroom.exercises.isolated import SECONDS, grade_apart
from minidiff.classroom.exercises.kernels import grade_kernel, is_kernel, stub_of
from minidiff.classroom.exercises.stubs import stub
from minidiff.classroom.exercises.tables.exercises import EXERCISES, get_exercise
from minidiff.classroom.exercises.tables.hints import HINTS
from minidiff.classroom.exercises.tables.kernels import KERNEL_EXERCISES

WIDTH = 100
_README = """# Exercises

Each file is a function of minidiff without its body. Write the body, then grade it:

    python -m minidiff exercise q_sample          # in this folder
    python -m minidiff exercise q_sample --hint   # a first hint; --hint 2 for the next
    python -m minidiff exercise all               # every file that you have begun

A file can also be run by itself, with breakpoint() where you like. Your numbers are compared with
those of the package, and the first one that differs is shown with what it suggests.

{table}
"""


def listing() -> str:
    """One line for each exercise, in the order of the lecture."""
    lines = [f"{len(EXERCISES)} exercises, from the noise schedule to latent diffusion:", ""]
    for exercise in EXERCISES:
        where = f"slide {exercise.slides[0]}" if exercise.slides else ""
        lines.append(f"  {exercise.name:22} {where:9} {_cut(exercise.summary, WIDTH - 36)}")
    lines += ["", f"{len(KERNEL_EXERCISES)} in CUDA, compiled for the emulator:", ""]
    for kernel in KERNEL_EXERCISES.values():
        lines.append(f"  {kernel.name:22} {'':9} {_cut(kernel.summary, WIDTH - 36)}")
    lines += [f"  (not here: {emulated.why_not()})"] * bool(emulated.why_not())
    lines += [
        "",
        "  exercise --new DIR     writes the folder to work in",
        "  exercise NAME [DIR]    grades the file in DIR (default: here); NAME may be all",
        "  exercise NAME --hint   a hint; --hint 2 the next one",
    ]
    return "\n".join(lines)


def _kernel_file(name: str, folder: str | Path) -> Path:
    return Path(folder, f"{name}.cu")


def file_of(exercise: Exercise, folder: str | Path = ".") -> Path:
    """Where the student's version stands."""
    return Path(folder, f"{exercise.name}.py")


def new_folder(folder: str | Path) -> str:
    """Write the stubs that are not there yet.   -> what was done, in words

    Raises: ValueError if the folder is a file.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise ValueError(f"exercise --new: wanted a folder, but {path} is a file")
    path.mkdir(parents=True, exist_ok=True)
    rows = [f"- `{e.name}.py`: {e.summary}" for e in EXERCISES]
    texts = {file_of(exercise, path): stub(exercise) for exercise in EXERCISES}
    if not emulated.why_not():
        rows += [f"- `{k.name}.cu`: {k.summary}" for k in KERNEL_EXERCISES.values()]
        texts |= {_kernel_file(k.name, path): stub_of(k) for k in KERNEL_EXERCISES.values()}
    texts[path / "README.md"] = _README.format(table="\n".join(rows))
    fresh = {file: text for file, text in texts.items() if not file.exists()}
    for file, text in fresh.items():
        file.write_text(text, encoding="utf-8")
    kept = len(texts) - len(fresh)
    left = f", and left {kept} as they were" if kept else ""
    return (
        f"wrote {len(fresh)} files into {path}{left}. Begin with {path / EXERCISES[0].name}.py, "
        f"then: python -m minidiff exercise {EXERCISES[0].name} {path}"
    )


def hint(name: str, number: int = 1) -> str:
    """The hint of this number.

    Raises: ValueError if there is no such exercise or hint.
    """
    hints = KERNEL_EXERCISES[name].hints if is_kernel(name) else HINTS[get_exercise(name).name]
    if not 1 <= number <= len(hints):
        raise ValueError(f"exercise: {name} has hints 1 to {len(hints)}, got {number}")
    text = f"hint {number} of {len(hints)}: {hints[number - 1]}"
    more = f"\n(--hint {number + 1} for the next)" if number < len(hints) else ""
    return textwrap.fill(text, WIDTH) + more


def grade_files(
    name: str,
    folder: str | Path = ".",
    seconds: float = SECONDS,
    *,
    debug: bool = False,
    checks: bool = False,
) -> tuple[bool, str]:
    """Grade one exercise in a folder, or "all" that were begun.   -> all right?, the text

    debug: in this process and without a time limit, so that breakpoint() works; checks: run the
    package's tests of the function, too.
    Raises: ValueError if the file is not there.
    """
    if name == "all":
        return _grade_all(folder, seconds)
    if is_kernel(name):
        return _grade_kernel(name, folder)
    exercise = get_exercise(name)
    file = file_of(exercise, folder)
    if not file.is_file():
        what = "python -m minidiff exercise --new DIR writes it"
        raise ValueError(f"exercise: there is no {file}; {what}")
    verdict = grade(exercise, file) if debug else grade_apart(exercise, file, seconds, checks)
    return verdict.right, _text(exercise, verdict)


def _grade_kernel(name: str, folder: str | Path) -> tuple[bool, str]:
    """Grade an exercise in CUDA.

    Raises: ValueError if the file is not there; RuntimeError where nothing can be compiled.
    """
    file = _kernel_file(name, folder)
    if not file.is_file():
        what = "python -m minidiff exercise --new DIR writes it"
        raise ValueError(f"exercise: there is no {file}; {what}")
    verdict = grade_kernel(KERNEL_EXERCISES[name], file)
    text = textwrap.fill(verdict.text, WIDTH, break_long_words=False, break_on_hyphens=False)
    hint = f"\n(hints: python -m minidiff exercise {name} --hint)"
    return verdict.right, text + ("" if verdict.right else hint)


def _grade_all(folder: str | Path, seconds: float) -> tuple[bool, str]:
    there = [e for e in EXERCISES if file_of(e, folder).is_file()]
    kernels = [k for k in KERNEL_EXERCISES.values() if _kernel_file(k.name, folder).is_file()]
    if not there and not kernels:
        what = "python -m minidiff exercise --new DIR writes them"
        raise ValueError(f"exercise: there are no exercises in {folder}; {what}")
    begun = [e for e in there if file_of(e, folder).read_bytes() != stub(e).encode()]
    verdicts = [grade_apart(e, file_of(e, folder), seconds) for e in begun]
    skipped = []
    if emulated.why_not():
        skipped = [f"{k.name}: skipped: {emulated.why_not()}" for k in kernels]
    else:
        files = {k.name: _kernel_file(k.name, folder) for k in kernels}
        own = [k for k in kernels if files[k.name].read_bytes() != stub_of(k).encode()]
        verdicts += [grade_kernel(k, files[k.name]) for k in own]
    said = [*(verdict.text for verdict in verdicts), *skipped]
    lines = [textwrap.fill(text, WIDTH, subsequent_indent="    ") for text in said]
    right, left = sum(v.right for v in verdicts), len(there) + len(kernels) - len(said)
    lines.append(f"{right} right, {len(verdicts) - right} wrong, {left} to begin")
    return right == len(verdicts), "\n".join(lines)


def grade_here(name: str, file: str) -> int:
    """Grade a file that is run by itself, in this process.   -> the exit status"""
    exercise = get_exercise(name)
    verdict = grade(exercise, file)
    print(_text(exercise, verdict))
    return 0 if verdict.right else 1


def _text(exercise: Exercise, verdict: Verdict) -> str:
    text = textwrap.fill(verdict.text, WIDTH, break_long_words=False, break_on_hyphens=False)
    if verdict.right:
        following = EXERCISES[EXERCISES.index(exercise) + 1 :][:1]
        return text + (f" Next: {following[0].name}" if following else " That was the last one.")
    return text + f"\n(hints: python -m minidiff exercise {exercise.name} --hint)"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
