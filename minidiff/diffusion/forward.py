"""The forward process q: from an image to noise, step by step or in one jump."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidiff.diffusion.equation import equation
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.elementwise import sqrt
from minidiff.engine.random import RNG


@equation("forward.q_step", "DDPM eq. 2", errata=(1, 2))
def q_step(x_prev, t, eps_step, schedule):
    """x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps_step

    x_prev, eps_step: (B, ...);  t: int or (B,) in 1..T  ->  x_t: (B, ...)"""
    now = schedule.at(t, like=x_prev)
    signal = sqrt(1 - now.beta) * x_prev
    noise = sqrt(now.beta) * eps_step
    x_t = signal + noise
    return x_t


@equation("forward.q_sample", "DDPM eq. 4", errata=5)
def q_sample(x_0, t, eps, schedule):
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps

    x_0, eps: (B, ...);  t: int or (B,) in 1..T  ->  x_t: (B, ...)"""
    now = schedule.at(t, like=x_0)
    signal = sqrt(now.alpha_bar) * x_0
    noise = sqrt(now.one_minus_alpha_bar) * eps
    x_t = signal + noise
    return x_t


@equation("forward.q_mean_variance", "DDPM eq. 4", errata=4)
def q_mean_variance(x_0, t, schedule):
    """q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I)

    x_0: (B, ...);  t: int or (B,) in 1..T
    ->  mean: (B, ...), variance: float or (B, 1, ...)"""
    now = schedule.at(t, like=x_0)
    mean = sqrt(now.alpha_bar) * x_0
    variance = now.one_minus_alpha_bar
    return mean, variance


def forward_steps(x_0: Any, schedule: Schedule, rng: RNG) -> Iterator[Step]:
    """The Markov chain x_0, x_1, ..., x_T, a `Step` for each t.   x_0: (B, ...)."""
    x_prev = x_0
    for t in range(1, schedule.T + 1):
        eps_step = rng.normal(x_0.shape, dtype=x_0.dtype)
        x_t = q_step(x_prev, t, eps_step, schedule)
        beta_t = schedule.at(t).beta
        yield Step("forward", t, x_prev=x_prev, beta_t=beta_t, eps_step=eps_step, x_t=x_t)
        x_prev = x_t
