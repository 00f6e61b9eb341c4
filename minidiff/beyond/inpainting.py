"""Filling holes with a network that was never trained for it, beside the exact answer.

Some numbers of x_0 are known, a mask says which. Sampling can put them back at each step,
noised as at that time. That is a habit, no theorem: the rest then follows the joint
density of x_t, not the density given what is known. On a mixture both are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_sample, q_step
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.noise_prediction import (
    EpsTheta,
    clip_x_0,
    fresh_noise,
    predict_noise,
    starting_noise,
)  # fmt: skip
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.reverse import mu_theta, p_step, sigma_squared
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.elementwise import number, sqrt
from minidiff.engine.random import RNG


@equation("inpaint.weights", "Bayes; product of independent Gaussians")
def weights_given(x_known, mask, mixture):
    """w_k' = w_k N(x_known; m_k, s_k^2 I) / sum over j of w_j N(x_known; m_j, s_j^2 I)

    The share of each component once some numbers of x_0 are known.
    x_known: the shape of one point;  mask: bool, True where it is known  ->  (K,)"""
    mean, variance = mixture.means[:, mask], mixture.stds[:, None] ** 2
    log_q = log_density(x_known[mask], mean, variance).sum(axis=1)
    log_w = np.log(mixture.weights) + log_q
    w = np.exp(log_w - log_w.max())
    w = w / w.sum()
    return w


def given(x_known: Any, mask: Any, mixture: GaussianMixture) -> GaussianMixture:
    """p(the unknown numbers | x_known), again a mixture, of points (unknown,).

    Within a component the numbers are independent: only the shares change.
    Raises: ValueError for other shapes, or where all or nothing is known."""
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != mixture.shape:
        got = f"{mask.dtype} {mask.shape}"
        raise ValueError(f"given: mask must be bool {mixture.shape}, got {got}")
    if mask.all() or not mask.any():
        wanted = "something known and something unknown"
        raise ValueError(f"given: mask must leave {wanted}, got {mask}")
    if np.shape(x_known) != mixture.shape:
        got = f"{np.shape(x_known)}"
        raise ValueError(f"given: x_known must be {mixture.shape}, got {got}")
    w = weights_given(np.asarray(x_known), mask, mixture)
    return GaussianMixture(w, mixture.means[:, ~mask], mixture.stds, mixture.labels)


@equation("inpaint.replace", "Lugmayr et al. 2201.09865 eq. 8 (RePaint)")
def put_back(unknown, known, mask):
    """x_prev = mask known + (1 - mask) unknown

    The known numbers, noised as at that time, in place of what the step made of them.
    unknown, known: (B, ...);  mask: 1 where x_0 is known, else 0, broadcasts to them"""
    x_prev = mask * known + (1 - mask) * unknown
    return x_prev


def repaint_steps(
    eps_theta: EpsTheta, start: Any, known: Any, mask: Any, schedule: Schedule,
    rng: RNG, *, rounds: int = 1, clip: float | None = None,
) -> Iterator[Step]:  # fmt: skip
    """Algorithm 2 with the known part put back, each step in so many rounds.

    After each round but the last, x_{t-1} is noised one step back to t (`q_step`), so
    that the unknown part can follow the known one. start: the shape (B, ...) or x_T;
    known, mask: broadcast to it, mask 1 where x_0 is known, else 0
    Raises: ValueError unless rounds >= 1."""
    if rounds < 1:
        raise ValueError(f"repaint_steps: rounds must be at least 1, got {rounds}")
    x_t, clip = starting_noise(start, rng), number(clip)
    for t in range(schedule.T, 0, -1):
        for last in [False] * (rounds - 1) + [True]:
            eps_hat = predict_noise(eps_theta, x_t, t)
            x_0_hat, eps_hat = clip_x_0(x_t, t, eps_hat, schedule, clip)
            mu = mu_theta(x_t, t, eps_hat, schedule)
            z = fresh_noise(x_t, rng if t > 1 else None)
            unknown = p_step(mu, sqrt(sigma_squared(t, schedule)), z)
            known_prev = known + 0 * x_t
            if t > 1:
                known_prev = q_sample(known_prev, t - 1, fresh_noise(x_t, rng), schedule)
            x_prev = put_back(unknown, known_prev, mask)
            if last:
                terms = {"x_0_hat": x_0_hat, "known_prev": known_prev, "x_prev": x_prev}
                yield Step("repaint", t, x_t=x_t, eps_hat=eps_hat, mu=mu, z=z, **terms)
            x_t = x_prev if last else q_step(x_prev, t, fresh_noise(x_t, rng), schedule)
