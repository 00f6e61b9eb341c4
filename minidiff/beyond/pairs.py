"""The pair (x_0_hat, eps_hat) out of what a network predicts, and the move that it makes.

Both halves come from v without dividing by sqrt(alpha_bar_t). So a sampler on pairs works
where alpha_bar_T = 0, and one sampler serves every kind of network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minidiff.diffusion.ddim import choose_times, ddim_direction, ddim_step
from minidiff.diffusion.equation import equation
from minidiff.diffusion.noise_prediction import clip_bound, predict_noise
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.targets import (
    as_eps_theta,
    eps_from_mu_tilde,
    eps_from_x_0,
    x_0_from_eps,
)
from minidiff.engine.checks import check_choice
from minidiff.engine.elementwise import sqrt

Network = Callable[..., Any]
Pair = tuple[Any, Any]


@equation("pair.from_v", "Salimans & Ho app. D; Lin et al. 2305.08891 sec. 3.2")
def pair_from_v(x_t, t, v_hat, schedule):
    """x_0_hat = a x_t - b v_hat,  eps_hat = b x_t + a v_hat

    a = sqrt(alpha_bar_t), b = sqrt(1 - alpha_bar_t): a rotation, so nothing is divided.
    x_t, v_hat: (B, ...);  t: int or (B,) in 1..T  ->  x_0_hat, eps_hat: (B, ...)"""
    now = schedule.at(t, like=x_t)
    a, b = sqrt(now.alpha_bar), sqrt(now.one_minus_alpha_bar)
    x_0_hat = a * x_t - b * v_hat
    eps_hat = b * x_t + a * v_hat
    return x_0_hat, eps_hat


@equation("pair.from_velocity", "Lipman et al. 2210.02747; Liu et al. 2209.03003")
def pair_from_velocity(x_t, t, u_hat, schedule):
    """x_0_hat = (x_t - b u_hat) / (a + b),  eps_hat = (x_t + a u_hat) / (a + b)

    u = eps - x_0 and x_t = a x_0 + b eps, solved for the two.
    x_t, u_hat: (B, ...);  t: int or (B,) in 1..T  ->  x_0_hat, eps_hat: (B, ...)"""
    now = schedule.at(t, like=x_t)
    a, b = sqrt(now.alpha_bar), sqrt(now.one_minus_alpha_bar)
    x_0_hat = (x_t - b * u_hat) / (a + b)
    eps_hat = (x_t + a * u_hat) / (a + b)
    return x_0_hat, eps_hat


def _pair_from_eps(x_t: Any, t: Any, eps_hat: Any, schedule: Schedule) -> Pair:
    if not np.all(schedule.at(t).alpha_bar):
        cause = "an eps_hat says nothing about x_0 where alpha_bar_t = 0"
        raise ValueError(f"pair: {cause} (t = {t}): train the network on v or velocity")
    return x_0_from_eps(x_t, t, eps_hat, schedule), eps_hat


def _pair_from_x_0(x_t: Any, t: Any, x_0_hat: Any, schedule: Schedule) -> Pair:
    return x_0_hat, eps_from_x_0(x_t, t, x_0_hat, schedule)


def _pair_from_mu_tilde(x_t: Any, t: Any, said: Any, schedule: Schedule) -> Pair:
    return _pair_from_eps(x_t, t, eps_from_mu_tilde(x_t, t, said, schedule), schedule)


_TO_PAIR: dict[str, Callable[..., Pair]] = {
    "eps": _pair_from_eps,
    "x_0": _pair_from_x_0,
    "mu_tilde": _pair_from_mu_tilde,
    "v": pair_from_v,
    "velocity": pair_from_velocity,
}
PREDICTIONS = tuple(_TO_PAIR)


def to_pair(prediction: str, x_t: Any, t: Any, said: Any, schedule: Schedule) -> Pair:
    """(x_0_hat, eps_hat) of a network that predicts `prediction` and said `said` at x_t.

    Raises: ValueError for another name, and for an eps where alpha_bar_t = 0."""
    check_choice("pair", "prediction", prediction, _TO_PAIR)
    return _TO_PAIR[prediction](x_t, t, said, schedule)


def any_eps_theta(network: Network, prediction: str, schedule: Schedule) -> Network:
    """`as_eps_theta`, which knows "velocity", too.

    network: called as network(x_t, t)  ->  eps_theta(x_t, t) for the deck's samplers"""
    if prediction != "velocity":
        return as_eps_theta(network, prediction, schedule)
    return lambda x_t, t: pair_from_velocity(x_t, t, network(x_t, t), schedule)[1]


def predict_pair(
    network: Network, x_t: Any, t: int, schedule: Schedule, prediction: str = "eps",
    clip: float | None = None,
) -> Pair:  # fmt: skip
    """Ask the network at x_t once.   -> x_0_hat, eps_hat: (B, ...)

    clip: bound for |x_0_hat|; eps_hat is then the noise that still makes x_t."""
    said = predict_noise(network, x_t, t)
    x_0_hat, eps_hat = to_pair(prediction, x_t, t, said, schedule)
    if (clip := clip_bound(clip)) is not None:
        x_0_hat = x_0_hat.clip(-clip, clip)
        eps_hat = eps_from_x_0(x_t, t, x_0_hat, schedule)
    return x_0_hat, eps_hat


def move(x_0_hat: Any, eps_hat: Any, t_prev: int, schedule: Schedule) -> Any:
    """DDIM's step with eta = 0: the same image and the same noise, mixed as at t_prev."""
    direction = ddim_direction(eps_hat, t_prev, 0.0, schedule)
    return ddim_step(x_0_hat, direction, t_prev, 0.0, 0 * eps_hat, schedule)


def downwards(
    schedule: Schedule, steps: int | Sequence[int] | None
) -> list[tuple[int, int]]:
    """(t, t_prev) of each step, from T to the data.   steps: as for `ddim_steps`."""
    return list(pairwise([*choose_times(schedule, steps)[::-1], 0]))
