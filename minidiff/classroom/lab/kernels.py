"""Rounds with planted bugs in kernels: what a run shows, what the race check says, and gdb.

A copy of a rung of csrc/ladder/ gets one mistake, is compiled for the emulator, and runs without
its checks, as on a GPU. `--check` turns them on. `--gdb` keeps the program for the debugger.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import textwrap
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from minidiff.classroom import emulated
from minidiff.classroom.lab.diagnosis import Grade
from minidiff.classroom.lab.listing import squeezed

WIDTH = 100


class KernelRound(NamedTuple):
    """In csrc/ladder/`rung`.cu, `old` becomes `new`; what: the bug in words"""

    code: str
    title: str
    rung: str
    old: str
    new: str
    what: str
    hints: tuple[str, ...]

    @property
    def main(self) -> str:
        """The program that runs the rung alone."""
        return f"ladder/run_{self.rung.partition('/')[0]}.cpp"


KERNELS = {
    k.code: k
    for k in (
        KernelRound(
            "k1", "A product of half-filled tiles", "conv2d/02_shared_tile",
            "__syncthreads();  // the squares are complete", ";",
            "nobody waits until the squares are complete: a barrier is missing",
            ("The formula and all indices are right.",
             "In the emulator thread 0 runs until it must wait. What is in the squares then?",
             "`--check` names the line that reads what nobody has written.")),
        KernelRound(
            "k2", "A product of tiles that change", "conv2d/02_shared_tile",
            "__syncthreads();  // nobody needs them any more", ";",
            "the next squares are loaded while others still read these: a barrier is missing",
            ("The first square is right, the later ones are not.",
             "A fast thread begins the next turn of the loop while a slow one is in this one.",
             "`--check` names the two threads and the two lines.")),
        KernelRound(
            "k3", "Probabilities that do not add up to one", "attention/02_online_softmax",
            "l *= correction;", ";",
            "the sum of the exponentials is not corrected when a new maximum comes",
            ("No thread disturbs another one: the race check has nothing to say.",
             "Everything that was added up before a new maximum must be rescaled.",
             "Two things are added up over the keys: l and o.")),
        KernelRound(
            "k4", "Thirty-two threads for eight groups", "group_norm/01_naive",
            "if (group >= n.images * n.groups) return;", ";",
            "the threads beyond the last group are not sent home, and write past the end",
            ("Even the counter stops: it knows which arrays there are.",
             "8 groups, 32 threads. What do the other 24 do?",
             "On a GPU the result may well be right: what they spoil belongs to somebody else.")),
        KernelRound(
            "k5", "Right, and more than twice the bytes", "group_norm/02_block",
            "for (int k = threadIdx.x; k < count; k += THREADS) sum +=",
            "for (int k = threadIdx.x * (count / THREADS), end = k + count / THREADS; k < end; k++)"
            " sum +=",
            "each thread reads a piece of its own, so that a warp's 32 reads lie in 32 sectors",
            ("No number is wrong. Compare the bytes that were moved.",
             "A warp reads 128 bytes in 4 sectors if its lanes read side by side.",
             "There are three loops over k. Only one of them reads in another order.")),
        KernelRound(
            "k6", "Right, and the banks wait", "attention/03_shared_tile",
            "q_tile[QUERIES][HEAD + 1]", "q_tile[QUERIES][HEAD]",
            "the rows of q_tile are a multiple of 32 numbers apart, so that all lanes hit one bank",
            ("No number is wrong. Compare the turns of the banks.",
             "Thread t reads q_tile[t][d]. Where do t and t + 1 read at the same time?",
             "One extra number in each row moves it to the next bank.")),
    )
}  # fmt: skip


def text_of(round: KernelRound, broken: bool) -> str:
    """The rung's file, with the bug or without.

    Raises: ValueError if the file has changed, so that the bug can't be planted.
    """
    text = (emulated.sources() / "ladder" / f"{round.rung}.cu").read_text(encoding="utf-8")
    if text.count(round.old) != 1:
        found = f"{round.old!r} stands there {text.count(round.old)} times"
        raise ValueError(f"lab: {round.rung}.cu has changed: {found}")
    return text.replace(round.old, round.new) if broken else text


@lru_cache(maxsize=32)
def run_of(round: KernelRound, broken: bool, checked: bool) -> emulated.Ran:
    """Compile and run it, once."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{round.rung.rpartition('/')[2]}.cu")
        file.write_text(text_of(round, broken), encoding="utf-8")
        ran = emulated.build_and_run(file, round.main, Path(folder), checked=checked)
        return ran._replace(errors=ran.errors.replace(f"{Path(folder).name}/", ""))


def said(ran: emulated.Ran) -> list[str]:
    """What a run printed, in lines."""
    lines = [*ran.out.rstrip().splitlines(), *ran.errors.rstrip().splitlines()]
    end = emulated.ending(ran.status)
    return [*lines, *[end] * bool(end)] or ["(nothing)"]


def kernel_lines(round: KernelRound) -> dict[int, str]:
    """The kernel's lines by their numbers in the file, from __global__ to its closing brace."""
    lines = text_of(round, broken=False).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("__global__"))
    last = next(i for i, line in enumerate(lines) if i > first and line == "}")
    return {i + 1: lines[i] for i in range(first, last + 1)}


