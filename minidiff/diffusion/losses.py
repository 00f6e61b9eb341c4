"""The simple loss, Algorithm 1, and the weight that the simple loss leaves out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidiff.diffusion.elementwise import plain, sum_per_image
from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.learned_variance import L_hybrid, bits_of_random_times
from minidiff.diffusion.reverse import sigma_squared
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.diffusion.targets import Prediction, as_eps_theta, regression_target
from minidiff.engine.random import RNG


@equation(
    "losses.L_simple",
    slide="Loss Function",
    paper="DDPM eq. 14",
    latex=r"L^{simple} = E_{t,\mathbf{x}_0,\boldsymbol\epsilon}"
    r"\big[\|\boldsymbol\epsilon - \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\|^2\big]",
    errata=(11, 13, 16, 17),
)
def L_simple(eps, eps_hat):
    """Mean squared error of the predicted noise over batch and pixels.   eps, eps_hat: (B, ...) -> scalar.

    As nn.MSELoss on the deck: the printed squared norm, averaged over the batch, is D times as large (D = C H W, errata 17).
    """
    difference = eps - eps_hat
    loss = (difference**2).mean()
    return loss


@equation(
    "losses.squared_norm",
    slide="Loss Function",
    paper="DDPM eq. 14",
    latex=r"\|\boldsymbol\epsilon - \boldsymbol\epsilon_\theta(\mathbf{x}_t,t)\|^2",
    errata=(17,),
)
def squared_norm(eps, eps_hat):
    """The squared error of each image, summed over its pixels.   eps, eps_hat: (B, ...) -> (B,)."""
    difference = eps - eps_hat
    return sum_per_image(difference**2)


@equation(
    "losses.weight",
    slide="Loss Function",
    paper="DDPM eq. 12",
    latex=r"w_t = \frac{\beta_t^2}{2\sigma_t^2\alpha_t(1-\bar\alpha_t)}",
    errata=(14, 15, 16),
)
def loss_weight(t, schedule, variance="beta"):
    """What L_{t-1} multiplies the squared error by and L_simple leaves out.   t: int or (B,) in 1..T -> float or float64 (B,).

    variance: sigma_t^2 is "beta" or "beta_tilde".    Raises ValueError for beta_tilde at t = 1, where it is 0.
    """
    if variance == "beta_tilde" and schedule.index(t).min() == 1:
        raise ValueError("loss_weight: beta_tilde is 0 at t = 1, so its weight is infinite there: t = 1 belongs to L_0")
    denominator = 2 * sigma_squared(t, schedule, variance) * schedule.alpha(t) * schedule.one_minus_alpha_bar(t)
    weight = schedule.beta(t) ** 2 / denominator
    return weight


@equation("losses.weighted", "DDPM eq. 12", errata=(14, 15), slide="Loss Function")
def weighted_squared_norm(eps, eps_hat, t, schedule, variance="beta"):
    """w_t ||eps - eps_theta||^2, the part of L_{t-1} that the network can change

    eps, eps_hat: (B, ...); t: int or (B,) in 1..T; variance as for `loss_weight` -> (B,), nats
    """
    w_t = loss_weight(t, schedule, variance)
    norm = squared_norm(eps, eps_hat)
    L = w_t * norm
    return L


def draw_training_noise(x_0: Any, schedule: Schedule, rng: RNG) -> tuple[Any, Any]:
    """t ~ Uniform({1, ..., T}), one per image, and eps ~ N(0, I).   x_0: (B, ...) -> t: int64 (B,), eps: (B, ...)."""
    t = rng.integers(1, schedule.T + 1, (x_0.shape[0],))
    eps = rng.normal(x_0.shape, dtype=x_0.dtype)
    return t, eps


def training_terms(
    network: Callable[..., Any], x_0: Any, t: Any, eps: Any, schedule: Schedule, prediction: str = "eps"
) -> Step:
    """Lines 3 to 5 of Algorithm 1 for given t and eps, with every term.   x_0, eps: (B, ...); t: (B,) in 1..T -> Step.

    prediction: what the network returns and is compared with: "eps" as in the algorithm, "x_0",
    "mu_tilde" or "v". A network that returns a Prediction(eps, v) is trained with L_hybrid.
    `step.loss` is what to call backward() on, if it is a network.
    """
    x_t = q_sample(x_0, t, eps, schedule)
    predicted, v = _parts(network(x_t, t))
    if tuple(predicted.shape) != tuple(eps.shape):
        raise ValueError(f"training: eps_theta must return the shape of x_t, {tuple(eps.shape)}, got {tuple(predicted.shape)}")
    if prediction == "eps":
        loss = L_simple(eps, predicted)
        terms = {"eps_hat": predicted}
    else:
        target = regression_target(prediction, x_0, t, eps, schedule)
        loss = L_simple(target, predicted)
        terms = {"target": target, "predicted": predicted}
    if v is not None:
        eps_hat = as_eps_theta(lambda x_t, t: plain(predicted), prediction, schedule)(x_t, t)
        bits = bits_of_random_times(x_0, x_t, t, eps_hat, v, schedule)
        loss = L_hybrid(loss, bits, schedule.T)
        terms["v"] = v
    return Step("train", t, x_0=x_0, eps=eps, x_t=x_t, **terms, loss=loss)


def _parts(said: Any) -> Prediction:
    return said if isinstance(said, Prediction) else Prediction(said)


@equation(
    "ddpm.algorithm_1",
    slide="Diffusion Training Process",
    paper="DDPM Algorithm 1",
    latex=r"\nabla_\theta \big\|\boldsymbol\epsilon - \boldsymbol\epsilon_\theta(\sqrt{\bar\alpha_t}\,\mathbf{x}_0"
    r" + \sqrt{1-\bar\alpha_t}\,\boldsymbol\epsilon, t)\big\|^2",
    errata=(17, 21),
)
def algorithm_1(eps_theta, x_0, schedule, rng):
    """One batch of Algorithm 1 up to the loss: a time and a noise of its own for each image.   x_0: (B, ...) -> Step."""
    t, eps = draw_training_noise(x_0, schedule, rng)
    step = training_terms(eps_theta, x_0, t, eps, schedule)
    return step
