"""The targets that a network may predict, and how one is turned into another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from minidiff.diffusion import posterior
from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.checks import check_choice
from minidiff.engine.elementwise import sqrt


class Prediction(NamedTuple):
    """What a network with a second output returns. Any other tuple is refused.

    eps: (B, ...), the noise, or the x_0, mu_tilde or v-target that `as_eps_theta` turns
    into it; v: (B, ...), where the variance lies between beta_tilde (0) and beta (1)."""

    eps: Any
    v: Any = None


def change_eps(function: Callable[..., Any], *arguments: Any) -> Any:
    """function(...) of arguments of which some are predictions; the first keeps its v."""
    eps = function(*(a.eps if isinstance(a, Prediction) else a for a in arguments))
    first = next((a for a in arguments if isinstance(a, Prediction)), None)
    return eps if first is None else first._replace(eps=eps)


@equation("targets.x_0_from_eps", "DDIM eq. 9; DDPM eq. 15", errata=18)
def x_0_from_eps(x_t, t, eps_hat, schedule):
    """x_0_hat = (x_t - sqrt(1 - alpha_bar_t) eps_hat) / sqrt(alpha_bar_t)

    x_t, eps_hat: (B, ...);  t: int or (B,) in 1..T  ->  x_0_hat: (B, ...)"""
    now = schedule.at(t, like=x_t)
    noise = sqrt(now.one_minus_alpha_bar) * eps_hat
    x_0_hat = (x_t - noise) / sqrt(now.alpha_bar)
    return x_0_hat


@equation("targets.eps_from_x_0", "DDIM eq. 7", errata=(18, 27))
def eps_from_x_0(x_t, t, x_0_hat, schedule):
    """eps_hat = (x_t - sqrt(alpha_bar_t) x_0_hat) / sqrt(1 - alpha_bar_t)

    x_t, x_0_hat: (B, ...);  t: int or (B,) in 1..T  ->  eps_hat: (B, ...)"""
    now = schedule.at(t, like=x_t)
    signal = sqrt(now.alpha_bar) * x_0_hat
    eps_hat = (x_t - signal) / sqrt(now.one_minus_alpha_bar)
    return eps_hat


@equation("targets.eps_from_mu_tilde", "DDPM eq. 11, solved for eps", errata=18)
def eps_from_mu_tilde(x_t, t, mu_tilde, schedule):
    """eps_hat = sqrt(1 - alpha_bar_t) / beta_t (x_t - sqrt(alpha_t) mu_tilde)

    x_t, mu_tilde: (B, ...);  t: int or (B,) in 1..T  ->  eps_hat: (B, ...)"""
    now = schedule.at(t, like=x_t)
    removed = x_t - sqrt(now.alpha) * mu_tilde
    eps_hat = sqrt(now.one_minus_alpha_bar) / now.beta * removed
    return eps_hat


@equation("targets.v", "Salimans & Ho (progressive distillation) sec. 4", errata=18)
def v_target(x_0, t, eps, schedule):
    """v = sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x_0

    The velocity: well-conditioned at both ends of the chain.
    x_0, eps: (B, ...);  t: int or (B,) in 1..T  ->  v: (B, ...)"""
    now = schedule.at(t, like=x_0)
    from_noise = sqrt(now.alpha_bar) * eps
    from_image = sqrt(now.one_minus_alpha_bar) * x_0
    v = from_noise - from_image
    return v


@equation("targets.eps_from_v", "Salimans & Ho app. D")
def eps_from_v(x_t, t, v_hat, schedule):
    """eps_hat = sqrt(1 - alpha_bar_t) x_t + sqrt(alpha_bar_t) v_hat

    x_t, v_hat: (B, ...);  t: int or (B,) in 1..T  ->  eps_hat: (B, ...)"""
    now = schedule.at(t, like=x_t)
    from_x_t = sqrt(now.one_minus_alpha_bar) * x_t
    from_v = sqrt(now.alpha_bar) * v_hat
    eps_hat = from_x_t + from_v
    return eps_hat


_TO_EPS: dict[str, Callable[..., Any]] = {
    "eps": lambda x_t, t, eps_hat, schedule: eps_hat,
    "x_0": eps_from_x_0,
    "mu_tilde": eps_from_mu_tilde,
    "v": eps_from_v,
}


def regression_target(
    prediction: str, x_0: Any, t: Any, eps: Any, schedule: Schedule
) -> Any:
    """What a network that predicts "eps", "x_0", "mu_tilde" or "v" is trained to return.

    x_0, eps: (B, ...);  t: int or (B,) in 1..T  ->  (B, ...)
    Raises: ValueError for another name."""
    check_choice("training", "prediction", prediction, _TO_EPS)
    if prediction == "v":
        return v_target(x_0, t, eps, schedule)
    if prediction == "mu_tilde":
        x_t = q_sample(x_0, t, eps, schedule)
        return posterior.mu_tilde(x_t, x_0, t, schedule)
    return eps if prediction == "eps" else x_0


def to_eps(prediction: str, x_t: Any, t: Any, said: Any, schedule: Schedule) -> Any:
    """The eps_hat of a network that predicts `prediction` and said `said` at x_t."""
    return _TO_EPS[prediction](x_t, t, said, schedule)


def as_eps_theta(
    network: Callable[..., Any], prediction: str, schedule: Schedule
) -> Callable[..., Any]:
    """An `eps_theta(x_t, t)` for samplers, from a network that predicts something else.

    prediction: "eps", "x_0", "mu_tilde" or "v". A Prediction of the network keeps its v.
    Raises: ValueError for another name."""
    check_choice("as_eps_theta", "prediction", prediction, _TO_EPS)
    eps_of = _TO_EPS[prediction]
    return lambda x_t, t: change_eps(eps_of, x_t, t, network(x_t, t), schedule)
