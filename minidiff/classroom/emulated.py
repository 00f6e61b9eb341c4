"""CUDA files compiled for the emulator and run, by the Makefile of csrc/: for lab and exercises."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from minidiff.classroom.coverage import repository

COMPILING = 300.0  # seconds that the compiler may take
RUNNING = 30.0  # seconds that a program may run


class Ran(NamedTuple):
    """What came of it.   stage: "compiled" or "ran"; status: of the compiler, or of the program"""

    stage: str
    status: int
    out: str
    errors: str


def why_not() -> str:
    """Why no kernel can be compiled here; "" where one can."""
    root = repository()
    if root is None or not (root / "csrc" / "Makefile").is_file():
        return "the kernels' sources are not here: they need a clone of the project, with csrc/"
    missing = [name for name in ("g++", "make") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} must be installed to compile a kernel for the emulator"
    return ""


def sources() -> Path:
    """The folder csrc/ of the clone.

    Raises: RuntimeError with the reason if kernels can't be compiled here.
    """
    reason = why_not()
    if reason:
        raise RuntimeError(reason)
    root = repository()
    assert root is not None
    return root / "csrc"


def build(source: Path, main: str, folder: Path) -> tuple[Path, Ran]:
    """Compile a .cu file with the program `main` of csrc/ into a folder.

    -> the program, and what the compiler said
    """
    csrc, program = sources(), folder / source.stem
    with _objects() as objects:
        command = ["make", "-s", "-C", str(csrc), f"{program}.emulated", f"SOURCE={source}",
                   f"MAIN={main}", f"PROGRAM={program}", f"BUILD={objects}", "EMULATE=1",
                   "KERNEL=own"]  # fmt: skip
        return Path(f"{program}.emulated"), _ran("compiled", command, COMPILING)


def build_and_run(source: Path, main: str, folder: Path, *, checked: bool = True) -> Ran:
    """`build`, then run the program.   checked: with the checks of the emulator"""
    program, compiled = build(source, main, folder)
    return compiled if compiled.status != 0 else execute(program, checked=checked)


def execute(program: Path, *arguments: str, checked: bool = True) -> Ran:
    """Run a program that `build` made."""
    more = {} if checked else {"UNCHECKED": "1"}
    return _ran("ran", [str(program), *arguments], RUNNING, more)


def ending(status: int) -> str:
    """How a program ended that did not return 0 or 1, in words; "" if it did."""
    if status >= 0:
        return "" if status in (0, 1) else f"the program ended with status {status}"
    if -status == signal.SIGALRM:
        return f"it is not done after {RUNNING:g} s: a loop without an end?"
    with contextlib.suppress(ValueError):
        return f"the program was ended by {signal.Signals(-status).name}"
    return f"the program was ended by signal {-status}"


def _ran(stage: str, command: list[str], seconds: float, more: dict[str, str] | None = None) -> Ran:
    """Run a command. One that takes too long counts as ended by SIGALRM."""
    environment = {**os.environ, **(more or {}), "LC_ALL": "C"}
    environment.pop("MAKEFLAGS", None)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace",
            timeout=seconds, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Ran(stage, -signal.SIGALRM, "", "")
    return Ran(stage, done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def _objects() -> Iterator[Path]:
    """The folder with the emulator's objects, for one compiler at a time.

    It is build/ladder of the clone, as for `make run`; where that can't be written, one that is
    deleted afterwards.
    """
    folder = sources().parent / "build" / "ladder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    import fcntl  # not on Windows, where there is no emulator either

    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
