"""What a network may predict - eps, x_0, mu_tilde or v - and how each is turned into the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from minidiff.diffusion import posterior
from minidiff.diffusion.elementwise import sqrt
from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.schedule import Schedule

WHY = "Why Predict Noise Instead Of Whole Image"


class Prediction(NamedTuple):
    """What a network with a second output returns, and nothing else that is a pair.

    eps: (B, ...), the noise, or the x_0, mu_tilde or v-target from which `as_eps_theta` makes it;
    v: (B, ...), where the variance of the step lies between beta_tilde (0) and beta (1), or None.
    """

    eps: Any
    v: Any = None


def change_eps(function: Callable[..., Any], *predictions: Any) -> Any:
    """function(eps, ...) of what networks predict. Where the first one is a Prediction, it keeps its v."""
    eps = function(*(p.eps if isinstance(p, Prediction) else p for p in predictions))
    first = predictions[0]
    return first._replace(eps=eps) if isinstance(first, Prediction) else eps


@equation(
    "targets.x_0_from_eps",
    slide="DDIM Details",
    paper="DDIM eq. 9; DDPM eq. 15",
    latex=r"\hat{\mathbf{x}}_0 = \frac{\mathbf{x}_t - \sqrt{1-\bar\alpha_t}\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)}"
    r"{\sqrt{\bar\alpha_t}}",
    errata=(18,),
)
def x_0_from_eps(x_t, t, eps_hat, schedule):
    """The image that x_t would come from if eps_hat were its noise.   x_t, eps_hat: (B, ...); t: int or (B,) in 1..T -> x_0_hat."""
    noise = sqrt(schedule.one_minus_alpha_bar(t, like=x_t)) * eps_hat
    x_0_hat = (x_t - noise) / sqrt(schedule.alpha_bar(t, like=x_t))
    return x_0_hat


@equation(
    "targets.eps_from_x_0",
    slide=WHY,
    paper="DDIM eq. 7",
    latex=r"\boldsymbol\epsilon = \frac{\mathbf{x}_t - \sqrt{\bar\alpha_t}\,\mathbf{x}_0}{\sqrt{1-\bar\alpha_t}}",
    errata=(18, 27),
)
def eps_from_x_0(x_t, t, x_0_hat, schedule):
    """The noise that x_t contains if x_0_hat is its image.   x_t, x_0_hat: (B, ...); t: int or (B,) in 1..T -> eps_hat."""
    signal = sqrt(schedule.alpha_bar(t, like=x_t)) * x_0_hat
    eps_hat = (x_t - signal) / sqrt(schedule.one_minus_alpha_bar(t, like=x_t))
    return eps_hat


@equation(
    "targets.eps_from_mu_tilde",
    slide=WHY,
    paper="DDPM eq. 11, solved for eps",
    latex=r"\boldsymbol\epsilon = \frac{\sqrt{1-\bar\alpha_t}}{\beta_t}\big(\mathbf{x}_t - \sqrt{\alpha_t}\,\tilde{\boldsymbol\mu}_t\big)",
    errata=(18,),
)
def eps_from_mu_tilde(x_t, t, mu_tilde, schedule):
    """The noise that makes mu_tilde the mean of the posterior.   x_t, mu_tilde: (B, ...); t: int or (B,) in 1..T -> eps_hat."""
    removed = x_t - sqrt(schedule.alpha(t, like=x_t)) * mu_tilde
    eps_hat = sqrt(schedule.one_minus_alpha_bar(t, like=x_t)) / schedule.beta(t, like=x_t) * removed
    return eps_hat


@equation(
    "targets.v",
    slide=WHY,
    paper="Salimans & Ho (progressive distillation) sec. 4",
    latex=r"\mathbf{v}_t = \sqrt{\bar\alpha_t}\,\boldsymbol\epsilon - \sqrt{1-\bar\alpha_t}\,\mathbf{x}_0",
    errata=(18,),
)
def v_target(x_0, t, eps, schedule):
    """The velocity: well-conditioned at both ends of the chain.   x_0, eps: (B, ...); t: int or (B,) in 1..T -> v: (B, ...)."""
    from_noise = sqrt(schedule.alpha_bar(t, like=x_0)) * eps
    from_image = sqrt(schedule.one_minus_alpha_bar(t, like=x_0)) * x_0
    v = from_noise - from_image
    return v


@equation(
    "targets.eps_from_v",
    slide=WHY,
    paper="Salimans & Ho app. D",
    latex=r"\boldsymbol\epsilon = \sqrt{1-\bar\alpha_t}\,\mathbf{x}_t + \sqrt{\bar\alpha_t}\,\mathbf{v}",
)
def eps_from_v(x_t, t, v_hat, schedule):
    """The noise by turning (x_t, v) back through the angle of t.   x_t, v_hat: (B, ...); t: int or (B,) in 1..T -> eps_hat."""
    from_x_t = sqrt(schedule.one_minus_alpha_bar(t, like=x_t)) * x_t
    from_v = sqrt(schedule.alpha_bar(t, like=x_t)) * v_hat
    eps_hat = from_x_t + from_v
    return eps_hat


@equation(
    "targets.x_0_from_v",
    slide=WHY,
    paper="Salimans & Ho app. D",
    latex=r"\mathbf{x}_0 = \sqrt{\bar\alpha_t}\,\mathbf{x}_t - \sqrt{1-\bar\alpha_t}\,\mathbf{v}",
)
def x_0_from_v(x_t, t, v_hat, schedule):
    """The image by turning (x_t, v) back through the angle of t.   x_t, v_hat: (B, ...); t: int or (B,) in 1..T -> x_0_hat."""
    from_x_t = sqrt(schedule.alpha_bar(t, like=x_t)) * x_t
    from_v = sqrt(schedule.one_minus_alpha_bar(t, like=x_t)) * v_hat
    x_0_hat = from_x_t - from_v
    return x_0_hat


def _same_eps(x_t: Any, t: Any, eps_hat: Any, schedule: Schedule) -> Any:
    return eps_hat


_TO_EPS: dict[str, Callable[..., Any]] = {
    "eps": _same_eps,
    "x_0": eps_from_x_0,
    "mu_tilde": eps_from_mu_tilde,
    "v": eps_from_v,
}


def regression_target(prediction: str, x_0: Any, t: Any, eps: Any, schedule: Schedule) -> Any:
    """What a network that predicts "eps", "x_0", "mu_tilde" or "v" is trained to return.

    x_0, eps: (B, ...); t: int or (B,) in 1..T -> (B, ...)
    Raises: ValueError for another name.
    """
    if prediction not in _TO_EPS:
        raise ValueError(f"training: prediction must be one of {', '.join(_TO_EPS)}, got {prediction!r}")
    if prediction == "v":
        return v_target(x_0, t, eps, schedule)
    if prediction == "mu_tilde":
        x_t = q_sample(x_0, t, eps, schedule)
        return posterior.mu_tilde(x_t, x_0, t, schedule)
    return eps if prediction == "eps" else x_0


def as_eps_theta(network: Callable[..., Any], prediction: str, schedule: Schedule) -> Callable[..., Any]:
    """An `eps_theta(x_t, t)` made from a network that predicts "eps", "x_0", "mu_tilde" or "v", for samplers and losses.

    A network that returns a Prediction gives an `eps_theta` that returns one.
    """
    if prediction not in _TO_EPS:
        raise ValueError(f"as_eps_theta: prediction must be one of {', '.join(_TO_EPS)}, got {prediction!r}")

    def eps_theta(x_t: Any, t: Any) -> Any:
        return change_eps(lambda said: _TO_EPS[prediction](x_t, t, said, schedule), network(x_t, t))

    return eps_theta
