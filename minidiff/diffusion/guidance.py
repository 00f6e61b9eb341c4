"""Guidance: steering samples towards a class y, with a classifier's gradient or with a network that knows y.

Both make an `eps_theta(x_t, t)` that every sampler takes; Algorithm 1 of Dhariwal & Nichol shifts the mean inside DDPM instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidiff.diffusion.elementwise import sqrt
from minidiff.diffusion.equation import equation
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.targets import change_eps
from minidiff.engine.backend import array_module
from minidiff.engine.tape import enable_grad

SLIDE = "Guided Diffusion Models"


@equation(
    "guidance.classifier_mean",
    slide=SLIDE,
    paper="Dhariwal & Nichol Algorithm 1",
    latex=r"\mathbf{x}_{t-1} \sim \mathcal{N}\big(\boldsymbol\mu + s\,\boldsymbol\Sigma\,\nabla_{\mathbf{x}_t}\log p_\phi(y|\mathbf{x}_t),"
    r" \boldsymbol\Sigma\big)",
    errata=(42,),
)
def classifier_mean(mu, variance, gradient, s=1.0):
    """Mean of the guided DDPM step.   mu, gradient: (B, ...); variance: sigma_t^2; s: guidance scale >= 0 -> (B, ...)."""
    shift = s * variance * gradient
    return mu + shift


@equation(
    "guidance.classifier_eps",
    slide=SLIDE,
    paper="Dhariwal & Nichol Algorithm 2, eq. 14",
    latex=r"\hat{\boldsymbol\epsilon} = \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)"
    r" - s\,\sqrt{1-\bar\alpha_t}\,\nabla_{\mathbf{x}_t}\log p_\phi(y|\mathbf{x}_t)",
    errata=(42,),
)
def classifier_eps(eps_hat, t, gradient, schedule, s=1.0):
    """Noise prediction of the guided model, for DDIM.   eps_hat, gradient: (B, ...); t: int or (B,) in 1..T -> (B, ...).

    With the exact classifier and s = 1 this is the exact noise of the class: grad log q(x_t | y) by Bayes.
    """
    shift = s * sqrt(schedule.one_minus_alpha_bar(t, like=eps_hat)) * gradient
    return eps_hat - shift


@equation(
    "guidance.classifier_free_w",
    slide=SLIDE,
    paper="Ho & Salimans eq. 6",
    latex=r"\tilde{\boldsymbol\epsilon} = (1+w)\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t,y)"
    r" - w\,\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)",
    errata=(42,),
)
def classifier_free_w(eps_y, eps_uncond, w):
    """The paper's convention: w = 0 is the conditional model.   eps_y, eps_uncond: (B, ...) -> (B, ...)."""
    return (1 + w) * eps_y - w * eps_uncond


@equation(
    "guidance.classifier_free_s",
    slide=SLIDE,
    paper="Ho & Salimans eq. 6 with s = 1 + w",
    latex=r"\tilde{\boldsymbol\epsilon} = \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)"
    r" + s\,\big(\boldsymbol\epsilon_\theta(\mathbf{x}_t,t,y) - \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\big), \quad s = 1 + w",
    errata=(42,),
)
def classifier_free_s(eps_y, eps_uncond, s):
    """The programs' convention: s = 0 unconditional, s = 1 conditional, s > 1 beyond it.   eps_y, eps_uncond: (B, ...) -> (B, ...)."""
    towards_y = eps_y - eps_uncond
    return eps_uncond + s * towards_y


@equation(
    "guidance.drop_condition",
    slide=SLIDE,
    paper="Ho & Salimans Algorithm 1",
    latex=r"y \leftarrow \varnothing \text{ with probability } p_{uncond}",
)
def drop_condition(y, null, p_uncond, rng):
    """y, or `null` with probability p_uncond, to train one network for both.   y: (B,) labels or (B, L) words; null: one such -> as y."""
    drop = rng.uniform(y.shape[:1]) < p_uncond
    drop = drop.reshape(-1, *[1] * (y.ndim - 1))
    return array_module(drop, y).where(drop, null, y)


def shift_mean(gradient: Callable[[Any, Any], Any], s: float = 1.0) -> Callable[..., Any]:
    """The `guide` of `ddpm_steps` for Algorithm 1.   gradient(x_t, t): grad log p(y | x_t), (B, ...), for the y that is wanted."""
    return lambda mu, variance, x_t, t: classifier_mean(mu, variance, gradient(x_t, t), s)


def guide_with_classifier(
    eps_theta: Callable[..., Any], gradient: Callable[[Any, Any], Any], schedule: Schedule, s: float = 1.0
) -> Callable[..., Any]:
    """An `eps_theta(x_t, t)` guided by a classifier.   gradient(x_t, t): grad log p(y | x_t), (B, ...), for the y that is wanted."""

    def guided(x_t: Any, t: Any) -> Any:
        def shifted(eps_hat: Any) -> Any:
            return classifier_eps(eps_hat, t, gradient(x_t, t), schedule, s)

        return change_eps(shifted, eps_theta(x_t, t))

    return guided


def guide_without_classifier(eps_theta: Callable[..., Any], y: Any, null: Any, *, s: float | None = None, w: float | None = None) -> Any:
    """An `eps_theta(x_t, t)` from a network `eps_theta(x_t, t, y)` that was also trained on y = null.

    Give the strength as s or as w = s - 1, not both. A learned variance is that of the network with y.
    """
    if (s is None) == (w is None):
        raise ValueError(f"guide_without_classifier: give the strength as s or as w = s - 1, one of them; got s = {s}, w = {w}")

    def guided(x_t: Any, t: Any) -> Any:
        def mixed(eps_y: Any, eps_uncond: Any) -> Any:
            if s is None:
                return classifier_free_w(eps_y, eps_uncond, w)
            return classifier_free_s(eps_y, eps_uncond, s)

        return change_eps(mixed, eps_theta(x_t, t, y), eps_theta(x_t, t, null))

    return guided


def gradient_of_classifier(log_p: Callable[[Any, Any], Any], y: Any) -> Callable[[Any, Any], Any]:
    """grad log p(y | x_t) of a trained classifier, by autograd.   log_p(x_t, t): Tensor (B, classes) of log-probabilities; y: (B,) ints.

    The classifier's parameters get no gradient. Samplers call it where nothing is recorded; it records for itself.
    Raises: ValueError in its call unless there is one y per image.
    """
    from minidiff.engine.tensor import Tensor, gradients

    def gradient(x_t: Any, t: Any) -> Any:
        if len(y) != len(x_t):
            raise ValueError(
                f"gradient_of_classifier: y must be one class per image, ({len(x_t)},), got ({len(y)},)"
            )
        with enable_grad():
            x = Tensor(x_t, requires_grad=True)
            log_probability = log_p(x, t)
            chosen = log_probability[array_module(x_t).arange(len(y)), y].sum()
        return gradients(chosen, [x])[0]

    return gradient
