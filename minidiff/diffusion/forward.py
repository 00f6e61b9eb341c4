"""The forward process q: from an image to noise, step by step or in one jump."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidiff.diffusion.elementwise import sqrt, sum_per_image
from minidiff.diffusion.equation import equation
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.random import RNG


@equation(
    "forward.q_step",
    slide="Forward Diffusion Process",
    paper="DDPM eq. 2",
    latex=r"q(\mathbf{x}_t|\mathbf{x}_{t-1}) = \mathcal{N}(\mathbf{x}_t; \sqrt{1-\beta_t}\,\mathbf{x}_{t-1}, \beta_t\mathbf{I})",
    errata=(1, 2),
)
def q_step(x_prev, t, eps_step, schedule):
    """Sample q(x_t | x_{t-1}): shrink a little, add a little noise.   x_prev, eps_step: (B, ...); t: int or (B,) in 1..T -> x_t."""
    beta_t = schedule.beta(t, like=x_prev)
    signal = sqrt(1 - beta_t) * x_prev
    noise = sqrt(beta_t) * eps_step
    x_t = signal + noise
    return x_t


@equation(
    "forward.q_sample",
    slide="Forward Diffusion Process",
    paper="DDPM eq. 4",
    latex=r"\mathbf{x}_t = \sqrt{\bar\alpha_t}\,\mathbf{x}_0 + \sqrt{1-\bar\alpha_t}\,\boldsymbol\epsilon",
    errata=(5,),
)
def q_sample(x_0, t, eps, schedule):
    """Sample q(x_t | x_0) in one jump.   x_0, eps: (B, ...); t: int or (B,) in 1..T -> x_t: (B, ...)."""
    alpha_bar_t = schedule.alpha_bar(t, like=x_0)
    one_minus_alpha_bar_t = schedule.one_minus_alpha_bar(t, like=x_0)
    signal = sqrt(alpha_bar_t) * x_0
    noise = sqrt(one_minus_alpha_bar_t) * eps
    x_t = signal + noise
    return x_t


@equation(
    "forward.q_mean_variance",
    slide="Forward Diffusion Process",
    paper="DDPM eq. 4",
    latex=r"q(\mathbf{x}_t|\mathbf{x}_0) = \mathcal{N}(\mathbf{x}_t; \sqrt{\bar\alpha_t}\,\mathbf{x}_0, (1-\bar\alpha_t)\mathbf{I})",
    errata=(4,),
)
def q_mean_variance(x_0, t, schedule):
    """Mean and variance of q(x_t | x_0).   x_0: (B, ...); t: int or (B,) in 1..T -> mean: (B, ...), variance: float or (B, 1, ...)."""
    mean = sqrt(schedule.alpha_bar(t, like=x_0)) * x_0
    variance = schedule.one_minus_alpha_bar(t, like=x_0)
    return mean, variance


@equation(
    "forward.merge_gaussians",
    slide="Forward Diffusion Process",
    paper="DDPM eq. 4",
    latex=r"\sqrt{\alpha_t}\,\sqrt{1-\alpha_{t-1}}\,\boldsymbol\epsilon_{t-2} + \sqrt{1-\alpha_t}\,\boldsymbol\epsilon_{t-1}"
    r" = \sqrt{1-\alpha_t\alpha_{t-1}}\,\bar{\boldsymbol\epsilon}_{t-2}",
)
def merge_gaussians(alpha_t, alpha_prev):
    """Standard deviation of the merged noise of two steps: variances add.   alpha_t, alpha_prev: in (0, 1) -> float or array.

    The older noise has passed through step t, which scales it by sqrt(alpha_t).
    """
    older_variance = alpha_t * (1 - alpha_prev)
    newer_variance = 1 - alpha_t
    merged_variance = older_variance + newer_variance
    return sqrt(merged_variance)


@equation("forward.q_two_steps", "DDPM eq. 4", errata=5, slide="Forward Diffusion Process")
def q_two_steps(x_prev_prev, t, eps_merged, schedule):
    """x_t = sqrt(alpha_t alpha_{t-1}) x_{t-2} + sqrt(1 - alpha_t alpha_{t-1}) eps_merged

    x_prev_prev, eps_merged: (B, ...); t: int or (B,) in 2..T -> x_t: (B, ...)
    """
    alpha, alpha_prev = schedule.alpha(t, like=x_prev_prev), schedule.alpha(t - 1, like=x_prev_prev)
    signal = sqrt(alpha * alpha_prev) * x_prev_prev
    noise = merge_gaussians(alpha, alpha_prev) * eps_merged
    x_t = signal + noise
    return x_t


@equation(
    "forward.q_chain",
    slide="Forward Diffusion Process",
    paper="DDPM eq. 2",
    latex=r"q(\mathbf{x}_{1:T}|\mathbf{x}_0) = \prod_{t=1}^T q(\mathbf{x}_t|\mathbf{x}_{t-1})",
)
def log_q_chain(chain, schedule):
    """Log-density of a whole chain given its image: a Markov chain's factors.   chain: x_0, x_1, ..., x_T, each (B, ...) -> (B,), nats."""
    total = 0.0
    for t in range(1, schedule.T + 1):
        mean = sqrt(1 - schedule.beta(t)) * chain[t - 1]
        log_q = log_density(chain[t], mean, schedule.beta(t))
        total = total + sum_per_image(log_q)
    return total


def forward_steps(x_0: Any, schedule: Schedule, rng: RNG) -> Iterator[Step]:
    """The Markov chain x_0, x_1, ..., x_T, one `Step` for each t = 1..T.    x_0: (B, ...)."""
    x_prev = x_0
    for t in range(1, schedule.T + 1):
        eps_step = rng.normal(x_0.shape, dtype=x_0.dtype)
        x_t = q_step(x_prev, t, eps_step, schedule)
        yield Step("forward", t, x_prev=x_prev, beta_t=schedule.beta(t), eps_step=eps_step, x_t=x_t)
        x_prev = x_t
