"""DDIM: sampling on any sub-sequence of times, with as much noise as wanted (eta)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minidiff.diffusion.equation import equation
from minidiff.diffusion.noise_prediction import (
    EpsTheta,
    clip_bound,
    clip_x_0,
    fresh_noise,
    predict_noise,
    starting_noise,
)  # fmt: skip
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.checks import check_choice, is_int
from minidiff.engine.elementwise import number, sqrt
from minidiff.engine.random import RNG


@equation("ddim.tau", "DDIM sec. 4.2, app. D.2")
def make_tau(T, S, spacing="uniform"):
    """tau = (tau_1, ..., tau_S), increasing times of 1..T that end in tau_S = T

    For S > 1 they start at 1.   1 <= S <= T  ->  int64 (S,)
    spacing: "uniform", or "quadratic", which takes small steps near the data.
    Raises: ValueError for another S or spacing."""
    if not is_int(S) or not 1 <= S <= T:
        wanted = f"the number of steps S must be in 1..T = 1..{T}"
        raise ValueError(f"make_tau: {wanted}, got {S}")
    check_choice("make_tau", "spacing", spacing, ("uniform", "quadratic"))
    power = 2 if spacing == "quadratic" else 1
    whole = max(S - 1, 1) ** power
    i = np.arange(S) if S > 1 else np.array([1])
    # (T - 1) (i / (S - 1))^power, rounded
    distance = (2 * (T - 1) * i**power + whole) // (2 * whole)
    distinct = np.maximum.accumulate(distance - i) + i  # rounding may have joined two
    tau = 1 + distinct
    return tau


@equation("ddim.sigma", "DDIM eq. 16", errata=29)
def ddim_sigma(t, t_prev, schedule, eta=0.0):
    """sigma_t = eta sqrt((1 - alpha_bar_prev) / (1 - alpha_bar_t)) sqrt(beta_jump)

    beta_jump = 1 - alpha_bar_t / alpha_bar_prev. Standard deviation of the fresh noise.
    0 <= t_prev < t <= T; eta: 0 is deterministic, 1 is DDPM with beta_tilde  ->  float
    Raises: ValueError if eta is outside [0, 1]."""
    if not 0 <= eta <= 1:
        meaning = "0 is deterministic, 1 is DDPM with beta_tilde"
        raise ValueError(f"ddim_sigma: eta must be in [0, 1] ({meaning}), got {eta}")
    eta, now, prev = number(eta), schedule.at(t), schedule.at(t_prev, first=0)
    variance_left = prev.one_minus_alpha_bar / now.one_minus_alpha_bar
    beta_jump = schedule.jump_beta(t_prev, t)
    sigma_t = eta * sqrt(variance_left) * sqrt(beta_jump)
    return sigma_t


@equation("ddim.sigma_hat", "DDIM sec. 5", errata=29)
def ddim_sigma_hat(t, t_prev, schedule):
    """sigma_hat = sqrt(1 - alpha_bar_t / alpha_bar_prev)

    The larger noise of DDPM with sigma^2 = beta, outside of DDIM's family: the fresh
    noise takes it, the direction keeps eta = 1.   0 <= t_prev < t <= T  ->  float"""
    sigma_hat = sqrt(schedule.jump_beta(t_prev, t))
    return sigma_hat


@equation("ddim.direction", "DDIM eq. 12", errata=(27, 28, 29))
def ddim_direction(eps_hat, t_prev, sigma_t, schedule):
    """direction = sqrt(1 - alpha_bar_prev - sigma_t^2) eps_hat, "pointing to x_t"

    eps_hat: (B, ...);  0 <= t_prev < T;  sigma_t: float  ->  (B, ...)
    Raises: ValueError if sigma_t is larger than the noise that x_prev may hold, as
    sigma_t^2 = beta_t is at t = 1 and 2."""
    prev = schedule.at(t_prev, first=0)
    radicand = prev.one_minus_alpha_bar - sigma_t**2
    if radicand < -1e-12:
        raise ValueError(
            f"ddim_direction: sigma_t^2 must be <= 1 - alpha_bar at t_prev = {t_prev}, "
            f"which is {prev.one_minus_alpha_bar:.4g}; got {sigma_t**2:.4g}"
        )
    direction = sqrt(max(radicand, 0.0)) * eps_hat
    return direction


@equation("ddim.step", "DDIM eq. 12", errata=(26, 27, 28, 30, 31))
def ddim_step(x_0_hat, direction, t_prev, sigma_t, z, schedule):
    """x_prev = sqrt(alpha_bar_prev) x_0_hat + direction + sigma_t z

    From x_t, given as its two parts, to x_prev at time t_prev.
    x_0_hat, direction, z: (B, ...);  0 <= t_prev < T  ->  x_prev: (B, ...)"""
    predicted_x_0 = sqrt(schedule.at(t_prev, first=0).alpha_bar) * x_0_hat
    random_noise = sigma_t * z
    x_prev = predicted_x_0 + direction + random_noise
    return x_prev


def ddim_steps(
    eps_theta: EpsTheta, start: Any, schedule: Schedule, rng: RNG | None = None, *,
    steps: int | Sequence[int] | None = None, eta: float | str = 0.0,
    clip: float | None = None,
) -> Iterator[Step]:  # fmt: skip
    """DDIM as S steps from T down to the data.

    eps_theta: called as eps_theta(x_t, t) with t: (B,);
    start: the shape (B, ...) of the samples, or x_T itself, which gives their dtype;
    steps: S in 1..T (default T), or the increasing times themselves, see `make_tau`;
    eta: 0 deterministic .. 1 DDPM with beta_tilde, or "sigma_hat", DDPM with beta
    (`ddim_sigma_hat`); clip: bound for |x_0_hat|; rng: None with an x_T and eta = 0.
    Without noise and clip, nothing mends an error of eps_theta that x_0_hat enlarges (see
    `schedule.check()`): on the cosine schedule, in 50 steps, one of 1 % leads a quarter
    of the samples astray, or half. Predict v, clip, or take eta = 1."""
    times, clip = choose_times(schedule, steps), clip_bound(clip)
    larger = eta == "sigma_hat"
    if isinstance(eta, str) and not larger:
        wanted = "eta must be in [0, 1] or 'sigma_hat'"
        raise ValueError(f"ddim_steps: {wanted}, got {eta!r}")
    share = 1.0 if larger else float(eta)  # of DDPM's noise: the direction leaves it out
    if rng is None and share > 0:
        wanted = "rng may be left out only if eta = 0"
        raise ValueError(f"ddim_steps: {wanted}, got eta = {eta}")
    x_t = starting_noise(start, rng)
    for t, t_prev in zip(times[::-1], [*times[-2::-1], 0], strict=True):
        eps_hat = predict_noise(eps_theta, x_t, t)
        x_0_hat, eps_hat = clip_x_0(x_t, t, eps_hat, schedule, clip)
        sigma_t = ddim_sigma(t, t_prev, schedule, share)
        direction = ddim_direction(eps_hat, t_prev, sigma_t, schedule)
        if larger:
            sigma_t = ddim_sigma_hat(t, t_prev, schedule)
        z = fresh_noise(x_t, rng if share > 0 and t_prev > 0 else None)
        x_prev = ddim_step(x_0_hat, direction, t_prev, sigma_t, z, schedule)
        terms = {"t_prev": t_prev, "x_t": x_t, "eps_hat": eps_hat, "x_0_hat": x_0_hat}
        terms |= {"sigma_t": sigma_t, "direction": direction, "z": z, "x_prev": x_prev}
        yield Step("ddim", t, **terms)
        x_t = x_prev


def ddim_sample(
    eps_theta: EpsTheta, start: Any, schedule: Schedule, rng: RNG | None = None,
    **options: Any,
) -> Any:  # fmt: skip
    """x_0 from DDIM: the last value of `ddim_steps`, whose arguments it takes."""
    for step in ddim_steps(eps_theta, start, schedule, rng, **options):
        x_0 = step.x_prev
    return x_0


def choose_times(schedule: Schedule, steps: int | Sequence[int] | None) -> list[int]:
    """tau as a list: S = `steps` (default T) times, or the given ones, checked."""
    steps = schedule.T if steps is None else steps
    if np.ndim(steps) == 0:
        return make_tau(schedule.T, steps).tolist()
    times = schedule.index(np.asarray(steps)).tolist()
    if not times or any(a >= b for a, b in zip(times, times[1:], strict=False)):
        raise ValueError(f"ddim: the times must increase, got {times}")
    return times
