"""The exact flow of a mixture in one dimension: it keeps quantiles.

The probability-flow ODE never lets two points of a line pass each other, and its
densities are q(x_t). So a point keeps its share of probability to the left, F_t(x_t), and
the ODE's solution is known without solving it: x_s = F_s^-1(F_t(x_t))."""

from __future__ import annotations

import math
from typing import Any

from minidiff.diffusion.equation import equation
from minidiff.diffusion.oracle import GaussianMixture, diffused
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.backend import array_module
from minidiff.engine.elementwise import erfc, sqrt

HALVINGS = 70  # of an interval of some 80 standard deviations: less than a rounding
FAR = 40  # standard deviations, beyond which float64 has no probability left


@equation("flow_map.distribution", "law of total probability; DDPM eq. 4")
def distribution(x_t, t, mixture, schedule):
    """F = sum over k of w_k Phi((x_t - sqrt(alpha_bar_t) m_k) / std_k)

    F_t(x_t), the share of q(x_t) to the left, and the share to the right, each with all
    its digits.   x_t: (B, 1);  t: int in 0..T  ->  left, right: (B,)
    Raises: ValueError unless the mixture is of numbers."""
    if mixture.shape != (1,):
        got = f"points of shape {mixture.shape}"
        raise ValueError(f"distribution: only a line has quantiles, (1,), got {got}")
    x, mean, variance, _ = diffused(x_t, t, mixture, schedule)
    z = ((x - mean) / sqrt(2 * variance))[:, :, 0]
    w = array_module(x_t).asarray(mixture.weights, dtype=x_t.dtype)
    left = 0.5 * (w * erfc(-z)).sum(axis=1)
    right = 0.5 * (w * erfc(z)).sum(axis=1)
    return left, right


@equation("flow_map.quantile", "inverse of the distribution function")
def quantile(left, right, t, mixture, schedule):
    """x_t = F_t^-1(left), by halving an interval that holds it

    left, right: (B,), what `distribution` returns. The smaller one is used: near 1 the
    other has lost its digits.   t: int in 0..T  ->  (B, 1)"""
    xp = array_module(left)
    low, high = (edge + 0 * left[:, None] for edge in _support(t, mixture, schedule))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        left_here, right_here = distribution(middle, t, mixture, schedule)
        too_low = xp.where(left < right, left_here < left, right_here > right)[:, None]
        low, high = xp.where(too_low, middle, low), xp.where(too_low, high, middle)
    x_t = 0.5 * (low + high)
    return x_t


@equation("flow_map.map", "optimal transport on a line; Song et al. 2011.13456 sec. 4.3")
def flow_map(x_t, t, s, mixture, schedule):
    """x_s = F_s^-1(F_t(x_t)), the exact solution of the probability-flow ODE

    From time t to time s, either way.   x_t: (B, 1);  t, s: int in 0..T  ->  (B, 1)"""
    left, right = distribution(x_t, t, mixture, schedule)
    x_s = quantile(left, right, s, mixture, schedule)
    return x_s


def _support(
    t: int, mixture: GaussianMixture, schedule: Schedule
) -> tuple[float, float]:
    """Numbers between which q(x_t) has all its probability, to the last float."""
    now = schedule.at(t, first=0)
    a, noise = math.sqrt(now.alpha_bar), now.one_minus_alpha_bar
    reach: list[Any] = [
        (a * float(m[0]), FAR * math.sqrt(now.alpha_bar * float(s) ** 2 + noise))
        for m, s in zip(mixture.means, mixture.stds, strict=True)
    ]
    return min(m - far for m, far in reach), max(m + far for m, far in reach)
