"""The distribution that guidance really samples.

At each time, classifier-free guidance follows the score of q(x_t) p(y | x_t)^s. One would
like the data to follow p(x_0) p(y | x_0)^s. Those are different: the noisy version of the
second is not the first. On a mixture both are known, and the gap is a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_mean_variance
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.guidance import classifier_free_s, guide_without_classifier
from minidiff.diffusion.oracle import (
    classifier_gradient,
    exact_score,
    log_classifier,
    log_marginal,
    shares,
)
from minidiff.diffusion.targets import change_eps
from minidiff.engine.backend import array_module
from minidiff.engine.elementwise import number

Network = Callable[..., Any]


@equation("tilted.log_density", "Dhariwal & Nichol sec. 4; Ho & Salimans eq. 5")
def tilted_log_density(x_t, t, y, mixture, schedule, s=1.0):
    """log q_s = log q(x_t) + s log p(y | x_t), without its normaliser

    s = 0: the data, s = 1: the class y, s > 1: where y is beyond doubt.
    x_t: (B, ...);  t: int or (B,) in 0..T;  y: int  ->  (B,), nats"""
    s = number(s)
    log_q = log_marginal(x_t, t, mixture, schedule)
    certainty = log_classifier(x_t, t, y, mixture, schedule)
    log_q_s = log_q + s * certainty
    return log_q_s


@equation("tilted.score", "Ho & Salimans eq. 6, as a score")
def tilted_score(x_t, t, y, mixture, schedule, s=1.0):
    """score_s = grad log q(x_t) + s grad log p(y | x_t)

    What guidance of strength s follows: eps_guided = -sqrt(1 - alpha_bar_t) score_s.
    x_t: (B, ...);  t: int or (B,) in 0..T;  y: int  ->  (B, ...)"""
    s = number(s)
    score = exact_score(x_t, t, mixture, schedule)
    towards_y = classifier_gradient(x_t, t, y, mixture, schedule)
    score_s = score + s * towards_y
    return score_s


@equation("tilted.noisy_score", "law of total probability; Bradley & Nakkiran 2408.09000")
def noisy_score(x_t, t, x_0, p, schedule):
    """score = sum over i of r_i (sqrt(alpha_bar_t) x_0_i - x_t) / (1 - alpha_bar_t)

    The score that would lead to given data: x_0: (N, 1), a grid with shares p: (N,).
    r_i is the share of x_0_i in x_t. For the grid of the tilted density it is not
    `tilted_score`.   x_t: (B, 1);  t: int in 1..T  ->  (B, 1)"""
    xp = array_module(x_t)
    mean, variance = q_mean_variance(x_0[:, 0], t, schedule)
    with np.errstate(divide="ignore"):  # a share of 0
        r = shares(xp.log(p)[None] + log_density(x_t, mean[None], variance))
    pull = (mean[None] - x_t)[:, :, None] / variance
    score = (r * pull).sum(axis=1)
    return score


@equation("tilted.interval", "Kynkaanniemi et al. 2404.07724 eq. 3")
def interval_strength(t, s, first, last):
    """s_t = s if first <= t <= last, else 1

    Guidance only at the times that profit from it; 1 is the class without guidance.
    t, first, last: ints in 1..T  ->  float
    Raises: ValueError if first > last."""
    if first > last:
        got = f"first = {first}, last = {last}"
        raise ValueError(f"interval_strength: first must be <= last, got {got}")
    s_t = number(s) if first <= t <= last else 1.0
    return s_t


def guide_in_interval(
    eps_theta: Network, y: Any, null: Any, s: float, first: int, last: int
) -> Network:
    """`guide_without_classifier` at the times first..last; elsewhere the class itself.

    eps_theta: called as eps_theta(x_t, t, y); outside the interval one call will do"""

    def guided(x_t: Any, t: Any) -> Any:
        s_t = interval_strength(int(np.max(t)), s, first, last)  # a sampler's t is one
        if s_t == 1:
            return eps_theta(x_t, t, y)
        return guide_without_classifier(eps_theta, y, null, s=s_t)(x_t, t)

    return guided


def guide_by_worse(network: Network, worse: Network, s: float) -> Network:
    """Away from a worse network, as classifier-free guidance goes away from no label.

    worse: trained shorter, or smaller, on the same data; it errs in the same directions,
    but further. Both are called as network(x_t, t) and predict the same. s = 1: no
    guidance, which asks network alone. Karras et al. 2406.02070"""
    if s == 1:
        return network

    def guided(x_t: Any, t: Any) -> Any:
        return change_eps(classifier_free_s, network(x_t, t), worse(x_t, t), s)

    return guided


def on_a_grid(log_density: Any, x: Any) -> tuple[Any, Any]:
    """Shares of probability at the points of a grid, and their sum from the left.

    log_density: (N,), up to a constant;  x: (N,), increasing, the same distance apart"""
    xp = array_module(x)
    p = xp.exp(log_density - log_density.max())
    p = p / p.sum()
    return p, xp.cumsum(p) - 0.5 * p


def grid_quantiles(u: Any, x: Any, p: Any) -> Any:
    """The points of a grid density that have the shares u to their left.   -> as u

    u: (M,) in (0, 1);  x, p: (N,), the grid and its shares"""
    xp = array_module(x)
    return xp.interp(u, xp.cumsum(p) - 0.5 * p, x)


def wasserstein_1(samples: Any, x: Any, p: Any) -> float:
    """Mean distance that samples on a line must move to be spread as the grid says.

    samples: (M,);  x, p: (N,), the grid and its shares"""
    xp = array_module(samples)
    M = len(samples)
    u = (xp.arange(M) + 0.5) / M
    return float(abs(xp.sort(samples) - grid_quantiles(u, x, p)).mean())
