"""Solvers of the probability-flow ODE with fewer network calls than DDIM's.

DDIM is a first-order method: half the stride, half the error. Heun's method and
DPM-Solver++(2M) are of second order: half the stride, a quarter of the error. Heun's pays
with two calls a step, 2M remembers the call before and pays with one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidiff.beyond.flow_ode import euler_step
from minidiff.beyond.pairs import downwards, move, predict_pair
from minidiff.diffusion.ddim import ddim_direction, ddim_sigma, ddim_step
from minidiff.diffusion.equation import equation
from minidiff.diffusion.noise_prediction import fresh_noise, starting_noise
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.elementwise import sqrt
from minidiff.engine.random import RNG

Network = Callable[..., Any]
Steps = int | Sequence[int] | None
INNER = 3.0  # |lambda| of `inner_times`: a / b or b / a is 20
LOWEST = -5.1  # lambda of the linear schedule's end, where 0.6 % of the signal is left


@equation("solver.half_log_snr", "Lu et al. 2211.01095 sec. 2")
def half_log_snr(t, schedule):
    """lambda_t = log(sqrt(alpha_bar_t) / sqrt(1 - alpha_bar_t))

    t: int in 1..T  ->  float, -inf where alpha_bar_t = 0"""
    snr = schedule.snr(t)
    lambda_t = 0.5 * math.log(snr) if snr else -math.inf
    return lambda_t


@equation("solver.log_snr_times", "Lu et al. 2206.00927 sec. 3.4 (uniform in lambda)")
def log_snr_times(schedule, S):
    """tau = (tau_1, ..., tau_S), times of 1..T, equal distances of lambda apart

    As nearly as the table allows; they start at 1 for S > 1 and end in tau_S = T. A
    lambda below -5.1 counts as -5.1: there x_t is all noise, and the cosine schedule
    would spend a third of its steps on it.
    1 <= S <= T  ->  int64 (S,)
    Raises: ValueError for another S."""
    T = schedule.T
    if not 1 <= S <= T:
        wanted = f"the number of steps S must be in 1..T = 1..{T}"
        raise ValueError(f"log_snr_times: {wanted}, got {S}")
    snr = np.maximum(schedule.snr(np.arange(1, T + 1)), math.exp(2 * LOWEST))
    table = 0.5 * np.log(snr)
    uniform = np.linspace(table[0], table[-1], S)
    tau = _nearest_times(table, uniform)
    return tau


def inner_times(schedule: Schedule, S: int) -> np.ndarray:
    """tau: times equal distances of lambda apart from 3 to -3, and then T

    For few network calls. Between these two lambdas, signal and noise are within a factor
    of 20 of each other, and the image is made. Beyond, one of the two is all there is.
    T is asked about all the same: its x_0_hat is the mean of the data.
    1 <= S <= T  ->  int64 (S,)
    Raises: ValueError for another S."""
    T = schedule.T
    if not 1 <= S <= T:
        wanted = f"the number of steps S must be in 1..T = 1..{T}"
        raise ValueError(f"inner_times: {wanted}, got {S}")
    snr = np.maximum(schedule.snr(np.arange(1, T + 1)), math.exp(2 * LOWEST))
    table = 0.5 * np.log(snr)
    return _nearest_times(table, np.linspace(INNER, -INNER, S))


def _nearest_times(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The times whose lambda in the table is nearest to the wanted; the last is T."""
    T, S = len(table), len(wanted)
    nearest = 1 + np.abs(table[None] - wanted[:, None]).argmin(axis=1)
    i = np.arange(S)
    distinct = np.maximum.accumulate(nearest - i) + i  # rounding may have joined two
    tau = np.minimum(distinct, T - S + 1 + i)
    tau[-1] = T
    return tau


@equation("solver.heun_step", "Karras et al. 2206.00364 Algorithm 1, lines 7-8")
def heun_step(x_t, eps_hat, eps_next, t, t_prev, schedule):
    """x_prev = Euler's step with the mean of the slopes at both ends

    The slope d x_bar / d sigma is eps: eps_hat at x_t, and eps_next at the x_prev that
    Euler's step would reach.
    x_t, eps_hat, eps_next: (B, ...);  1 <= t_prev < t  ->  (B, ...)"""
    slope = 0.5 * (eps_hat + eps_next)
    x_prev = euler_step(x_t, slope, t, t_prev, schedule)
    return x_prev


@equation("solver.data_2m", "Lu et al. 2211.01095 Algorithm 2, line 6")
def extrapolated_x_0(x_0_hat, x_0_before, t_before, t, t_prev, schedule):
    """D = x_0_hat + h / (2 h_before) (x_0_hat - x_0_before)

    The data prediction in the middle of the step from t to t_prev, on the line through
    the last two.   h = lambda_prev - lambda_t,  h_before = lambda_t - lambda_before
    x_0_hat, x_0_before: (B, ...), at t and t_before;  t_prev < t < t_before"""
    lambda_t = half_log_snr(t, schedule)
    h = half_log_snr(t_prev, schedule) - lambda_t
    h_before = lambda_t - half_log_snr(t_before, schedule)
    D = x_0_hat + h / (2 * h_before) * (x_0_hat - x_0_before)
    return D


