"""Weights of the loss over time, one for all predictions.

An error of eps_hat, of v_hat or of u_hat is an error of x_0_hat in another unit. So a
weight is stated once, for |x_0 - x_0_hat|^2, and converted to what the network says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.beyond.flow_matching import velocity_target
from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.losses import L_simple
from minidiff.diffusion.noise_prediction import check_shape_of
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.diffusion.targets import Prediction, regression_target
from minidiff.engine.backend import array_module, is_array
from minidiff.engine.checks import check_choice
from minidiff.engine.elementwise import number, sqrt

WEIGHTED = ("eps", "x_0", "v", "velocity")


@equation("weights.min_snr", "Hang et al. 2303.09556 sec. 3.4")
def min_snr(snr, gamma=5.0):
    """w = min(SNR_t, gamma), for |x_0 - x_0_hat|^2

    snr: float or (B,);  gamma > 0  ->  as snr. Without the bound the nearly clean images
    would rule: the weight of L_simple is SNR_t itself."""
    xp = array_module(snr) if is_array(snr) else np
    w = number(xp.minimum(snr, number(gamma)))
    return w


@equation("weights.p2", "Choi et al. 2204.00227 eq. 8")
def p2(snr, k=1.0, gamma=1.0):
    """w = SNR_t / (k + SNR_t)^gamma, for |x_0 - x_0_hat|^2

    snr: float or (B,)  ->  as snr. For eps that is 1 / (k + SNR_t)^gamma."""
    w = snr / (number(k) + snr) ** number(gamma)
    return w


@equation("weights.edm", "Karras et al. 2206.00364 Tab. 1")
def edm(snr, sigma_data=0.5):
    """w = SNR_t + 1 / sigma_data^2, for |x_0 - x_0_hat|^2

    snr: float or (B,)  ->  as snr. EDM's (sigma^2 + sigma_data^2) / (sigma sigma_data)^2
    at sigma^2 = 1 / SNR_t. With sigma_data = 1 it is 1 for v: a loss without weights."""
    w = snr + 1 / number(sigma_data) ** 2
    return w


@equation("weights.of_error", "Salimans & Ho sec. 4; Hang et al. app. B")
def x_0_error_of(prediction, t, schedule, like=None):
    """c = |x_0 - x_0_hat|^2 / |target - predicted|^2, at the same x_t

    1 / SNR_t for eps, 1 for x_0, 1 / (SNR_t + 1) for v, b^2 / (a + b)^2 for velocity.
    t: int or (B,) in 1..T  ->  float, (B,), or (B, 1, ...) to multiply `like`
    Raises: ValueError for another name, and for eps where SNR_t = 0."""
    now = schedule.at(t, like)
    check_choice("weights", "prediction", prediction, WEIGHTED)
    if prediction == "eps" and not np.all(schedule.at(t).alpha_bar):
        cause = "an error of eps_hat is an infinite one of x_0_hat where SNR_t = 0"
        raise ValueError(f"weights: {cause}: train the network on v or velocity")
    if prediction == "x_0":
        c = now.alpha_bar**0
    elif prediction == "eps":
        c = now.one_minus_alpha_bar / now.alpha_bar
    elif prediction == "v":
        c = now.one_minus_alpha_bar
    else:
        a, b = sqrt(now.alpha_bar), sqrt(now.one_minus_alpha_bar)
        c = (b / (a + b)) ** 2
    return c


SCHEMES: dict[str, Callable[..., Any]] = {"min_snr": min_snr, "p2": p2, "edm": edm}


@equation("weights.of_prediction", "Hang et al. 2303.09556 app. B")
def prediction_weight(prediction, t, schedule, scheme="min_snr", like=None, **options):
    """w_prediction = w c, so that w_prediction |target - predicted|^2 is the same number

    For min-SNR: min(SNR, gamma) / SNR for eps, min(SNR, gamma) for x_0, and
    min(SNR, gamma) / (SNR + 1) for v.
    t: int or (B,) in 1..T;  scheme: of `SCHEMES`, options: its own  ->  as `x_0_error_of`
    Raises: ValueError for another scheme or prediction."""
    check_choice("weights", "scheme", scheme, SCHEMES)
    now = schedule.at(t, like)
    snr = now.alpha_bar / now.one_minus_alpha_bar
    w, c = SCHEMES[scheme](snr, **options), x_0_error_of(prediction, t, schedule, like)
    w_prediction = w * c
    return w_prediction


@equation("weights.loss", "Hang et al. 2303.09556 eq. 6")
def weighted_loss(target, predicted, w):
    """loss = mean of w (target - predicted)^2, over batch and pixels

    target, predicted: (B, ...), arrays or Tensors;  w: (B, 1, ...)  ->  scalar"""
    error = (target - predicted) ** 2
    loss = (w * error).mean()
    return loss


def target_of(prediction: str, x_0: Any, t: Any, eps: Any, schedule: Schedule) -> Any:
    """`regression_target`, which knows "velocity", too."""
    if prediction == "velocity":
        return velocity_target(x_0, eps)
    return regression_target(prediction, x_0, t, eps, schedule)


def weighted_training_terms(
    network: Callable[..., Any], x_0: Any, t: Any, eps: Any, schedule: Schedule,
    prediction: str = "v", weighting: str | None = "min_snr", **condition: Any,
) -> Step:  # fmt: skip
    """One batch of Algorithm 1 up to the loss, as `training_terms`.

    prediction: "velocity", too, which makes it flow matching; weighting: of `SCHEMES`,
    None for a loss without weights.
    Raises: ValueError if the network returns another shape than that of x_t, or a second
    output for a learned variance."""
    x_t = q_sample(x_0, t, eps, schedule)
    target = target_of(prediction, x_0, t, eps, schedule)
    predicted = network(x_t, t, **condition)
    if isinstance(predicted, Prediction):
        raise ValueError("training: a learned variance has a loss of its own, no weights")
    check_shape_of("training", predicted, target)
    terms = {"x_0": x_0, "eps": eps, "x_t": x_t, "target": target}
    terms["predicted"] = predicted
    if weighting is None:
        return Step("train", t, **terms, loss=L_simple(target, predicted))
    w = prediction_weight(prediction, t, schedule, weighting, like=x_0)
    return Step("train", t, **terms, w=w, loss=weighted_loss(target, predicted, w))
