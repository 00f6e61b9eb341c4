"""A symptom is what an experiment shows of a bug: numbers with names, and pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

MARGIN = 0.05
"""A number shows a bug if it differs from the right one by more than this share."""
LEAST = (("energy distance", 0.25), ("error", 0.05), ("how far", 0.02), ("share in the class", 0.2))
"""Numbers with these words, and below which size their digits say nothing."""


class Picture(NamedTuple):
    """Something to look at.

    kind: "cloud", whose data are points (n, 2); "curves", whose data are {label: (x, y)}, drawn
    on a logarithmic axis if `log`; or "images", whose data are (n, H, W) in -1..1.
    """

    kind: str
    title: str
    data: Any
    log: bool = False


class Symptom(NamedTuple):
    """What an experiment measured.   failed: the error, if it did not run"""

    measures: dict[str, float]
    pictures: tuple[Picture, ...] = ()
    failed: str = ""


Progress = Generator[float, None, Symptom]
"""An experiment at work: it yields the share that is done, and returns what it has measured."""


@dataclass(frozen=True)
class Experiment:
    """A program on data whose exact answer is known.

    run: takes no arguments and has its own seeds, so that it gives the same numbers every time;
    one that takes seconds is a generator, see Progress
    suspects: the functions that it runs, as ids of equations or "module:name"; for the rounds
    of one equation alone it is empty
    """

    name: str
    title: str
    about: str
    run: Callable[[], Symptom | Progress]
    suspects: tuple[str, ...] = ()


def observing(experiment: Experiment) -> Progress:
    """Run it in pieces, each as the package is then. An error becomes a part of the symptom."""
    run: Symptom | Progress | None = None
    while True:
        try:
            with np.errstate(all="ignore"):
                run = experiment.run() if run is None else run
                if isinstance(run, Symptom):
                    return run
                done = next(run)
        except StopIteration as end:
            return end.value
        except (ArithmeticError, ValueError, TypeError, IndexError, KeyError,
                AttributeError) as error:  # fmt: skip
            said = " ".join(str(error).split())
            return Symptom({}, (), f"{type(error).__name__}: {said}")
        yield done


def finished(progress: Progress) -> Symptom:
    """Its result, however many pieces there are."""
    while True:
        try:
            next(progress)
        except StopIteration as end:
            return end.value


def observed(experiment: Experiment) -> Symptom:
    """Run it as the package is at this moment. An error becomes a part of the symptom."""
    return finished(observing(experiment))


_right: dict[Experiment, Symptom] = {}


def watching_right(experiment: Experiment) -> Progress:
    """`right_symptom` piece by piece."""
    if experiment not in _right:
        _right[experiment] = yield from observing(experiment)
    return _right[experiment]


def right_symptom(experiment: Experiment) -> Symptom:
    """What the experiment shows without any bug; measured once."""
    return finished(watching_right(experiment))


def difference(a: float, b: float, least: float = 1e-12) -> float:
    """How far two numbers are apart, as a share of the larger one: 0 to 2.

    least: numbers below it count as it, since their digits are chance
    """
    if not (math.isfinite(a) and math.isfinite(b)):
        return 0.0 if a == b or (math.isnan(a) and math.isnan(b)) else 2.0
    return abs(a - b) / max(abs(a), abs(b), least)


def differences(a: Symptom, b: Symptom) -> dict[str, float]:
    """The difference of each number that both have."""
    both = [name for name in a.measures if name in b.measures]
    return {name: difference(a.measures[name], b.measures[name], least_of(name)) for name in both}


def least_of(name: str) -> float:
    """Below this a number is chance: a distance between two clouds of 600 points is."""
    return next((least for words, least in LEAST if words in name), 1e-12)


def largest_difference(a: Symptom, b: Symptom) -> tuple[str, float]:
    """The number in which two symptoms differ most, and how far.   ("", 2.0) if only one ran"""
    if bool(a.failed) != bool(b.failed):
        return "", 2.0
    if a.failed:
        return "", 0.0 if a.failed == b.failed else 2.0
    apart = differences(a, b)
    name = max(apart, key=lambda key: apart[key])
    return name, apart[name]
