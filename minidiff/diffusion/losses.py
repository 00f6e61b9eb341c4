"""The simple loss, and Algorithm 1 with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.learned_variance import L_hybrid, bits_of_random_times
from minidiff.diffusion.noise_prediction import check_shape_of
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.diffusion.targets import Prediction, regression_target, to_eps
from minidiff.engine.elementwise import plain
from minidiff.engine.random import RNG


@equation("losses.L_simple", "DDPM eq. 14", errata=(11, 13, 16, 17))
def L_simple(eps, eps_hat):
    """loss = mean of (eps - eps_hat)^2, over batch and pixels

    eps, eps_hat: (B, ...)  ->  scalar. This is nn.MSELoss, as in the slide's code. The
    printed squared norm is D = C H W times as large (errata 17)."""
    difference = eps - eps_hat
    loss = (difference**2).mean()
    return loss


def draw_training_noise(x_0: Any, schedule: Schedule, rng: RNG) -> tuple[Any, Any]:
    """t ~ Uniform({1, ..., T}), one per image, and eps ~ N(0, I).

    x_0: (B, ...)  ->  t: int64 (B,), eps: (B, ...)"""
    t = rng.integers(1, schedule.T + 1, (x_0.shape[0],))
    eps = rng.normal(x_0.shape, dtype=x_0.dtype)
    return t, eps


@equation("ldm.loss", "LDM eq. 3", errata=(17, 50))
@equation("ddpm.algorithm_1", "DDPM Algorithm 1", errata=(17, 21))
def training_terms(network, x_0, t, eps, schedule, prediction="eps", **condition):
    """loss = |eps - network(sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, t)|^2

    One batch of Algorithm 1 up to the loss, for images or for latents.
    x_0, eps: (B, ...);  t: (B,) in 1..T  ->  Step; call backward() on its `loss`
    network: called as network(x_t, t, **condition); prediction: what it returns and is
    compared with, "eps" as in the algorithm, "x_0", "mu_tilde" or "v". A network that
    returns a Prediction(eps, v) is trained with L_hybrid, which adds the bound.
    Raises: ValueError if the network returns another shape than that of x_t."""
    x_t = q_sample(x_0, t, eps, schedule)
    target = regression_target(prediction, x_0, t, eps, schedule)
    predicted, loss = prediction_and_loss(network, x_t, t, target, **condition)
    terms = {"x_0": x_0, "eps": eps, "x_t": x_t, **named(prediction, predicted, target)}
    if isinstance(predicted, Prediction):
        eps_hat = to_eps(prediction, x_t, t, plain(predicted.eps), schedule)
        bits = bits_of_random_times(x_0, x_t, t, eps_hat, predicted.v, schedule)
        loss = L_hybrid(loss, bits, schedule.T)
    step = Step("train", t, **terms, loss=loss)
    return step


def prediction_and_loss(
    network: Callable[..., Any], x_t: Any, t: Any, target: Any, **condition: Any
) -> tuple[Any, Any]:
    """Line 5 of Algorithm 1 before its gradient: the network's output, its L_simple."""
    predicted = network(x_t, t, **condition)
    first = predicted.eps if isinstance(predicted, Prediction) else predicted
    check_shape_of("training", first, target)
    return predicted, L_simple(target, first)


def named(prediction: str, predicted: Any, target: Any) -> dict[str, Any]:
    """Both by the names that a `Step` gives them; the target of "eps" is eps itself."""
    if isinstance(predicted, Prediction):
        return named(prediction, predicted.eps, target) | {"v": predicted.v}
    if prediction == "eps":
        return {"eps_hat": predicted}
    return {"target": target, "predicted": predicted}