@equation("solver.dpm_pp_step", "Lu et al. 2211.01095 Algorithm 2, line 7")
def dpm_pp_step(x_t, D, t, t_prev, schedule):
    """x_prev = b_prev / b_t x_t - a_prev (exp(-h) - 1) D

    a = sqrt(alpha_bar), b = sqrt(1 - alpha_bar), exp(-h) = a_t b_prev / (a_prev b_t).
    Exact if the data prediction is D all the way.
    x_t, D: (B, ...);  0 <= t_prev < t  ->  (B, ...)"""
    now, prev = schedule.at(t), schedule.at(t_prev, first=0)
    noise_left = sqrt(prev.one_minus_alpha_bar / now.one_minus_alpha_bar)
    exp_minus_h = sqrt(now.alpha_bar / prev.alpha_bar) * noise_left
    data = sqrt(prev.alpha_bar) * (exp_minus_h - 1) * D
    x_prev = noise_left * x_t - data
    return x_prev


def heun_steps(
    network: Network, start: Any, schedule: Schedule, rng: RNG | None = None, *,
    prediction: str = "eps", steps: Steps = None, clip: float | None = None,
) -> Iterator[Step]:  # fmt: skip
    """Heun's method from T down to the data; S steps ask the network 2 S - 1 times.

    network: called as network(x_t, t) with t: (B,), returns what `prediction` says:
    "eps", "x_0", "mu_tilde", "v" or "velocity"; start, steps, rng, clip: as for
    `ddim_steps`.
    The last step, to the data, is Euler's: a network knows 1..T. So is one from
    alpha_bar_T = 0, where the slope has no number."""
    x_t = starting_noise(start, rng)
    for t, t_prev in downwards(schedule, steps):
        x_0_hat, eps_hat = predict_pair(network, x_t, t, schedule, prediction, clip)
        terms = {"t_prev": t_prev, "x_t": x_t, "eps_hat": eps_hat, "x_0_hat": x_0_hat}
        if t_prev == 0 or schedule.at(t).alpha_bar == 0:
            x_prev = move(x_0_hat, eps_hat, t_prev, schedule)
        else:
            x_euler = euler_step(x_t, eps_hat, t, t_prev, schedule)
            _, eps_next = predict_pair(
                network, x_euler, t_prev, schedule, prediction, clip
            )
            x_prev = heun_step(x_t, eps_hat, eps_next, t, t_prev, schedule)
            terms |= {"x_euler": x_euler, "eps_next": eps_next}
        yield Step("heun", t, **terms, x_prev=x_prev)
        x_t = x_prev


def dpm_pp_steps(
    network: Network, start: Any, schedule: Schedule, rng: RNG | None = None, *,
    prediction: str = "eps", steps: Steps = None, clip: float | None = None,
) -> Iterator[Step]:  # fmt: skip
    """DPM-Solver++(2M) from T down to the data; one network call a step.

    Arguments as for `heun_steps`. The first step has no call before it, and the last
    goes to lambda = inf: both take x_0_hat for D, which makes them DDIM's."""
    x_t = starting_noise(start, rng)
    x_0_before, t_before = None, None
    for t, t_prev in downwards(schedule, steps):
        x_0_hat, eps_hat = predict_pair(network, x_t, t, schedule, prediction, clip)
        D = x_0_hat
        if x_0_before is not None and t_prev > 0:
            D = extrapolated_x_0(x_0_hat, x_0_before, t_before, t, t_prev, schedule)
        x_prev = dpm_pp_step(x_t, D, t, t_prev, schedule)
        terms = {"t_prev": t_prev, "x_t": x_t, "eps_hat": eps_hat, "x_0_hat": x_0_hat}
        yield Step("dpm++", t, **terms, D=D, x_prev=x_prev)
        x_t, x_0_before, t_before = x_prev, x_0_hat, t


def pair_ddim_steps(
    network: Network, start: Any, schedule: Schedule, rng: RNG | None = None, *,
    prediction: str = "eps", steps: Steps = None, clip: float | None = None,
    eta: float = 0.0,
) -> Iterator[Step]:  # fmt: skip
    """DDIM on (x_0_hat, eps_hat): the steps of `ddim_steps`, for alpha_bar_T = 0, too.

    Arguments as for `heun_steps`; eta: as for `ddim_steps`, in [0, 1]."""
    x_t = starting_noise(start, rng)
    if rng is None and eta > 0:
        wanted = "rng may be left out only if eta = 0"
        raise ValueError(f"pair_ddim_steps: {wanted}, got eta = {eta}")
    for t, t_prev in downwards(schedule, steps):
        x_0_hat, eps_hat = predict_pair(network, x_t, t, schedule, prediction, clip)
        sigma_t = ddim_sigma(t, t_prev, schedule, eta)
        direction = ddim_direction(eps_hat, t_prev, sigma_t, schedule)
        z = fresh_noise(x_t, rng if eta > 0 and t_prev > 0 else None)
        x_prev = ddim_step(x_0_hat, direction, t_prev, sigma_t, z, schedule)
        terms = {"t_prev": t_prev, "x_t": x_t, "eps_hat": eps_hat, "x_0_hat": x_0_hat}
        terms |= {"sigma_t": sigma_t, "direction": direction, "z": z, "x_prev": x_prev}
        yield Step("ddim", t, **terms)
        x_t = x_prev
