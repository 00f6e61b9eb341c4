"""Inverting a deterministic sampler, and mixing two noises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidiff.diffusion.ddim import choose_times
from minidiff.diffusion.equation import equation
from minidiff.diffusion.noise_prediction import EpsTheta, predict_noise
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.targets import x_0_from_eps
from minidiff.engine.backend import array_module, is_array
from minidiff.engine.elementwise import number, per_image, sqrt, sum_per_image


@equation("ddim.inversion_step", "DDIM sec. 4.3 (Euler steps towards noise)", errata=30)
def ddim_inversion_step(x_t, t, t_next, eps_hat, schedule):
    """x_next = sqrt(alpha_bar_next) x_0_hat + sqrt(1 - alpha_bar_next) eps_hat

    The deterministic step turned round, from t up to t_next.
    x_t, eps_hat: (B, ...);  0 <= t < t_next <= T  ->  x_next: (B, ...)
    Raises: ValueError unless t < t_next."""
    if t_next <= t:
        got = f"t = {t}, t_next = {t_next}"
        raise ValueError(f"ddim_inversion_step: t_next must be > t, got {got}")
    later = schedule.at(t_next, like=x_t)
    x_0_hat = x_t if t == 0 else x_0_from_eps(x_t, t, eps_hat, schedule)
    signal = sqrt(later.alpha_bar) * x_0_hat
    noise = sqrt(later.one_minus_alpha_bar) * eps_hat
    x_next = signal + noise
    return x_next


def ddim_invert(
    eps_theta: EpsTheta, x_0: Any, schedule: Schedule, *,
    steps: int | Sequence[int] | None = None,
) -> Any:  # fmt: skip
    """The x_T from which deterministic DDIM on the same times returns (nearly) to x_0.

    x_0: (B, ...)  ->  x_T: (B, ...);  steps: as for `ddim_steps`. The first step, from
    t = 0, asks the network at t = 1: it is trained for 1..T."""
    times = choose_times(schedule, steps)
    x_t = x_0
    for t, t_next in zip([0, *times[:-1]], times, strict=True):
        eps_hat = predict_noise(eps_theta, x_t, max(t, 1))
        x_t = ddim_inversion_step(x_t, t, t_next, eps_hat, schedule)
    return x_t


@equation("ddim.slerp", "DDIM sec. 5.3, app. D.5")
def slerp(x_T_0, x_T_1, a):
    """x_T = sin((1 - a) theta) / sin(theta) x_T_0 + sin(a theta) / sin(theta) x_T_1

    theta is the angle between the two noises. On the arc the mixture is as long as a
    noise is. A straight line would halve the variance in the middle, and the network has
    never seen such an x_T.   both: (B, ...);  a: in [0, 1]  ->  (B, ...)
    Raises: TypeError if one is not an array."""
    if not (is_array(x_T_0) and is_array(x_T_1)):
        got = f"{type(x_T_0).__name__} and {type(x_T_1).__name__}"
        raise TypeError(f"slerp: x_T_0 and x_T_1 must be arrays, got {got}")
    xp, a = array_module(x_T_0, x_T_1), number(a)
    lengths = xp.sqrt(sum_per_image(x_T_0**2) * sum_per_image(x_T_1**2))
    cosine = xp.clip(sum_per_image(x_T_0 * x_T_1) / lengths, -1, 1)
    theta = per_image(xp.arccos(cosine), x_T_0)
    sine = xp.maximum(xp.sin(theta), xp.finfo(theta.dtype).tiny)
    parallel = theta < 1e-4  # a straight line agrees there, and sine is nearly 0
    weight_0 = xp.where(parallel, 1 - a, xp.sin((1 - a) * theta) / sine)
    weight_1 = xp.where(parallel, a, xp.sin(a * theta) / sine)
    x_T = weight_0 * x_T_0 + weight_1 * x_T_1
    return x_T
