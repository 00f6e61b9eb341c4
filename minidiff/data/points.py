"""Points in the plane to diffuse: data that a picture shows whole, x_0 of two numbers."""

import numpy as np

from minidiff.engine.random import RNG

from .scaling import as_int

MOST = 100_000_000  # points: some gigabytes
INNER, OUTER = (
    1.5 * np.pi,
    4.5 * np.pi,
)  # where the roll begins and ends: the angle in radians, which is also the radius


def swiss_roll(n: int, seed: int = 0, noise: float = 0.04) -> np.ndarray:
    """n points of a swiss roll, spread evenly along it.    -> (n, 2) float32

    Over both coordinates the mean is 0 and the variance 1. noise: standard deviation across the
    roll, at least 0; neighbouring turns are about 0.8 apart.
    """
    n = as_int("swiss_roll: n", n)
    if n < 1:
        raise ValueError(f"swiss_roll: n must be >= 1, got {n}")
    if n > MOST:
        raise ValueError(f"swiss_roll: n must be <= {MOST:,}, got {n:,}")
    if not 0 <= noise < float("inf"):
        raise ValueError(f"swiss_roll: noise must be >= 0, got {noise}")
    rng = RNG(seed)
    on_the_roll = _roll(rng.uniform((n,), np.float64))
    return (on_the_roll + noise * rng.normal((n, 2), np.float64)).astype(np.float32)


def swiss_roll_curve(n: int = 2000) -> np.ndarray:
    """n points along the roll without noise, equally far apart, from its inner to its outer end.

    n: at least 2 -> (n, 2) float32
    """
    n = as_int("swiss_roll_curve: n", n)
    if n < 2:
        raise ValueError(f"swiss_roll_curve: n must be >= 2, got {n}")
    return _roll(np.linspace(0, 1, n)).astype(np.float32)


def _spiral(u: np.ndarray) -> np.ndarray:
    """The points at the shares u in [0, 1] of the spiral's length.    u: (n,) -> (n, 2)

    The length grows nearly as angle^2 / 2.
    """
    angle = np.sqrt(INNER**2 + u * (OUTER**2 - INNER**2))
    return angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


_along = _spiral((np.arange(10_000) + 0.5) / 10_000)
_mean = _along.mean(axis=0)
_std = (_along - _mean).std()  # one for both coordinates: a roll stays round


def _roll(u: np.ndarray) -> np.ndarray:
    """`_spiral`, standardised with the mean and deviation of the whole curve.

    So every sample of points is in the same units.
    """
    return (_spiral(u) - _mean) / _std
