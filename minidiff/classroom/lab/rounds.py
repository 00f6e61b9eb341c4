"""The rounds of the lab: r1, r2, ... are bugs that people had, m1, m2, ... the mutants."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

from minidiff.classroom.index import get_equation
from minidiff.classroom.lab.experiments import EXPERIMENTS
from minidiff.classroom.lab.numbers import numbers_of
from minidiff.classroom.lab.patch import applied
from minidiff.classroom.lab.symptom import Experiment, Progress, Symptom, finished, observing
from minidiff.classroom.lab.tables.causes import CAUSES
from minidiff.classroom.lab.tables.consequences import BY_ID, BY_MUTANT
from minidiff.classroom.lab.tables.rounds import HISTORY, History
from minidiff.classroom.mutants import mutated
from minidiff.classroom.tables.mutants import MUTANTS, Mutant


@dataclass(frozen=True)
class Round:
    """A bug and the experiment that shows it; exactly one of `history` and `mutant` is there."""

    code: str
    title: str
    experiment: Experiment
    history: History | None = None
    mutant: Mutant | None = None

    @contextlib.contextmanager
    def bug(self) -> Iterator[None]:
        """Inside, the package has the bug."""
        if self.mutant is not None:
            with mutated(self.mutant):
                yield
        else:
            assert self.history is not None
            with applied(CAUSES[self.history.cause].patches):
                yield

    @property
    def hints(self) -> tuple[str, ...]:
        """From the symptom towards the place; none is the answer."""
        if self.history is not None:
            return self.history.hints
        assert self.mutant is not None
        kind = _kind(self.mutant)
        first = f"the bug is in {self.mutant.id}: {get_equation(self.mutant.id).summary}"
        return (first, f"it is one of those: {kind}")


@cache
def all_rounds() -> dict[str, Round]:
    """Every round by its code, but for those of kernels."""
    rounds = []
    for number, history in enumerate(HISTORY, start=1):
        experiment = EXPERIMENTS[history.experiment]
        rounds.append(Round(f"r{number}", history.title, experiment, history=history))
    for number, mutant in enumerate(MUTANTS, start=1):
        experiment = experiment_of(mutant)
        rounds.append(Round(f"m{number}", experiment.title, experiment, mutant=mutant))
    return {round.code: round for round in rounds}


def experiment_of(mutant: Mutant) -> Experiment:
    """Where the consequence of a mutant shows."""
    name = BY_MUTANT.get((mutant.id, mutant.what), BY_ID.get(mutant.id, ""))
    return EXPERIMENTS[name] if name and name in EXPERIMENTS else numbers_of(mutant.id)


_measured: dict[Hashable, Symptom] = {}


def _with_bug(
    key: Hashable, experiment: Experiment, bug: Callable[[], AbstractContextManager[None]]
) -> Progress:
    """The symptom, measured once. Between two pieces the package is as it was."""
    if key not in _measured:
        progress = observing(experiment)
        while True:
            try:
                with bug():
                    done = next(progress)
            except StopIteration as end:
                _measured[key] = end.value
                break
            yield done
    return _measured[key]


def watching(round: Round) -> Progress:
    """`symptom_of` piece by piece."""
    return _with_bug(round, round.experiment, round.bug)


def watching_cause(experiment: Experiment, cause: str) -> Progress:
    """`symptom_of_cause` piece by piece."""
    return _with_bug((experiment, cause), experiment, lambda: applied(CAUSES[cause].patches))


def symptom_of(round: Round) -> Symptom:
    """What the experiment shows with the bug; measured once."""
    return finished(watching(round))


def symptom_of_cause(experiment: Experiment, cause: str) -> Symptom:
    """What the experiment would show with another cause; measured once."""
    return finished(watching_cause(experiment, cause))


def choices(round: Round) -> dict[str, str]:
    """Of a round with history: {"a": key of CAUSES, ...} in an order that tells nothing."""
    assert round.history is not None
    keys = (round.history.cause, *round.history.others)
    mixed = sorted(keys, key=lambda key: zlib.crc32(f"{round.title}: {key}".encode()))
    return dict(zip("abcdefgh", mixed, strict=False))


KINDS = (
    ("a sign", ("sign", "upside down", "exchanged", "other way round")),
    ("a root or a square", ("root", "square", "variance for", "noise for its share")),
    ("an index or the ends of a loop", ("off by one", "starts", "first step", "left out",
                                        "another step", "twice", "noisy")),
    ("a factor", ("factor", "missing", "not scaled", "no ", "sum for", "mean for")),
)  # fmt: skip


def _kind(mutant: Mutant) -> str:
    found = [kind for kind, words in KINDS if any(word in mutant.what for word in words)]
    return found[0] if found else "one quantity in the place of another, or one that is ignored"
