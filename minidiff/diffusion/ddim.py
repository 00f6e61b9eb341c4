"""DDIM: sampling on any sub-sequence of times, with as much noise as wanted (eta)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidiff.diffusion.elementwise import sqrt
from minidiff.diffusion.equation import equation
from minidiff.diffusion.noise_prediction import clip_x_0, predict_noise, starting_noise
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.backend import array_module
from minidiff.engine.random import RNG

EpsTheta = Callable[..., Any]


@equation(
    "ddim.tau",
    slide="DDIM Details",
    paper="DDIM sec. 4.2, app. D.2",
    latex=r"\tau = \{\tau_1, \dots, \tau_S\} \subseteq \{1, \dots, T\}, \quad \tau_S = T",
)
def make_tau(T, S, spacing="uniform"):
    """S of the times 1..T, increasing, ending in T and (for S > 1) starting at 1.   1 <= S <= T -> int64 (S,).

    spacing: "uniform", or "quadratic", which takes small steps near the data.
    """
    if not 1 <= S <= T:
        raise ValueError(f"make_tau: the number of steps S must be in 1..T = 1..{T}, got {S}")
    if spacing not in ("uniform", "quadratic"):
        raise ValueError(f"make_tau: spacing must be 'uniform' or 'quadratic', got {spacing!r}")
    if S == 1:
        return np.array([T])
    power = 2 if spacing == "quadratic" else 1
    i = np.arange(S)
    distance = (2 * (T - 1) * i**power + (S - 1) ** power) // (2 * (S - 1) ** power)  # (T - 1) (i / (S - 1))^power, rounded
    distinct = np.maximum.accumulate(distance - i) + i
    return 1 + distinct


@equation(
    "ddim.sigma",
    slide="DDIM Details",
    paper="DDIM eq. 16",
    latex=r"\sigma_{\tau_i} = \eta\sqrt{\frac{1-\bar\alpha_{\tau_{i-1}}}{1-\bar\alpha_{\tau_i}}}"
    r"\sqrt{1-\frac{\bar\alpha_{\tau_i}}{\bar\alpha_{\tau_{i-1}}}}",
    errata=(29,),
)
def ddim_sigma(t, t_prev, schedule, eta=0.0):
    """Standard deviation of the fresh noise in the jump from t to t_prev.   0 <= t_prev < t <= T -> float.

    eta = 0 is deterministic, eta = 1 is DDPM with beta_tilde.   Raises ValueError if eta is outside [0, 1].
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"ddim_sigma: eta must be in [0, 1] (0 is deterministic, 1 is DDPM with beta_tilde), got {eta}")
    variance_left = schedule.one_minus_alpha_bar(t_prev, first=0) / schedule.one_minus_alpha_bar(t)
    beta_jump = schedule.jump_beta(t_prev, t)
    sigma_t = eta * sqrt(variance_left) * sqrt(beta_jump)
    return sigma_t


@equation(
    "ddim.sigma_hat",
    slide="DDIM Details",
    paper="DDIM sec. 5",
    latex=r"\hat\sigma_{\tau_i} = \sqrt{1-\frac{\bar\alpha_{\tau_i}}{\bar\alpha_{\tau_{i-1}}}}",
    errata=(29,),
)
def ddim_sigma_hat(t, t_prev, schedule):
    """The larger noise of DDPM with sigma^2 = beta, outside of the family: only the fresh noise takes it, the direction keeps eta = 1.

    0 <= t_prev < t <= T -> float; sqrt(beta_t) if t_prev = t - 1.
    """
    sigma_hat = sqrt(schedule.jump_beta(t_prev, t))
    return sigma_hat


@equation(
    "ddim.direction",
    slide="DDIM Details",
    paper="DDIM eq. 12",
    latex=r"\sqrt{1-\bar\alpha_{t-1}-\sigma_t^2}\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)",
    errata=(27, 28, 29),
)
def ddim_direction(eps_hat, t_prev, sigma_t, schedule):
    """The "direction pointing to x_t".   eps_hat: (B, ...); 0 <= t_prev < T; sigma_t: float -> (B, ...).

    Raises ValueError if sigma_t is larger than the noise that x_prev may hold, as sigma_t^2 = beta_t is at t = 1 and 2.
    """
    radicand = schedule.one_minus_alpha_bar(t_prev, first=0) - sigma_t**2
    if radicand < -1e-12:
        raise ValueError(
            f"ddim_direction: sigma_t^2 must be <= 1 - alpha_bar at t_prev = {t_prev}, "
            f"which is {schedule.one_minus_alpha_bar(t_prev, first=0):.4g}; got {sigma_t**2:.4g}"
        )
    direction = sqrt(max(radicand, 0.0)) * eps_hat
    return direction


