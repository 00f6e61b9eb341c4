"""`python -m minidiff lab`: the list of rounds, one round, and answers to it."""

from __future__ import annotations

import difflib
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from minidiff.classroom.lab.diagnosis import Grade, diagnose
from minidiff.classroom.lab.rounds import Round, all_rounds
from minidiff.classroom.lab.show import WIDTH, hint, reveal, show_round

HOW = """
  lab ROUND                    shows what went wrong: numbers, pictures, suspects
  lab ROUND --answer ANSWER    grades a diagnosis; a wrong one is told what it does not explain
  lab ROUND --hint [N]         a hint, the N-th
  lab ROUND --reveal           the bug, and the test that catches it
  lab ROUND --picture FILE     the pictures as a PNG"""


def listing_text(every: bool = False) -> str:
    """The rounds, one line each; without `every` the mutants by their first few."""
    from minidiff.classroom.lab.kernels import KERNELS

    rounds = list(all_rounds().values())
    history = [r for r in rounds if r.history is not None]
    mutants = [r for r in rounds if r.mutant is not None]
    lines = [f"{len(history)} bugs that programs and slides had for years:"]
    lines += [f"  {r.code:5} {r.title:42} {r.experiment.title}" for r in history]
    lines += ["", f"{len(KERNELS)} planted bugs in kernels, with the race check and gdb:"]
    lines += [f"  {k.code:5} {k.title}" for k in KERNELS.values()]
    lines += ["", f"{len(mutants)} mutants, one wrong term each; only the consequence is shown:"]
    shown = mutants if every else mutants[:6]
    lines += [f"  {r.code:5} {r.title}" for r in shown]
    if not every:
        lines.append(f"  ...   up to {mutants[-1].code}; `lab --list` names them all")
    return "\n".join([*lines, HOW])


def round_called(code: str) -> Round:
    """The round with this code.

    Raises: ValueError that names near ones.
    """
    from minidiff.classroom.lab.kernels import KERNELS

    known = all_rounds()
    name = code.strip().lower()
    if name not in known:
        near = difflib.get_close_matches(name, [*known, *KERNELS], n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "the list is `minidiff lab --list`"
        raise ValueError(f"lab: no round is called {code!r}; {hint}")
    return known[name]


def save_pictures(round: Round, file: str) -> str:
    """Write the pictures of a round as a PNG.   -> what was done, in words"""
    from minidiff.classroom.lab.figure import save_symptoms
    from minidiff.classroom.lab.rounds import symptom_of
    from minidiff.classroom.lab.symptom import right_symptom

    here, right = symptom_of(round), right_symptom(round.experiment)
    if here.failed or not here.pictures:
        reason = f"it does not run: {here.failed}" if here.failed else "it is one number"
        raise ValueError(f"lab: {round.code} has no picture, as {reason}")
    save_symptoms(Path(file), f"{round.code}: {round.title}", here, right)
    return f"wrote {file}"


def graded(grade: Grade) -> str:
    """A grade, wrapped for the terminal."""
    return textwrap.fill(grade.text, WIDTH, break_long_words=False, break_on_hyphens=False)


def play(round: Round, say: Callable[[str], None] = print) -> int:
    """Ask until the answer is right, for a terminal.   -> the exit status"""
    say(show_round(round))
    asked = 0
    while True:
        try:
            said = input(f"{round.code}> answer, hint, reveal or quit: ").strip()
        except EOFError:
            say("")
            return 1
        if said in ("quit", "q", "exit"):
            return 1
        if said in ("reveal", "r"):
            say(reveal(round))
            return 1
        try:
            if said in ("hint", "h"):
                asked = min(asked + 1, len(round.hints))
                say(hint(round, asked).partition("\n(--hint")[0])
            elif said:
                grade = diagnose(round, said)
                say(graded(grade))
                if grade.right:
                    return 0
        except ValueError as error:
            say(str(error))


def at_a_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
