"""Diffusion in continuous time: the SDE, and the ODE that has the same densities.

The clock is B_t = -log alpha_bar_t, the integral of beta. On it the forward process is
dx = -x/2 dB + dw for every schedule, and the ODE with the same densities is
dx/dB = -(x + score)/2. DDIM with eta = 0 is an Euler step of it, in another variable."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minidiff.diffusion.ddim import choose_times
from minidiff.diffusion.equation import equation
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.oracle import diffused, shares
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.elementwise import sqrt, sum_per_image

Field = Callable[[Any, int], Any]  # (x_t, t) -> (B, ...), or (B,)


@equation("ode.clock", "Song et al. 2011.13456 eq. 11")
def clock(t, schedule):
    """B_t = -log alpha_bar_t, the integral of beta from the data to t

    t: int in 0..T  ->  float
    Raises: ValueError where alpha_bar_t = 0: that is infinitely far."""
    alpha_bar = schedule.at(t, first=0).alpha_bar
    if alpha_bar == 0:
        reason = f"alpha_bar_t = 0 at t = {t} is infinitely far from the data"
        raise ValueError(f"clock: {reason}; end at an earlier t")
    B = -math.log(alpha_bar)
    return B


@equation("ode.sde_step", "Song et al. 2011.13456 eq. 11 (VP-SDE)")
def sde_step(x_prev, t, z, schedule):
    """x_t = x_{t-1} - 1/2 beta_t x_{t-1} + sqrt(beta_t) z

    An Euler step of the SDE. DDPM's forward step has sqrt(1 - beta_t) instead of
    1 - beta_t / 2, its first two terms.
    x_prev, z: (B, ...);  t: int or (B,) in 1..T  ->  (B, ...)"""
    now = schedule.at(t, like=x_prev)
    drift = -0.5 * now.beta * x_prev
    noise = sqrt(now.beta) * z
    x_t = x_prev + drift + noise
    return x_t


@equation("ode.drift", "Song et al. 2011.13456 eq. 13")
def drift(x_t, score):
    """dx/dB = -1/2 (x_t + score), the probability-flow ODE

    Half of the SDE's pull to zero, and half of the score's pull back, without noise.
    x_t, score: (B, ...)  ->  (B, ...)"""
    velocity = -0.5 * (x_t + score)
    return velocity


@equation("ode.edm_sigma", "Karras et al. 2206.00364 Tab. 1 (VP)")
def edm_sigma(t, schedule):
    """sigma = sqrt((1 - alpha_bar_t) / alpha_bar_t), noise over signal

    The noise in x_t / sqrt(alpha_bar_t).   t: int in 0..T  ->  float, 0 for the data"""
    now = schedule.at(t, first=0)
    sigma = sqrt(now.one_minus_alpha_bar / now.alpha_bar)
    return sigma


@equation("ode.euler_step", "DDIM eq. 13-14; Karras et al. 2206.00364 eq. 3")
def euler_step(x_t, eps_hat, t, t_prev, schedule):
    """x_prev = sqrt(alpha_bar_prev) (x_bar + (sigma_prev - sigma) eps_hat)

    x_bar = x_t / sqrt(alpha_bar_t), and d x_bar / d sigma = eps. This is DDIM's step with
    eta = 0.   x_t, eps_hat: (B, ...);  0 <= t_prev < t, alpha_bar_t > 0  ->  (B, ...)"""
    x_bar = x_t / sqrt(schedule.at(t).alpha_bar)
    stride = edm_sigma(t_prev, schedule) - edm_sigma(t, schedule)
    moved = x_bar + stride * eps_hat
    x_prev = sqrt(schedule.at(t_prev, first=0).alpha_bar) * moved
    return x_prev


@equation("ode.divergence", "Chen et al. 1806.07366 eq. 8, for a mixture")
def drift_divergence(x_t, t, mixture, schedule):
    """div = -1/2 (D + laplacian of log q(x_t))

    laplacian = sum over k of r_k (|pull_k|^2 - D / variance_k) - |score|^2.
    x_t: (B, ...);  t: int or (B,) in 0..T  ->  (B,)"""
    x, mean, variance, log_joint = diffused(x_t, t, mixture, schedule)
    r = shares(log_joint)
    pull, D = (mean - x) / variance, x.shape[2]
    score = (r * pull).sum(axis=1)
    curvature = (pull**2).sum(axis=2, keepdims=True) - D / variance
    laplacian = (r * curvature).sum(axis=(1, 2)) - (score**2).sum(axis=1)
    div = -0.5 * (D + laplacian)
    return div


@equation("ode.log_likelihood", "Song et al. 2011.13456 eq. 39")
def log_likelihood(x_T, log_volume):
    """log p(x_0) = log N(x_T; 0, I) + log_volume

    log_volume: the integral of div along the path, (B,): how much the flow to x_T spread
    a small volume around x_0.   x_T: (B, ...)  ->  (B,), nats"""
    prior = sum_per_image(log_density(x_T, 0.0, 1.0))
    log_p = prior + log_volume
    return log_p


def likelihood_steps(
    score: Field, divergence: Field, x_0: Any, schedule: Schedule, *,
    steps: int | Sequence[int] | None = None,
) -> Iterator[Step]:  # fmt: skip
    """From the data up to x_T on the ODE, by Heun's method; `log_p` of the last is the
    log-likelihood of x_0.

    score: called as score(x_t, t), t: int in 0..T; divergence: of the drift, (B,); steps:
    as for `ddim_steps`.   x_0: (B, ...)"""
    times = [0, *choose_times(schedule, steps)]
    x_t, log_volume = x_0, 0 * sum_per_image(x_0)
    velocity, div = drift(x_t, score(x_t, 0)), divergence(x_t, 0)
    for t, t_next in zip(times, times[1:], strict=False):
        stride = clock(t_next, schedule) - clock(t, schedule)
        guess = x_t + stride * velocity
        ahead = drift(guess, score(guess, t_next))
        x_next = x_t + 0.5 * stride * (velocity + ahead)
        velocity = drift(x_next, score(x_next, t_next))
        div_next = divergence(x_next, t_next)
        log_volume = log_volume + 0.5 * stride * (div + div_next)
        log_p = log_likelihood(x_next, log_volume)
        terms = {"t_next": t_next, "x_t": x_t, "x_next": x_next, "log_volume": log_volume}
        yield Step("likelihood", t, **terms, log_p=log_p)
        x_t, div = x_next, div_next
