"""A round as text: the numbers of the symptom beside the right ones, pictures, and the suspects."""

from __future__ import annotations

import textwrap

from minidiff.classroom.coverage import repository
from minidiff.classroom.lab.diagnosis import number, told
from minidiff.classroom.lab.listing import listing
from minidiff.classroom.lab.rounds import Round, choices, symptom_of
from minidiff.classroom.lab.sketch import side_by_side, sketch
from minidiff.classroom.lab.symptom import MARGIN, Symptom, differences, right_symptom
from minidiff.classroom.lab.tables.causes import CAUSES
from minidiff.classroom.mutants import run_checks

WIDTH = 100


def show_round(round: Round) -> str:
    """What a student sees of a round: nothing of the bug but its consequence."""
    here, right = symptom_of(round), right_symptom(round.experiment)
    lines = [f"{round.code}: {round.title}", *_filled(round.experiment.about), ""]
    if here.failed:
        lines += _filled(f"It does not run: {here.failed}")
    else:
        lines += table(here, right)
        for mine, good in list(zip(here.pictures, right.pictures, strict=True))[:MOST]:
            lines += ["", *side_by_side(["here", *sketch(mine)], ["right", *sketch(good)])]
    lines += ["", *question(round)]
    return "\n".join(lines)


MOST = 2  # pictures in a terminal


def table(here: Symptom, right: Symptom) -> list[str]:
    """The numbers; those that show the bug are marked."""
    apart = differences(here, right)
    width = max(map(len, here.measures))
    lines = [f"  {'':{width}}  {'here':>10}  {'right':>10}"]
    for name, value in here.measures.items():
        mark = "  <" if apart[name] > MARGIN else ""
        lines.append(f"  {name:{width}}  {number(value):>10}  "
                     f"{number(right.measures[name]):>10}{mark}")  # fmt: skip
    return lines


def question(round: Round) -> list[str]:
    """What is to be answered, and how."""
    if round.history is not None:
        lines = ["What is wrong?"]
        for letter, key in choices(round).items():
            first, *rest = textwrap.wrap(CAUSES[key].text, WIDTH - 8)
            lines += [f"  {letter}) {first}", *(f"     {line}" for line in rest)]
        return [*lines, f"Answer: python -m minidiff lab {round.code} --answer a"]
    lines = ["One term on one of these lines was another one. This is how the package has them:"]
    for line in listing(round.experiment.suspects):
        if line.number:
            lines.append(f"{line.number:4}  {line.text}")
        else:
            head = line.text if len(line.text) <= WIDTH - 6 else line.text[: WIDTH - 9] + "..."
            lines += ["", line.id, f"      {head}"]
    ask = f'Answer with a line and a term: python -m minidiff lab {round.code} --answer "2 x_t"'
    return [*lines, "", ask]


def hint(round: Round, which: int = 1) -> str:
    """A hint by its number.

    Raises: ValueError if there is none.
    """
    hints = round.hints
    if not 1 <= which <= len(hints):
        raise ValueError(f"lab: {round.code} has hints 1 to {len(hints)}, got {which}")
    more = f"\n(--hint {which + 1} for the next)" if which < len(hints) else ""
    return textwrap.fill(f"hint {which} of {len(hints)}: {hints[which - 1]}", WIDTH) + more


def reveal(round: Round) -> str:
    """What is wrong, with the change of the code, and the test that notices it."""
    if round.mutant is not None:
        lines = [f"{round.code}: {told(round.mutant)}", caught_by(round)]
    else:
        assert round.history is not None
        cause = CAUSES[round.history.cause]
        lines = [f"{round.code}: {cause.text}."]
        for patch in cause.patches:
            lines += [f"  minidiff.{patch.target}", *_change("-", patch.old),
                      *_change("+", patch.new)]  # fmt: skip
        lines += [f"Where it was: {round.history.seen}", f"To keep: {round.history.lesson}"]
    return "\n".join(part for line in lines for part in _filled(line))


def caught_by(round: Round) -> str:
    """The test of the package that fails with the bug, in words."""
    assert round.mutant is not None
    if repository() is None:
        return "The tests that catch it are not installed here: they need a clone of the project."
    try:
        with round.bug():
            seen = run_checks([round.mutant.id])
    except RuntimeError as error:
        return f"The tests that catch it can't run here: {error}"
    name = (seen.failed or "").rpartition("::")[2]
    return f"Caught by {name}: {seen.why}" if seen.failed else "No test caught it."


def _change(mark: str, text: str) -> list[str]:
    return [f"    {mark} {line.strip()}" for line in text.splitlines() if line.strip()] or [
        f"    {mark} (nothing)"
    ]


def _filled(text: str) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False) or [""]
