"""Factors that people forget or double: the names of a ratio between two numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidiff.diffusion.schedule import Schedule

CLOSE = 1e-7
_CONSTANTS = ((-1, "-1"), (2, "2"), (0.5, "1/2"), (-2, "-2"), (-0.5, "-1/2"), (4, "4"),
              (0.25, "1/4"), (2 * math.pi, "2 pi"), (math.pi, "pi"), (math.log(2), "log 2"),
              (1 / math.log(2), "1 / log 2"), (math.sqrt(2), "sqrt(2)"),
              (math.sqrt(0.5), "1 / sqrt(2)"))  # fmt: skip


def name_of_ratio(ratio: Any, context: dict[str, Any]) -> str | None:
    """The simplest factor that every number of `ratio` is, in words; None if there is none.

    ratio: an array or a number; context: the arguments, whose coefficients are tried.
    """
    ratio = np.asarray(ratio, np.float64)
    if not ratio.size or not np.isfinite(ratio).all():
        return None
    for name, value in candidates(context, ratio):
        try:
            if np.allclose(ratio, value, rtol=CLOSE, atol=0):
                return name
        except ValueError:  # of another shape
            continue
    return None


def candidates(context: dict[str, Any], like: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Names and values, simple ones first."""
    for value, name in _CONSTANTS:
        yield name, value
    now, before = _coefficients(context, like)
    numbers, sizes = list(_plain_numbers(context)), list(_sizes(context))
    yield from _powers([*now, *numbers])
    yield from _ratios([*now, *numbers])
    yield from _powers([*before, *sizes])
    yield from _ratios([*now, *before])
    yield from (("-" + _bracket(name), -value) for name, value in (*now, *before, *numbers))


def _powers(base: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for power in (0.5, -0.5, 1, -1, 2, -2):
        for name, value in base:
            with np.errstate(all="ignore"):
                yield _with_power(name, power), np.power(value, power)


def _ratios(base: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for power in (0.5, 1):
        for name, value in base:
            for other, divisor in base:
                if name != other:
                    with np.errstate(all="ignore"):
                        text = f"{_bracket(name)} / {_bracket(other)}"
                        yield _with_power(text, power), np.power(value / divisor, power)


def _with_power(name: str, power: float) -> str:
    if power == 1:
        return name
    inner = _bracket(name)
    return {
        0.5: f"sqrt({name})", -0.5: f"1/sqrt({name})", -1: f"1/{inner}",
        2: f"{inner}^2", -2: f"1/{inner}^2",
    }[power]  # fmt: skip


def _bracket(name: str) -> str:
    return f"({name})" if " " in name else name


def _coefficients(
    context: dict[str, Any], like: np.ndarray
) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Those of the schedule at t, and those just before."""
    found: tuple[list[tuple[str, Any]], list[tuple[str, Any]]] = ([], [])
    schedule, t, prev = (context.get(name) for name in ("schedule", "t", "t_prev"))
    if isinstance(schedule, Schedule):
        times = [(t, "t"), (t - 1 if prev is None and t is not None else prev, "(t-1)")]
        for into, (at, suffix) in zip(found, times, strict=True):
            if at is None:
                continue
            suffix = "prev" if suffix == "(t-1)" and prev is not None else suffix
            for name in ("alpha_bar", "one_minus_alpha_bar", "alpha", "beta", "beta_tilde"):
                value = _per_image(schedule.tables[name][np.asarray(at)], like)
                into.append((f"{name.replace('one_minus_', '1 - ')}_{suffix}", value))
    beta = context.get("beta")
    if isinstance(beta, np.ndarray) and beta.ndim == 1:
        alpha_bar = np.cumprod(1 - beta)
        found[0].extend([("beta_t", beta), ("alpha_t", 1 - beta), ("alpha_bar_t", alpha_bar),
                         ("1 - alpha_bar_t", 1 - alpha_bar)])  # fmt: skip
    return found


def _plain_numbers(context: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Numbers among the arguments, with 1 more and 1 less."""
    for name, value in context.items():
        if isinstance(value, (bool, np.bool_)) or name in ("t", "t_prev"):
            continue
        if isinstance(value, (int, float)) and value > 0:
            yield name, float(value)
            yield f"1 + {name}", 1.0 + value
            yield f"1 - {name}", 1.0 - value


def _sizes(context: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    array = next((a for a in context.values() if isinstance(a, np.ndarray) and a.ndim > 1), None)
    if array is not None:
        yield "the number of images", float(len(array))
        yield "the number of pixels of an image", float(array[0].size)
        yield "the number of pixels of all images", float(array.size)
        yield "the last size of the arrays", float(array.shape[-1])


def _per_image(value: Any, like: np.ndarray) -> Any:
    """One value per image in front of the axes of `like`."""
    if np.ndim(value) == 1 and like.ndim > 1:
        return value.reshape(-1, *(1,) * (like.ndim - 1))
    return value
