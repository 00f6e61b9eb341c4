"""Algorithm 2: sampling with DDPM, one `Step` at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minidiff.diffusion.equation import equation
from minidiff.diffusion.noise_prediction import (
    EpsTheta,
    clip_bound,
    clip_x_0,
    fresh_noise,
    predict,
    starting_noise,
    times,
)  # fmt: skip
from minidiff.diffusion.reverse import learned_variance, mu_theta, p_step, sigma_squared
from minidiff.diffusion.schedule import Schedule, at_times, respace
from minidiff.diffusion.step import Step
from minidiff.engine.elementwise import sqrt
from minidiff.engine.random import RNG


@equation("ddpm.algorithm_2", "DDPM Algorithm 2", errata=(9, 22, 23, 24))
def ddpm_steps(
    eps_theta: EpsTheta, start: Any, schedule: Schedule, rng: RNG, *,
    variance: str = "beta_tilde", clip: float | None = None,
    guide: Callable[..., Any] | None = None, tau: Sequence[int] | None = None,
) -> Iterator[Step]:  # fmt: skip
    """x_{t-1} = mu_theta(x_t, t) + sigma_t z  for t = T, ..., 1

    eps_theta: called as eps_theta(x_t, t) with t: (B,);
    start: the shape (B, ...) of the samples, or x_T itself, which gives their dtype;
    variance: sigma_t^2 is "beta_tilde", "beta", or "learned": eps_theta then returns a
    Prediction(eps, v), see `learned_variance`; clip: bound for |x_0_hat|, 1.0 for images;
    guide: called as guide(mu, variance, x_t, t) -> another mean (`guidance.shift_mean`);
    tau: increasing times, for fewer steps on the chain of `respace`: the t of a `Step`
    then counts len(tau)..1."""
    if tau is not None:
        schedule, eps_theta = respace(schedule, tau), at_times(tau, eps_theta)
        guide = at_times(tau, guide) if guide is not None else None
    x_t, clip = starting_noise(start, rng), clip_bound(clip)
    for t in range(schedule.T, 0, -1):
        eps_hat, v = predict(eps_theta, x_t, t, variance)
        x_0_hat, eps_hat = clip_x_0(x_t, t, eps_hat, schedule, clip)
        mu = mu_theta(x_t, t, eps_hat, schedule)
        if v is None:
            variance_t = sigma_squared(t, schedule, variance)
        else:
            variance_t = learned_variance(v, t, schedule)
        if guide is not None:
            mu = guide(mu, variance_t, x_t, times(t, x_t))
        sigma_t = sqrt(variance_t)
        z = fresh_noise(x_t, rng if t > 1 else None)
        x_prev = p_step(mu, sigma_t, z)
        predicted = {"eps_hat": eps_hat, "x_0_hat": x_0_hat, "mu": mu}
        yield Step("ddpm", t, x_t=x_t, **predicted, sigma_t=sigma_t, z=z, x_prev=x_prev)
        x_t = x_prev


def ddpm_sample(
    eps_theta: EpsTheta, start: Any, schedule: Schedule, rng: RNG, **options: Any
) -> Any:
    """x_0 from Algorithm 2: the last value of `ddpm_steps`, whose arguments it takes."""
    for step in ddpm_steps(eps_theta, start, schedule, rng, **options):
        x_0 = step.x_prev
    return x_0
