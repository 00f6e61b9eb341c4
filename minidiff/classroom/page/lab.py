"""The tab Bug lab: rounds in which a bug runs in the package, and only its consequence is shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from minidiff.classroom.lab import show
from minidiff.classroom.lab.command import round_called
from minidiff.classroom.lab.diagnosis import choice_of, diagnose
from minidiff.classroom.lab.listing import listing, terms_of
from minidiff.classroom.lab.rounds import (
    Round,
    all_rounds,
    choices,
    symptom_of,
    watching,
    watching_cause,
)
from minidiff.classroom.lab.symptom import (
    MARGIN,
    Picture,
    Symptom,
    differences,
    right_symptom,
    watching_right,
)
from minidiff.classroom.lab.tables.causes import CAUSES
from minidiff.classroom.page.points import LIMIT
from minidiff.classroom.page.wire import on_page

SLOW = ("training",)  # experiments that a browser works on for some seconds


@on_page
def rounds() -> list[dict[str, Any]]:
    """Every round: its code, its title, and what kind it is. Those of kernels need a compiler."""
    return [
        {
            "code": r.code, "title": r.title, "about": r.experiment.title,
            "kind": "history" if r.history is not None else "mutant",
            "slow": r.experiment.name in SLOW,
        }
        for r in all_rounds().values()
    ]  # fmt: skip


_at_work: dict[tuple[str, str], Iterator[dict[str, Any]]] = {}


@on_page
def prepare(code: str, answer: str = "", seconds: float = 0.25) -> dict[str, Any]:
    """Go on with what a round, or a wrong answer to it, needs; again and again until it is done.

    In between the page can ask for other things.   -> done: nothing is left to do; else what is
    computed now ("with the bug"), and which share of it is there
    """
    round = round_called(code)
    work = _at_work.setdefault((code, answer), _work(round, answer))
    end, state = time.perf_counter() + seconds, None
    for state in work:
        if time.perf_counter() > end:
            return state
    del _at_work[code, answer]
    return {"done": True}


def _work(round: Round, answer: str) -> Iterator[dict[str, Any]]:
    """The experiments of a round, or the one that refutes a wrong answer, piece by piece."""
    stages = [("with the bug", watching(round)),
              ("without it", watching_right(round.experiment))]  # fmt: skip
    if answer and round.history is not None:
        cause = choice_of(round, answer)
        if cause != round.history.cause:
            stages.append(("with your answer", watching_cause(round.experiment, cause)))
    for what, progress in stages:
        for share in progress:
            yield {"done": False, "what": what, "share": share}


@on_page
def open_round(code: str) -> dict[str, Any]:
    """The symptom beside the right numbers and pictures, and what can be answered."""
    round = round_called(code)
    here, right = symptom_of(round), right_symptom(round.experiment)
    return {
        "code": round.code, "title": round.title, "about": round.experiment.about,
        "failed": here.failed, "rows": rows(here, right), "limit": LIMIT,
        "pictures": [pair(*p) for p in zip(here.pictures, right.pictures, strict=False)],
        "hints": len(round.hints), **question(round),
    }  # fmt: skip


def rows(here: Symptom, right: Symptom) -> list[dict[str, Any]]:
    """The numbers, and whether each shows the bug."""
    if here.failed:
        return [{"name": name, "here": None, "right": value, "shows": False}
                for name, value in right.measures.items()]  # fmt: skip
    apart = differences(here, right)
    return [{"name": name, "here": value, "right": right.measures[name],
             "shows": apart[name] > MARGIN} for name, value in here.measures.items()]  # fmt: skip


def pair(here: Picture, right: Picture) -> dict[str, Any]:
    """A picture with the bug, and the right one."""
    return {"kind": here.kind, "title": here.title, "log": here.log,
            "here": drawn(here), "right": drawn(right)}  # fmt: skip


def drawn(picture: Picture) -> Any:
    """The data of a picture: points, or a list of curves."""
    if picture.kind == "cloud":
        return picture.data
    return [{"label": label, "x": x, "y": y} for label, (x, y) in picture.data.items()]


def question(round: Round) -> dict[str, Any]:
    """Causes to choose from, or lines with their terms."""
    if round.history is not None:
        offered = choices(round).items()
        return {"choices": [{"letter": letter, "text": CAUSES[key].text}
                            for letter, key in offered]}  # fmt: skip
    lines = listing(round.experiment.suspects)
    return {"lines": [{"number": line.number, "id": line.id, "text": line.text,
                       "terms": list(dict.fromkeys(terms_of(line.text)))}
                      for line in lines]}  # fmt: skip


@on_page
def answer(code: str, answer: str) -> dict[str, Any]:
    """The grade of a diagnosis."""
    grade = diagnose(round_called(code), answer)
    return {"right": grade.right, "text": grade.text}


@on_page
def hint(code: str, number: int) -> str:
    """A hint by its number."""
    return round_called(code).hints[number - 1]


@on_page
def reveal(code: str) -> list[str]:
    """What is wrong and what catches it, line by line."""
    return show.reveal(round_called(code)).splitlines()
