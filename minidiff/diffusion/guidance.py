"""Guidance: steering samples towards a class y, with a classifier or without one.

Both make an `eps_theta(x_t, t)` that every sampler takes. Algorithm 1 of Dhariwal &
Nichol shifts the mean inside DDPM instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidiff.diffusion.equation import equation
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.targets import change_eps
from minidiff.engine.backend import array_module
from minidiff.engine.elementwise import number, per_image, sqrt
from minidiff.engine.tape import enable_grad
from minidiff.engine.tensor import Tensor, gradients

Network = Callable[..., Any]  # (x_t, t) or (x_t, t, y)
Gradient = Callable[[Any, Any], Any]  # (x_t, t) -> gradient of log p(y | x_t)


@equation("guidance.classifier_mean", "Dhariwal & Nichol Algorithm 1", errata=42)
def classifier_mean(mu, variance, gradient, s=1.0):
    """mu_guided = mu + s sigma_t^2 gradient

    mu: (B, ...);  variance: sigma_t^2;  gradient: (B, ...), of log p(y | x_t);  s >= 0"""
    s = number(s)
    shift = s * variance * gradient
    mu_guided = mu + shift
    return mu_guided


@equation("guidance.classifier_eps", "Dhariwal & Nichol Algorithm 2, eq. 14", errata=42)
def classifier_eps(eps_hat, t, gradient, schedule, s=1.0):
    """eps_guided = eps_hat - s sqrt(1 - alpha_bar_t) gradient

    eps_hat: (B, ...);  gradient: (B, ...), of log p(y | x_t);  t: int or (B,) in 1..T
    With the exact classifier and s = 1 this is the exact noise of the class: Bayes."""
    now, s = schedule.at(t, like=eps_hat), number(s)
    shift = s * sqrt(now.one_minus_alpha_bar) * gradient
    eps_guided = eps_hat - shift
    return eps_guided


@equation("guidance.classifier_free_w", "Ho & Salimans eq. 6", errata=42)
def classifier_free_w(eps_y, eps_uncond, w):
    """eps_guided = (1 + w) eps_y - w eps_uncond

    The paper's convention: w = 0 is the conditional model.   both: (B, ...)"""
    w = number(w)
    eps_guided = (1 + w) * eps_y - w * eps_uncond
    return eps_guided


@equation("guidance.classifier_free_s", "Ho & Salimans eq. 6 with s = 1 + w", errata=42)
def classifier_free_s(eps_y, eps_uncond, s):
    """eps_guided = eps_uncond + s (eps_y - eps_uncond)

    The programs' convention: s = 0 unconditional, s = 1 conditional, s > 1 beyond it."""
    s = number(s)
    towards_y = eps_y - eps_uncond
    eps_guided = eps_uncond + s * towards_y
    return eps_guided


@equation("guidance.drop_condition", "Ho & Salimans Algorithm 1")
def drop_condition(y, null, p_uncond, rng):
    """kept = null with probability p_uncond, else y

    This trains one network for both.
    y: (B,) labels or (B, L) words;  null: one such  ->  as y"""
    drop = per_image(rng.uniform(y.shape[:1]) < p_uncond, y)
    kept = array_module(drop, y).where(drop, null, y)
    return kept


def shift_mean(gradient: Gradient, s: float = 1.0) -> Callable[..., Any]:
    """The `guide` of `ddpm_steps` for Algorithm 1.

    gradient(x_t, t): grad log p(y | x_t), (B, ...), for the y that is wanted."""
    return lambda mu, variance, x_t, t: classifier_mean(mu, variance, gradient(x_t, t), s)


def guide_with_classifier(
    eps_theta: Network, gradient: Gradient, schedule: Schedule, s: float = 1.0
) -> Network:
    """An `eps_theta(x_t, t)` guided by a classifier.   gradient: as in `shift_mean`."""

    def guided(x_t: Any, t: Any) -> Any:
        of_y = gradient(x_t, t)
        return change_eps(classifier_eps, eps_theta(x_t, t), t, of_y, schedule, s)

    return guided


def guide_without_classifier(
    eps_theta: Network, y: Any, null: Any, *,
    s: float | None = None, w: float | None = None,
) -> Network:  # fmt: skip
    """An `eps_theta(x_t, t)` from a network `eps_theta(x_t, t, y)`.

    The network was also trained on y = null. Give the strength as s or as w = s - 1, not
    both. A learned variance is that for y."""
    if (s is None) == (w is None):
        wanted = "give the strength as s or as w = s - 1, one of them"
        raise ValueError(f"guide_without_classifier: {wanted}; got s = {s}, w = {w}")
    mix, strength = (classifier_free_w, w) if s is None else (classifier_free_s, s)

    def guided(x_t: Any, t: Any) -> Any:
        eps_y, eps_uncond = eps_theta(x_t, t, y), eps_theta(x_t, t, null)
        return change_eps(mix, eps_y, eps_uncond, strength)

    return guided


def gradient_of_classifier(log_p: Network, y: Any) -> Gradient:
    """grad log p(y | x_t) of a trained classifier, by autograd.

    log_p(x_t, t): Tensor (B, classes) of log-probabilities; y: (B,) ints.
    The classifier's parameters get no gradient. Samplers call it where nothing is
    recorded, so it records for itself.
    Raises: ValueError, when called, unless there is one y per image."""
    def gradient(x_t: Any, t: Any) -> Any:
        if len(y) != len(x_t):
            wanted = f"y must be one class per image, ({len(x_t)},)"
            raise ValueError(f"gradient_of_classifier: {wanted}, got ({len(y)},)")
        with enable_grad():
            x = Tensor(x_t, requires_grad=True)
            log_probability = log_p(x, t)
            chosen = log_probability[array_module(x_t).arange(len(y)), y].sum()
        return gradients(chosen, [x])[0]

    return gradient