@equation(
    "ddim.step",
    slide="DDIM Details",
    paper="DDIM eq. 12",
    latex=r"\mathbf{x}_{t-1} = \sqrt{\bar\alpha_{t-1}}\,\hat{\mathbf{x}}_0"
    r" + \sqrt{1-\bar\alpha_{t-1}-\sigma_t^2}\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t) + \sigma_t\mathbf{z}",
    errata=(26, 27, 28, 30, 31),
)
def ddim_step(x_0_hat, eps_hat, t_prev, sigma_t, z, schedule):
    """From x_t, given as its two parts, to x_prev at time t_prev.   x_0_hat, eps_hat, z: (B, ...) -> x_prev: (B, ...)."""
    predicted_x_0 = sqrt(schedule.alpha_bar(t_prev, first=0)) * x_0_hat
    direction = ddim_direction(eps_hat, t_prev, sigma_t, schedule)
    random_noise = sigma_t * z
    x_prev = predicted_x_0 + direction + random_noise
    return x_prev


def ddim_steps(
    eps_theta: EpsTheta,
    shape: tuple[int, ...] | None,
    schedule: Schedule,
    rng: RNG | None = None,
    *,
    steps: int | None = None,
    tau: Sequence[int] | None = None,
    spacing: str = "uniform",
    eta: float | str = 0.0,
    clip: float | None = None,
    x_T: Any = None,
    dtype: Any = np.float32,
) -> Iterator[Step]:
    """DDIM as len(tau) steps from T down to the data.   eps_theta: called as eps_theta(x_t, t) with t: (B,); shape: (B, ...).

    steps: S in 1..T (default T) with `spacing` "uniform" or "quadratic", or tau: the increasing times themselves;
    eta: 0 deterministic .. 1 DDPM with beta_tilde, or "sigma_hat", DDPM with beta (see `ddim_sigma_hat`); clip: bound for |x_0_hat|; x_T: start here. rng may be None if x_T is given and eta is 0.
    """
    times = choose_times(schedule, steps, tau, spacing)
    larger = eta == "sigma_hat"
    noisy = larger or eta > 0
    if rng is None and noisy:
        raise ValueError(f"ddim_steps: rng may be left out only if eta = 0, got eta = {eta}")
    x_t = starting_noise(shape, x_T, rng, dtype)
    for t, t_prev in zip(times[::-1], [*times[-2::-1], 0], strict=True):
        eps_hat = predict_noise(eps_theta, x_t, t)
        x_0_hat, eps_hat = clip_x_0(x_t, t, eps_hat, schedule, clip)
        sigma_t = ddim_sigma(t, t_prev, schedule, 1.0 if larger else eta)
        direction = ddim_direction(eps_hat, t_prev, sigma_t, schedule)
        if larger:
            sigma_t = ddim_sigma_hat(t, t_prev, schedule)
        z = rng.normal(x_t.shape, dtype=x_t.dtype) if rng and noisy and t_prev > 0 else array_module(x_t).zeros_like(x_t)
        x_prev = ddim_step(x_0_hat, eps_hat, t_prev, sigma_t, z, schedule)
        yield Step(
            "ddim", t, t_prev=t_prev, x_t=x_t, eps_hat=eps_hat, x_0_hat=x_0_hat, sigma_t=sigma_t, direction=direction, z=z, x_prev=x_prev
        )
        x_t = x_prev


def ddim_sample(eps_theta: EpsTheta, shape: tuple[int, ...] | None, schedule: Schedule, rng: RNG | None = None, **options: Any) -> Any:
    """x_0 from DDIM: the last value of `ddim_steps`, whose arguments it takes.   -> (B, ...)."""
    for step in ddim_steps(eps_theta, shape, schedule, rng, **options):
        x_0 = step.x_prev
    return x_0


def choose_times(schedule: Schedule, steps: int | None, tau: Sequence[int] | None, spacing: str) -> list[int]:
    """tau as a list: the given one, checked, or S = `steps` (default T) times with `spacing`."""
    if tau is None:
        return make_tau(schedule.T, schedule.T if steps is None else steps, spacing).tolist()
    if steps is not None:
        raise ValueError(f"ddim: give steps or tau, not both; got steps = {steps} and {len(tau)} times")
    times = schedule.index(np.asarray(tau)).tolist()
    if not times or any(a >= b for a, b in zip(times, times[1:], strict=False)):
        raise ValueError(f"ddim: tau must be increasing times, got {list(tau)}")
    return times
