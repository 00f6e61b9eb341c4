"""Flow matching: a straight path from the image to the noise, and the velocity on it.

z_s = (1 - s) x_0 + s eps, s from 0 (the image) to 1 (the noise). The path of diffusion
passes the same mixtures of image and noise, in another scale and at other times:
z_s = x_t / (a + b) at s = b / (a + b). So one network serves both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidiff.beyond.pairs import downwards, predict_pair
from minidiff.diffusion.equation import equation
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.noise_prediction import starting_noise
from minidiff.diffusion.oracle import components, shares
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.backend import array_module
from minidiff.engine.checks import check_choice
from minidiff.engine.elementwise import number, sqrt
from minidiff.engine.random import RNG

METHODS = ("euler", "heun")


@equation("flow.path", "Lipman et al. 2210.02747 eq. 20; Liu et al. 2209.03003 eq. 1")
def straight_path(x_0, eps, s):
    """z_s = (1 - s) x_0 + s eps

    x_0, eps: (B, ...);  s: float in [0, 1], or (B, 1, ...)  ->  (B, ...)"""
    s = number(s)
    z_s = (1 - s) * x_0 + s * eps
    return z_s


@equation("flow.target", "Liu et al. 2209.03003 eq. 1")
def velocity_target(x_0, eps):
    """u = eps - x_0, the velocity of the straight path

    The same all the way. x_0, eps: (B, ...)  ->  (B, ...)"""
    u = eps - x_0
    return u


@equation("flow.oracle_velocity", "Lipman et al. 2210.02747 eq. 8, for a mixture")
def exact_velocity(z_s, s, mixture):
    """u = sum over k of r_k ((s - (1 - s) std_k^2) / c_k^2 (z_s - (1 - s) m_k) - m_k)

    E[eps - x_0 | z_s] for a `GaussianMixture`; c_k^2 = (1 - s)^2 std_k^2 + s^2 is the
    variance of component k, r_k its share at z_s.
    z_s: (B, ...);  s: float in [0, 1]  ->  (B, ...)"""
    z, s = z_s.reshape(len(z_s), 1, -1), number(s)
    m, squared_std = components(mixture, z)
    variance = (1 - s) ** 2 * squared_std + s**2
    away = z - (1 - s) * m
    log_weights = array_module(z_s).asarray(np.log(mixture.weights), dtype=z_s.dtype)
    r = shares(log_weights + log_density(away, 0.0, variance).sum(axis=2))
    of_component = (s - (1 - s) * squared_std) / variance * away - m
    u = (r * of_component).sum(axis=1).reshape(z_s.shape)
    return u


@equation("flow.time_and_scale", "Kingma & Gao 2303.00848 app. D; Gao et al. 2024")
def time_and_scale(t, schedule, like=None):
    """s = b / (a + b),  scale = 1 / (a + b):  z_s = scale x_t

    a = sqrt(alpha_bar_t), b = sqrt(1 - alpha_bar_t).
    t: int or (B,) in 0..T  ->  two floats, or two (B, 1, ...)"""
    now = schedule.at(t, like, first=0)
    a, b = sqrt(now.alpha_bar), sqrt(now.one_minus_alpha_bar)
    s = b / (a + b)
    scale = 1 / (a + b)
    return s, scale


@equation("flow.velocity_from_v", "Salimans & Ho sec. 4, and Liu et al. eq. 1")
def velocity_from_v(x_t, t, v_hat, schedule):
    """u_hat = (b - a) x_t + (a + b) v_hat

    What a network that predicts v says about eps - x_0.
    x_t, v_hat: (B, ...);  t: int or (B,) in 1..T  ->  (B, ...)"""
    now = schedule.at(t, like=x_t)
    a, b = sqrt(now.alpha_bar), sqrt(now.one_minus_alpha_bar)
    u_hat = (b - a) * x_t + (a + b) * v_hat
    return u_hat


@equation("flow.euler_step", "Liu et al. 2209.03003 sec. 2.1")
def flow_euler_step(z_s, u_hat, s, s_prev):
    """z_prev = z_s + (s_prev - s) u_hat

    The same step as DDIM's with eta = 0, in another scale.
    z_s, u_hat: (B, ...);  0 <= s_prev < s <= 1  ->  (B, ...)"""
    z_prev = z_s + (s_prev - s) * u_hat
    return z_prev


@equation("flow.heun_step", "Heun's method on dz/ds = u")
def flow_heun_step(z_s, u_hat, u_next, s, s_prev):
    """z_prev = z_s + (s_prev - s) (u_hat + u_next) / 2

    u_next: the velocity where Euler's step would end.
    all: (B, ...);  0 <= s_prev < s <= 1  ->  (B, ...)"""
    u_mean = 0.5 * (u_hat + u_next)
    z_prev = z_s + (s_prev - s) * u_mean
    return z_prev


def flow_steps(
    network: Callable[..., Any], start: Any, schedule: Schedule, rng: RNG | None = None,
    *, prediction: str = "velocity", steps: int | Sequence[int] | None = None,
    clip: float | None = None, method: str = "euler",
) -> Iterator[Step]:  # fmt: skip
    """The straight flow from the noise to the image, at the times of the table.

    network: called as network(x_t, t) in the scale of diffusion, returns what
    `prediction` says: a network of any kind will do; method: "euler" asks it once a step,
    "heun" twice but for the last; other arguments as for `ddim_steps`.
    Raises: ValueError for another method."""
    check_choice("flow_steps", "method", method, METHODS)

    def velocity(x_t: Any, t: int) -> Any:
        x_0_hat, eps_hat = predict_pair(network, x_t, t, schedule, prediction, clip)
        return velocity_target(x_0_hat, eps_hat)

    x_t = starting_noise(start, rng)
    for t, t_prev in downwards(schedule, steps):
        (s, scale), (s_prev, scale_prev) = (
            time_and_scale(i, schedule) for i in (t, t_prev)
        )
        z_s, u_hat = scale * x_t, velocity(x_t, t)
        z_prev = flow_euler_step(z_s, u_hat, s, s_prev)
        terms = {"t_prev": t_prev, "x_t": x_t, "s": s, "z_s": z_s, "u_hat": u_hat}
        if method == "heun" and t_prev > 0:
            u_next = velocity(z_prev / scale_prev, t_prev)
            z_prev = flow_heun_step(z_s, u_hat, u_next, s, s_prev)
            terms["u_next"] = u_next
        x_t = z_prev / scale_prev
        yield Step(f"flow-{method}", t, **terms, z_prev=z_prev, x_prev=x_t)
