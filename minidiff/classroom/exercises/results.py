"""Results of two versions, number by number: which one differs first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minidiff.diffusion.step import Step
from minidiff.engine.printing import plain_array

TURNS = 10_000  # of a sampler at most, so that one that never ends is noticed


class Wrong(Exception):
    """A student's answer is wrong; the text says in what."""


class Item(NamedTuple):
    """One result: its name, where it is, its value, and the values that it was made from."""

    name: str
    where: str
    value: Any
    context: dict[str, Any]


def items_of(results: dict[str, Any], arguments: dict[str, Any]) -> Iterator[Item]:
    """The results one by one; of the `Step`s of an algorithm their terms."""
    for name, value in results.items():
        if isinstance(value, list) and value and isinstance(value[0], Step):
            for number, step in enumerate(value, start=1):
                yield from _terms(step, f"step {number} (t = {step.t}): ", arguments)
        elif isinstance(value, Step):
            yield from _terms(value, "", arguments)
        else:
            yield Item(name, "", value, arguments)


def _terms(step: Step, where: str, arguments: dict[str, Any]) -> Iterator[Item]:
    context = {**arguments, "t": step.t}
    for name, value in step:
        yield Item(name, where, value, context)
        context = {**context, name: value}


def steps(value: Any) -> Any:
    """The steps of a generator as a list.

    Raises: Wrong if it never ends, or yields something else than a Step.
    """
    if isinstance(value, Step) or not hasattr(value, "__next__"):
        return value
    found = []
    for step in value:
        if not isinstance(step, Step):
            raise Wrong(f"it must yield a Step for each t, got a {type(step).__name__}")
        found.append(step)
        if len(found) >= TURNS:
            raise Wrong(f"it has yielded {TURNS} steps and does not end: what ends the loop?")
    return found


def compare_lists(key: dict[str, Any], given: dict[str, Any]) -> None:
    """Steps of both must be as many, at the same times, with the last term in each.

    Raises: Wrong that says what is missing.
    """
    for name, right in key.items():
        other: Any = [given.get(name)]
        if isinstance(right, Step):
            right = [right]
        elif isinstance(right, list) and right and isinstance(right[0], Step):
            other = given.get(name)
        else:
            continue
        if not isinstance(other, list) or not all(isinstance(step, Step) for step in other):
            what = "a Step for each t (yield Step(...))" if len(right) > 1 else "a Step"
            raise Wrong(f"it must give {what}, got {_kind(given.get(name))}")
        _compare_times(right, other)
        last = right[0].names[-1]
        for step in other:
            if last not in step.names:
                raise Wrong(f"the Step at t = {step.t} has no {last!r}; it has {_known(step)}")


def _compare_times(right: list[Step], other: list[Step]) -> None:
    if len(other) != len(right):
        first, last = (other[0].t, other[-1].t) if other else ("none", "none")
        raise Wrong(
            f"it has {len(other)} steps, t = {first} to {last}, but "
            f"{len(right)} are wanted, t = {right[0].t} to {right[-1].t}: look at the loop over t"
        )
    for number, (a, b) in enumerate(zip(right, other, strict=True), start=1):
        if not np.array_equal(np.asarray(a.t), np.asarray(b.t)):
            raise Wrong(f"step {number} has t = {b.t}, wanted t = {a.t}: look at the loop over t")


def _known(step: Step) -> str:
    return ", ".join(step.names) or "no terms"


def _kind(value: Any) -> str:
    return "None: is `return` missing?" if value is None else f"a {type(value).__name__}"


def as_numbers(item: Item) -> np.ndarray | None:
    """The value as an array of floats; None if it is None.

    Raises: Wrong if it is not made of numbers.
    """
    value = plain_array(item.value)
    if value is None:
        return None
    try:
        array = np.asarray(value)
        return array.astype(np.float64) if array.dtype.kind in "biuf" else _refuse(item, value)
    except (ValueError, TypeError) as error:
        raise Wrong(f"{item.name} must be numbers, got a {type(value).__name__}") from error


def _refuse(item: Item, value: Any) -> np.ndarray:
    raise Wrong(f"{item.where}{item.name} must be numbers, got {_kind(value)}")


def first_difference(
    right: np.ndarray, given: np.ndarray, tolerance: float
) -> tuple[int, ...] | None:
    """The index of the first number that differs by more than rounding; () for a scalar."""
    scale = float(np.abs(right[np.isfinite(right)]).max(initial=0.0))
    same = np.isclose(given, right, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    places = np.argwhere(~same)
    return tuple(int(i) for i in places[0]) if len(places) else None
