"""Grading a diagnosis: right, or wrong with what it does not explain."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

from minidiff.classroom.lab.listing import Line, listing, place_of, squeezed
from minidiff.classroom.lab.rounds import Round, choices, symptom_of, symptom_of_cause
from minidiff.classroom.lab.symptom import (
    Symptom,
    largest_difference,
    observed,
    right_symptom,
)
from minidiff.classroom.lab.tables.causes import CAUSES
from minidiff.classroom.mutants import mutated
from minidiff.classroom.tables.mutants import MUTANTS, Mutant

WIDE = 24  # characters: a term is not half of a line


class Grade(NamedTuple):
    """right: whether the diagnosis is; text: why not, or what to keep"""

    right: bool
    text: str


def diagnose(round: Round, answer: str) -> Grade:
    """Grade an answer: a letter for r-rounds, "LINE TERM" for m-rounds.

    Raises: ValueError if the answer has another form.
    """
    if round.history is not None:
        return _of_history(round, answer)
    return _of_mutant(round, answer)


# -- bugs that people had: one of several causes ---------------------------------------------------


def _of_history(round: Round, answer: str) -> Grade:
    assert round.history is not None
    key = choice_of(round, answer)
    if key == round.history.cause:
        told = f"Right: {CAUSES[key].text}. {round.history.seen} {round.history.lesson}"
        return Grade(True, told)
    other, here = symptom_of_cause(round.experiment, key), symptom_of(round)
    return Grade(False, f"No. {refutation(other, here, right_symptom(round.experiment))}")


def choice_of(round: Round, answer: str) -> str:
    """The cause that is meant by a letter, or by words near its own.

    Raises: ValueError if it is none of them.
    """
    known = choices(round)
    said = answer.strip().lower().rstrip(").")
    if said in known:
        return known[said]
    texts = {CAUSES[key].text.lower(): key for key in known.values()}
    texts |= {key.lower(): key for key in known.values()}
    near = difflib.get_close_matches(said, texts, n=1, cutoff=0.6)
    if not near:
        last = list(known)[-1]
        raise ValueError(f"lab: {round.code} wants a letter from a to {last}, got {answer!r}")
    return texts[near[0]]


def refutation(other: Symptom, here: Symptom, right: Symptom) -> str:
    """Which number another bug does not explain."""
    name, apart = largest_difference(right, other)
    if not other.failed and apart < 1e-3:
        return f"That changes nothing here{_but(here, right)}."
    if other.failed and not here.failed:
        return f"With that it would not even run ({other.failed})."
    if here.failed:
        return f"That runs, but here it does not run: {here.failed}."
    name, _ = largest_difference(other, here)
    a, b, c = (number(s.measures[name]) for s in (other, here, right))
    return f"With that, {name} would be {a}; here it is {b}, and right is {c}."


def _but(here: Symptom, right: Symptom) -> str:
    name, _ = largest_difference(right, here)
    if not name:
        return f", but here it does not run: {here.failed}"
    a, b = number(right.measures[name]), number(here.measures[name])
    return f": {name} would stay {a}, but it is {b}"


def number(value: float) -> str:
    """Four digits are enough to compare by eye."""
    return f"{value:.4g}"


# -- mutants: a line and a term --------------------------------------------------------------------


def _of_mutant(round: Round, answer: str) -> Grade:
    mutant = round.mutant
    assert mutant is not None
    lines = {line.number: line for line in listing(round.experiment.suspects) if line.number}
    found = re.fullmatch(r"(?:line\s*)?(\d+)\s*[:,]?\s*(.*)", answer.strip(), re.DOTALL)
    if not found or not found[2].strip():
        wanted = 'a line and a term on it, such as "2 sqrt(now.alpha)"'
        raise ValueError(f"lab: {round.code} wants {wanted}, got {answer!r}")
    if int(found[1]) not in lines:
        raise ValueError(f"lab: {round.code} has lines 1 to {max(lines)}, got {found[1]}")
    line, term = lines[int(found[1])], squeezed(found[2].strip("`\"' "))
    if term not in squeezed(line.text):
        raise ValueError(f"lab: line {line.number} is `{line.text.strip()}`; no {found[2]!r} there")
    if line.id != mutant.id:
        return Grade(False, f"No. {_wrong_function(round, line)}")
    place = place_of(mutant)
    if line.text != place.line:
        return Grade(False, f"No. {_wrong_line(round, line, lines)}")
    if not _points_at(term, squeezed(place.line), place.start, place.end):
        return Grade(False, f"It is that line, but `{term}` on it is as it should be.")
    if len(term) > max(WIDE, 2 * (place.end - place.start)):
        return Grade(False, "It is that line. Which term of it? Point at less.")
    return Grade(True, f"Right: {told(mutant)}")


def told(mutant: Mutant) -> str:
    """What is wrong, and where."""
    old, new = (" ".join(text.split()) for text in (mutant.old, mutant.new))
    change = f"`{old}` had become `{new}`" if new else f"`{old}` was left out"
    return f"{mutant.what}. In {mutant.id} {change}."


def _points_at(term: str, line: str, start: int, end: int) -> bool:
    at = line.find(term)
    while at >= 0:
        if at < end and start < at + len(term):
            return True
        at = line.find(term, at + 1)
    return False


def _wrong_function(round: Round, line: Line) -> str:
    """Another function: it does what it says; and what a bug in it would look like."""
    said = f"{line.id} returns the right numbers for what it is given"
    experiment = round.experiment
    here, right = symptom_of(round), right_symptom(experiment)
    for other in (m for m in MUTANTS if m.id == line.id):
        with mutated(other):
            symptom = observed(experiment)
        if largest_difference(symptom, here)[1] > 0:
            return f"{said}. One bug in it is: {other.what}. {refutation(symptom, here, right)}"
    return f"{said}."


def _wrong_line(round: Round, line: Line, lines: dict[int, Line]) -> str:
    """Another line of the function: what it sets is still right, or only hands on what is wrong."""
    assert round.mutant is not None
    wrong = next(number for number, other in lines.items()
                 if other.id == line.id and other.text == place_of(round.mutant).line)  # fmt: skip
    loop = any(" for " in other.text or other.text.strip().startswith("for ")
               for other in lines.values() if other.id == line.id)  # fmt: skip
    if loop:
        return f"The function is {line.id}, but this line of it is as it should be."
    if line.number < wrong:
        return f"The function is {line.id}, but what line {line.number} sets is still right."
    return f"The function is {line.id}, but line {line.number} only hands on what is wrong before."
