"""The coefficients of a schedule at one time, in the shape that multiplies images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidiff.engine.backend import device_of, to_device
from minidiff.engine.elementwise import per_image, plain

if TYPE_CHECKING:
    from minidiff.diffusion.schedule import Schedule


class Coefficients:
    """beta, alpha, alpha_bar, one_minus_alpha_bar and beta_tilde at t, as attributes.

    A coefficient is a float if t is an int. If t is (B,), it is (B, 1, ..., 1) in dtype
    and device of `like`, or float64 (B,) without `like`. Printing the object shows all.
    """

    beta: Any  # the variance that step t adds
    alpha: Any  # 1 - beta
    alpha_bar: Any  # alpha_1 ... alpha_t, the fraction of the signal's power left
    one_minus_alpha_bar: Any  # the variance of the noise in x_t, without cancellation
    beta_tilde: Any  # the variance of q(x_{t-1} | x_t, x_0), 0 at t = 1

    def __init__(self, schedule: Schedule, t: Any, like: Any, first: int):
        self.t, self._like, self._tables = t, plain(like), schedule.tables
        if isinstance(like, (tuple, list)):  # a number may stand for an image
            got = type(like).__name__
            raise TypeError(f"schedule: the images must be an array, got {got}")
        self._index = schedule.index(t, first)

    def __getattr__(self, name: str) -> Any:
        """Read the coefficient from its table at its first use, and keep it."""
        if name.startswith("_") or name not in self._tables:
            known = ", ".join(self.__dict__.get("_tables", ()))
            raise AttributeError(f"schedule.at(t) has no {name!r}; it has {known}")
        value = shaped(self._tables[name][self._index], self._like)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._tables]

    def __repr__(self) -> str:
        lines = [f"coefficients at t = {self.t}"]
        for name, table in self._tables.items():
            value = table[self._index]
            root = _short(np.sqrt(value))
            lines.append(f"  {name:20} {_short(value)}    its root {root}")
        return "\n".join(lines)


def shaped(values: Any, like: Any) -> Any:
    """One value per image, ready to multiply `like`; a plain float if t is one int."""
    if getattr(like, "dtype", np.dtype(float)).kind != "f":
        wanted = "the images must be floats (scaled to [-1, 1])"
        raise TypeError(f"schedule: {wanted}, got {like.dtype}")
    if np.ndim(values) == 0:
        return float(values)
    if like is None:
        return values
    if values.shape != like.shape[:1]:
        wanted = f"t must be one per image, ({like.shape[0]},), or one int"
        raise ValueError(f"schedule: {wanted}; got shape {values.shape}")
    return to_device(per_image(values.astype(like.dtype), like), device_of(like))


def _short(values: Any) -> str:
    return np.array2string(np.asarray(values), precision=6, threshold=6, edgeitems=2)