def show(round: KernelRound) -> str:
    """The round: a run with the bug and one without, and the kernel as it should be."""
    broken, right = run_of(round, True, False), run_of(round, False, False)
    lines = [f"{round.code}: {round.title}", f"csrc/ladder/{round.rung}.cu with one bug, in the "
             "emulator, unchecked as on a GPU:", ""]  # fmt: skip
    lines += [f"  {line}" for line in said(broken)] + ["", "and without the bug:", ""]
    lines += [f"  {line}" for line in said(right)]
    lines += ["", "The kernel without the bug:", ""]
    lines += [f"{number:4}  {text}" for number, text in kernel_lines(round).items()]
    name = f"python -m minidiff lab {round.code}"
    lines += ["", f'Answer with a line and a term: {name} --answer "32 tile"']
    lines += [f"What the race check says: {name} --check.   For gdb: {name} --gdb DIR"]
    return "\n".join(lines)


def diagnose(round: KernelRound, answer: str) -> Grade:
    """Grade "LINE TERM".

    Raises: ValueError if the answer has another form.
    """
    lines = kernel_lines(round)
    found = re.fullmatch(r"(?:line\s*)?(\d+)\s*[:,]?\s*(.*)", answer.strip(), re.DOTALL)
    if not found or not found[2].strip():
        wanted = 'a line and a term on it, such as "32 tile"'
        raise ValueError(f"lab: {round.code} wants {wanted}, got {answer!r}")
    at, term = int(found[1]), squeezed(found[2].strip("`\"' "))
    if at not in lines:
        raise ValueError(f"lab: {round.code} has lines {min(lines)} to {max(lines)}, got {at}")
    if term not in squeezed(lines[at]):
        raise ValueError(f"lab: line {at} is `{lines[at].strip()}`; no {found[2]!r} there")
    if round.old not in lines[at]:
        return Grade(False, f"No. Line {at} stands there as in the right kernel. {_more(round)}")
    core = squeezed(round.old.partition("  //")[0])
    if term not in core and core not in term and core[: len(term)] != term:
        return Grade(False, f"It is that line, but `{term}` on it is as it should be.")
    return Grade(True, f"Right: {round.what}.")


def _more(round: KernelRound) -> str:
    """What the checked run says, which any answer must explain."""
    checked = run_of(round, True, True)
    if checked.status == 0:
        return "Race check and result find nothing: what else did the run print?"
    return f"It must explain this: {said(checked)[-1]}"


def reveal(round: KernelRound) -> str:
    """The bug, its line, and what found it."""
    at = next(n for n, text in kernel_lines(round).items() if round.old in text)
    checked = run_of(round, True, True)
    caught = said(checked)[-1] if checked.status else "nothing but the counter: the numbers above"
    return "\n".join(
        textwrap.fill(text, WIDTH, break_long_words=False)
        for text in (f"{round.code}: {round.what}.",
                     f"csrc/ladder/{round.rung}.cu:{at}: `{round.old}` had become `{round.new}`.",
                     f"Caught by: {caught}")
    )  # fmt: skip


def for_gdb(round: KernelRound, folder: str) -> str:
    """Build the program with the bug into a folder.   -> how to start gdb on it

    Raises: ValueError if the folder is a file; RuntimeError if it does not compile.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise ValueError(f"lab --gdb: wanted a folder, but {path} is a file")
    path.mkdir(parents=True, exist_ok=True)
    file = path.resolve() / f"{round.rung.rpartition('/')[2]}.cu"
    file.write_text(text_of(round, broken=True), encoding="utf-8")
    program, compiled = emulated.build(file, round.main, path.resolve())
    if compiled.status != 0:
        raise RuntimeError(f"lab: {round.code} does not compile: {compiled.errors[:300]}")
    shutil.copyfile(emulated.sources() / "kernel.gdb", path / "kernel.gdb")
    first = min(kernel_lines(round)) + 2
    return (
        f"wrote {file} and {program.name}. Then:\n\n"
        f"    gdb -x {path / 'kernel.gdb'} {path / program.name}\n"
        f"    (gdb) break {file.name}:{first} if threadIdx.x == 3\n"
        "    (gdb) run\n\n"
        "`break cuda_cpu::fail` stops at the access that a check refuses, before it happens."
    )


def run_round(options: argparse.Namespace) -> int:
    """Run `lab k1` and so on.   -> the exit status

    Raises: RuntimeError with the reason where kernels can't be compiled.
    """
    round = KERNELS[options.round.strip().lower()]
    emulated.sources()
    if options.answer is not None:
        grade = diagnose(round, options.answer)
        print(textwrap.fill(grade.text, WIDTH, break_long_words=False))
        return 0 if grade.right else 1
    if options.hint is not None:
        if not 1 <= options.hint <= len(round.hints):
            which = f"hints 1 to {len(round.hints)}, got {options.hint}"
            raise ValueError(f"lab: {round.code} has {which}")
        print(f"hint {options.hint} of {len(round.hints)}: {round.hints[options.hint - 1]}")
    elif options.reveal:
        print(reveal(round))
    elif options.check:
        print("\n".join(said(run_of(round, True, True))))
    elif options.gdb:
        print(for_gdb(round, options.gdb))
    elif options.picture:
        raise ValueError(f"lab: {round.code} has no picture, as it is a kernel")
    else:
        print(show(round))
    return 0
