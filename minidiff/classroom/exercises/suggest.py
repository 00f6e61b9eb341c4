"""A wrong number's likely cause: read off from its ratio to the right one, and from its parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidiff.classroom.exercises.factors import CLOSE, name_of_ratio

MINIMUM = 4  # numbers at least, from which a ratio or parts are read


def suggest(name: str, right: np.ndarray, given: np.ndarray, context: dict[str, Any]) -> str:
    """A sentence about the difference; "" where it shows no pattern."""
    if not np.isfinite(given).all():
        kind = "nan (0 / 0, or the root or logarithm of a negative number?)"
        return f"it has {kind if np.isnan(given).any() else 'inf: is something divided by 0?'}"
    return (
        _of_the_whole(name, right, given, context)
        or _of_the_order(right, given)
        or _of_the_parts(right, given, context)
        or _of_the_difference(name, right, given, context)
    )


def _of_the_whole(name: str, right: np.ndarray, given: np.ndarray, context: dict[str, Any]) -> str:
    other = right != 0
    if not other.any():
        if name.startswith("d") and name[1:] in context:
            return f"no gradient should reach {name[1:]}"
        return "all of it should be 0"
    if not given.any():
        if name.startswith("d") and name[1:] in context:
            return f"no gradient reaches {name[1:]}"
        return "all of it is 0: is a term missing?"
    if given[~other].any():
        return ""
    with np.errstate(all="ignore"):
        ratio = given[other] / right[other] if not other.all() else given / right
    text = name_of_ratio(ratio, context)
    if text is None and np.allclose(ratio, ratio.ravel()[0], rtol=CLOSE):
        text = f"{ratio.ravel()[0]:.6g} everywhere" if ratio.size >= MINIMUM else None
    return _say_ratio(name, text) if text else ""


def _say_ratio(what: str, ratio: str) -> str:
    if ratio == "-1":
        return f"the sign of {what} is wrong: the ratio is -1"
    return f"the ratio is {ratio}"


def _of_the_order(right: np.ndarray, given: np.ndarray) -> str:
    """The right numbers at other places."""
    if right.size < MINIMUM or right.ndim == 0:
        return ""
    for axis in range(right.ndim):
        if np.allclose(np.flip(given, axis), right, rtol=CLOSE):
            return f"the numbers are right, but in the reverse order (axis {axis})"
        for by in (1, -1):
            moved = np.roll(given, by, axis)
            keep = [slice(None)] * right.ndim
            keep[axis] = slice(1, -1)
            inside = tuple(keep)
            if right.shape[axis] > 4 and np.allclose(moved[inside], right[inside], rtol=CLOSE):
                side = "early" if by > 0 else "late"
                return f"the numbers are right, but one place too {side}: an index is off by one"
    if right.ndim > 1 and np.allclose(np.sort(given, None), np.sort(right, None), rtol=CLOSE):
        return "the numbers are right, but at other places: look at reshape and transpose"
    return ""


def _of_the_parts(right: np.ndarray, given: np.ndarray, context: dict[str, Any]) -> str:
    """Which argument has a wrong factor, if the result is a weighted sum of arguments."""
    arrays = {
        name: value
        for name, value in context.items()
        if isinstance(value, np.ndarray) and value.shape == right.shape
    }
    if right.ndim == 0 or not arrays:
        return ""
    wanted, found = _weights(right, arrays), _weights(given, arrays)
    if wanted is None or found is None:
        return ""
    said = []
    for number, name in enumerate(arrays):
        a, b = wanted[:, number], found[:, number]
        if not np.allclose(a, b, rtol=CLOSE, atol=1e-9):
            said.append(_say_part(name, a, b, context))
    good = [name for n, name in enumerate(arrays)
            if abs(wanted[:, n]).max() > 1e-9
            and np.allclose(wanted[:, n], found[:, n], rtol=CLOSE, atol=1e-9)]  # fmt: skip
    if good:
        said.append(f"the part with {' and '.join(good)} is right")
    return "; ".join(said)


def _say_part(name: str, right: np.ndarray, given: np.ndarray, context: dict[str, Any]) -> str:
    if np.allclose(given, 0, atol=1e-9):
        return f"the part with {name} is missing"
    if np.allclose(right, 0, atol=1e-9):
        return f"{name} should have no part in it"
    if np.any(np.abs(right) < 1e-12):
        return f"the factor of {name} is {given[0]:.6g}, exact {right[0]:.6g}"
    text = name_of_ratio(given / right, context)
    if text == "-1":
        return f"the part with {name} has the wrong sign"
    if text is None:
        return f"the factor of {name} is {given[0]:.6g}, exact {right[0]:.6g}"
    return f"the factor of {name} is {given[0]:.6g}, exact {right[0]:.6g}: the ratio is {text}"


def _weights(result: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """(images, arrays): the factors with which the arrays add up to the result, or None."""
    rows = []
    for image in range(len(result)):
        columns = np.stack([a[image].ravel() for a in arrays.values()], axis=1)
        if columns.shape[0] <= columns.shape[1]:
            return None
        solution, _, rank, _ = np.linalg.lstsq(columns, result[image].ravel(), rcond=None)
        left = columns @ solution - result[image].ravel()
        if rank < columns.shape[1] or np.abs(left).max() > 1e-9 * max(1, np.abs(result).max()):
            return None
        rows.append(solution)
    return np.array(rows)


def _of_the_difference(
    name: str, right: np.ndarray, given: np.ndarray, context: dict[str, Any]
) -> str:
    """A constant, or an argument, that was added."""
    difference = given - right
    if np.allclose(difference, difference.ravel()[0], rtol=CLOSE, atol=1e-12):
        one = float(difference.ravel()[0])
        text = name_of_ratio(one, context)
        if right.size >= MINIMUM or text:
            return f"the difference is {text or f'{one:.6g}'}" + ("" if text else " everywhere")
    for other, value in context.items():
        fitted = _beside(value, right)
        if fitted is not None and fitted.all():
            text = name_of_ratio(difference / fitted, context)
            text = text or ("1" if np.allclose(difference, fitted) else None)
            if text:
                factor = {"-1": "-", "1": ""}.get(text, f"{text} times ")
                return f"the difference is {factor}{other}"
    return ""


def _beside(value: Any, right: np.ndarray) -> np.ndarray | None:
    """An argument in the shape of the result; one number per channel beside images."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return None
    if value.shape == right.shape:
        return value
    if value.ndim == 1 and right.ndim > 2 and len(value) == right.shape[1]:
        return value.reshape(-1, *(1,) * (right.ndim - 2))
    return None
