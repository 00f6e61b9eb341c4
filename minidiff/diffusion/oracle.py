"""The exact noise predictor: for a Gaussian mixture everything a network would have to learn is a formula.

q(x_t) is again a mixture - each mean shrinks, each variance moves towards 1 - so its score, and with it the best possible
eps_theta, the exact likelihood and the exact classifier are known. Samplers and bounds are tested on it without a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.diffusion.elementwise import log, sqrt, sum_per_image
from minidiff.diffusion.equation import equation
from minidiff.diffusion.gaussian import discretised_log_probability, log_density
from minidiff.diffusion.reverse import beta_tilde_clipped
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.targets import Prediction
from minidiff.engine.backend import array_module, device_of, is_array, to_cpu, to_device
from minidiff.engine.random import RNG

SLIDE = "Reverse Diffusion Process"


class GaussianMixture:
    """A distribution of x_0: K isotropic Gaussians.   weights: (K,) > 0; means: (K, ...) one image each; stds: (K,) >= 0 or a float.

    labels: (K,) ints, the class of each component (default: each is a class). Weights are normalised to sum 1.
    """

    def __init__(self, weights: Any, means: Any, stds: Any, labels: Any = None):
        self.means = np.asarray(means, dtype=np.float64)
        K = len(self.means)
        self.weights = np.asarray(weights, dtype=np.float64)
        self.stds = np.broadcast_to(np.asarray(stds, dtype=np.float64), (K,))
        self.labels = np.arange(K) if labels is None else np.asarray(labels)
        if self.means.ndim < 2 or self.weights.shape != (K,) or self.labels.shape != (K,):
            got = f"{self.weights.shape}, {self.means.shape} and {self.labels.shape}"
            raise ValueError(f"GaussianMixture: weights, means and labels must be (K,), (K, ...) and (K,), got {got}")
        if not np.all(self.weights > 0) or np.any(self.stds < 0):
            raise ValueError("GaussianMixture: weights must be > 0 and stds >= 0")
        self.weights = self.weights / self.weights.sum()
        self.shape = self.means.shape[1:]

    def sample(self, n: int, rng: RNG, dtype: Any = np.float64) -> Any:
        """n draws of x_0.   -> (n, ...)."""
        k = np.searchsorted(np.cumsum(self.weights)[:-1], to_cpu(rng.uniform((n,), dtype=np.float64)), side="right")
        z = rng.normal((n, *self.shape), dtype=dtype)
        mean, std = (to_device(a.astype(dtype), device_of(z)) for a in (self.means[k], self.stds[k]))
        return mean + std.reshape(-1, *[1] * len(self.shape)) * z

    def of_class(self, y: int) -> GaussianMixture:
        """The mixture of the components with label y, p(x_0 | y).   Raises ValueError if there is none."""
        mine = self.labels == y
        if not mine.any():
            raise ValueError(f"GaussianMixture: no component has the label {y}; labels are {sorted(set(self.labels.tolist()))}")
        return GaussianMixture(self.weights[mine], self.means[mine], self.stds[mine], self.labels[mine])

    def __repr__(self) -> str:
        return f"GaussianMixture({len(self.means)} components of shape {self.shape})"

    def log_prob(self, x_0: Any) -> Any:
        """Exact log-density.   x_0: (B, ...) -> (B,), nats.   Raises: ValueError if a std is 0."""
        return _log_sum_exp(log_joint(x_0, 0, self, None))

    def log_bin_probability(self, x_0: Any, levels: int = 256) -> Any:
        """Exact log-probability of the pixel bins that hold x_0, to compare with L_0's discretised decoder.   x_0: (B, ...) -> (B,)."""
        xp = array_module(x_0)
        per_component = [
            math.log(w) + sum_per_image(discretised_log_probability(x_0, xp.asarray(m, dtype=x_0.dtype), float(s) ** 2, levels))
            for w, m, s in zip(self.weights, self.means, self.stds, strict=True)
        ]
        return _log_sum_exp(xp.stack(per_component, axis=1))

    def eps_theta(self, schedule: Schedule, y: int | None = None) -> Callable[[Any, Any], Any]:
        """The exact eps_theta(x_t, t) of this mixture, or of its class y, for samplers and losses."""
        mixture = self if y is None else self.of_class(y)
        return lambda x_t, t: exact_eps(x_t, t, mixture, schedule)

    def prediction(self, schedule: Schedule) -> Callable[[Any, Any], Prediction]:
        """The best network with a learned variance: the exact eps, and the v of the true variance."""
        return lambda x_t, t: Prediction(
            exact_eps(x_t, t, self, schedule), optimal_v(x_t, t, self, schedule)
        )


def log_joint(x_t: Any, t: Any, mixture: GaussianMixture, schedule: Schedule | None) -> Any:
    """log of w_k N(x_t; sqrt(alpha_bar) m_k, alpha_bar s_k^2 + 1 - alpha_bar).   x_t: (B, ...); t: int or (B,) -> (B, K)."""
    x, mean, variance, log_weights = _diffused(x_t, t, mixture, schedule)
    return log_weights + log_density(x, mean, variance).sum(axis=2)


@equation(
    "oracle.marginal",
    slide=SLIDE,
    paper="law of total probability; DDPM eq. 4",
    latex=r"q(\mathbf{x}_t) = \int q(\mathbf{x}_t|\mathbf{x}_0)\,q(\mathbf{x}_0)\,d\mathbf{x}_0"
    r" = \sum_k w_k\,\mathcal{N}(\mathbf{x}_t;\sqrt{\bar\alpha_t}\,\mathbf{m}_k,(\bar\alpha_t s_k^2 + 1-\bar\alpha_t)\mathbf{I})",
    errata=(4,),
)
def log_marginal(x_t, t, mixture, schedule):
    """log q(x_t): the integral over all images, in closed form.   x_t: (B, ...); t: int or (B,) in 0..T -> (B,), nats."""
    log_of_each_component = log_joint(x_t, t, mixture, schedule)
    return _log_sum_exp(log_of_each_component)


@equation(
    "oracle.score",
    slide=SLIDE,
    paper="Song et al. 2011.13456 sec. 2",
    latex=r"\nabla\log q(\mathbf{x}_t) = \sum_k r_k(\mathbf{x}_t)"
    r"\,\frac{\sqrt{\bar\alpha_t}\,\mathbf{m}_k-\mathbf{x}_t}{\bar\alpha_t s_k^2+1-\bar\alpha_t}",
)
def exact_score(x_t, t, mixture, schedule):
    """Gradient of log q(x_t).   x_t: (B, ...); t: int or (B,) in 0..T -> (B, ...)."""
    x, mean, variance, log_weights = _diffused(x_t, t, mixture, schedule)
    responsibility = _softmax(log_weights + log_density(x, mean, variance).sum(axis=2))
    pull = (mean - x) / variance
    score = (responsibility[:, :, None] * pull).sum(axis=1)
    return score.reshape(x_t.shape)


@equation(
    "oracle.eps",
    slide="Why Predict Noise Instead Of Whole Image",
    paper="Dhariwal & Nichol eq. 11 (Tweedie)",
    latex=r"\boldsymbol\epsilon^*(\mathbf{x}_t,t) = E[\boldsymbol\epsilon|\mathbf{x}_t]"
    r" = -\sqrt{1-\bar\alpha_t}\,\nabla\log q(\mathbf{x}_t)",
    errata=(5,),
)
def exact_eps(x_t, t, mixture, schedule):
    """The noise predictor that minimises L_simple.   x_t: (B, ...); t: int or (B,) in 1..T -> (B, ...)."""
    score = exact_score(x_t, t, mixture, schedule)
    eps = -sqrt(schedule.one_minus_alpha_bar(t, like=x_t)) * score
    return eps


@equation("oracle.x_0", "Bayes' theorem", slide=SLIDE)
def exact_x_0(x_t, t, mixture, schedule):
    """Mean and variance of q(x_0 | x_t), for each coordinate

    x_t: (B, ...); t: int or (B,) in 1..T -> mean, variance: (B, ...)
    """
    x, mean_x_t, variance_x_t, log_weights = _diffused(x_t, t, mixture, schedule)
    r = _softmax(log_weights + log_density(x, mean_x_t, variance_x_t).sum(axis=2))[:, :, None]
    mean_0, variance_0 = _components(x, mixture)
    covariance = sqrt(schedule.alpha_bar(t, like=x)) * variance_0
    mean_k = mean_0 + covariance / variance_x_t * (x - mean_x_t)
    variance_k = variance_0 * schedule.one_minus_alpha_bar(t, like=x) / variance_x_t
    mean = (r * mean_k).sum(axis=1)
    variance = (r * (variance_k + (mean_k - mean[:, None]) ** 2)).sum(axis=1)
    return mean.reshape(x_t.shape), variance.reshape(x_t.shape)


@equation("oracle.reverse_variance", "DDPM sec. 3.2; Analytic-DPM (Bao et al. 2201.06503)", errata=8, slide=SLIDE)
def reverse_variance(x_t, t, mixture, schedule):
    """Var[x_{t-1} | x_t] = beta_tilde_t + (sqrt(alpha_bar_{t-1}) beta_t / (1 - alpha_bar_t))^2 Var[x_0 | x_t]

    The variance of the true reverse step, and so the best one for p_theta where its mean is right:
    beta_tilde if x_t tells x_0, beta if x_0 ~ N(0, I), and more than beta between two modes.
    x_t: (B, ...); t: int or (B,) in 1..T -> (B, ...), for each coordinate
    """
    _, variance_x_0 = exact_x_0(x_t, t, mixture, schedule)
    signal_prev = sqrt(schedule.alpha_bar(t - 1, like=x_t, first=0))
    weight_x_0 = signal_prev * schedule.beta(t, like=x_t) / schedule.one_minus_alpha_bar(t, like=x_t)
    variance = schedule.beta_tilde(t, like=x_t) + weight_x_0**2 * variance_x_0
    return variance


@equation("oracle.v", "improved DDPM eq. 15, solved for v", errata=8, slide=SLIDE)
def optimal_v(x_t, t, mixture, schedule):
    """v = (log sigma_t^2 - log beta_tilde_t) / (log beta_t - log beta_tilde_t), sigma_t^2 the true one

    beta_tilde_2 stands for beta_tilde_1. x_t: (B, ...); t: int or (B,) in 1..T -> (B, ...)
    """
    log_true = log(reverse_variance(x_t, t, mixture, schedule))
    log_beta_tilde = log(beta_tilde_clipped(t, schedule, like=x_t))
    v = (log_true - log_beta_tilde) / (log(schedule.beta(t, like=x_t)) - log_beta_tilde)
    return v


@equation(
    "oracle.bayes",
    slide=SLIDE,
    paper="Bayes' theorem",
    latex=r"q(\mathbf{x}_{t-1}|\mathbf{x}_t) = q(\mathbf{x}_t|\mathbf{x}_{t-1})\,q(\mathbf{x}_{t-1})\,/\,q(\mathbf{x}_t)",
)
def log_reverse(x_prev, x_t, t, mixture, schedule):
    """log q(x_{t-1} | x_t), the reverse step that is intractable for images.   x_prev, x_t: (B, ...); t: int in 1..T -> (B,), nats."""
    log_step = sum_per_image(log_density(x_t, sqrt(schedule.alpha(t)) * x_prev, schedule.beta(t)))
    log_prior = log_marginal(x_prev, t - 1, mixture, schedule)
    log_evidence = log_marginal(x_t, t, mixture, schedule)
    return log_step + log_prior - log_evidence


@equation(
    "oracle.classifier",
    slide="Guided Diffusion Models",
    paper="Dhariwal & Nichol sec. 4.1",
    latex=r"\log p(y|\mathbf{x}_t) = \log p(y)\,q(\mathbf{x}_t|y) - \log q(\mathbf{x}_t)",
)
def log_classifier(x_t, t, y, mixture, schedule):
    """The exact classifier of noisy images.   x_t: (B, ...); t: int or (B,) in 0..T; y: int -> (B,), log-probabilities."""
    joint = log_joint(x_t, t, mixture, schedule)
    mine = np.flatnonzero(mixture.labels == y).tolist()
    return _log_sum_exp(joint[:, mine]) - _log_sum_exp(joint)


@equation(
    "oracle.classifier_gradient",
    slide="Guided Diffusion Models",
    paper="Dhariwal & Nichol sec. 4.1",
    latex=r"\nabla\log p(y|\mathbf{x}_t) = \nabla\log q(\mathbf{x}_t|y) - \nabla\log q(\mathbf{x}_t)",
)
def classifier_gradient(x_t, t, y, mixture, schedule):
    """Gradient of `log_classifier` with respect to x_t.   x_t: (B, ...); t: int or (B,) in 0..T; y: int -> (B, ...)."""
    score_of_class = exact_score(x_t, t, mixture.of_class(y), schedule)
    score = exact_score(x_t, t, mixture, schedule)
    return score_of_class - score


def _diffused(x_t: Any, t: Any, mixture: GaussianMixture, schedule: Schedule | None) -> tuple[Any, Any, Any, Any]:
    """x_t as (B, 1, D) beside each component's mean (B or 1, K, D), variance (B or 1, K, 1) and log-weight (K,) at time t."""
    if not is_array(x_t):
        raise TypeError(f"oracle: x_t must be an array, got {type(x_t).__name__}")
    xp = array_module(x_t)
    if (schedule is None or not np.all(schedule.index(t, first=0))) and not np.all(mixture.stds):
        raise ValueError("oracle: a component with std 0 has no density at t = 0")
    if tuple(x_t.shape[1:]) != mixture.shape:
        raise ValueError(f"oracle: x_t must be (B, {', '.join(map(str, mixture.shape))}) like the mixture's means, got {tuple(x_t.shape)}")
    x = x_t.reshape(len(x_t), 1, -1)
    means, variances = _components(x, mixture)
    log_weights = xp.asarray(np.log(mixture.weights), dtype=x_t.dtype)
    if schedule is not None:
        alpha_bar, one_minus_alpha_bar = (f(t, like=x, first=0) for f in (schedule.alpha_bar, schedule.one_minus_alpha_bar))
        means, variances = sqrt(alpha_bar) * means, alpha_bar * variances + one_minus_alpha_bar
    return x, means, variances, log_weights


def _components(x: Any, mixture: GaussianMixture) -> tuple[Any, Any]:
    """The means (1, K, D) and variances (1, K, 1) of the components of x_0, as arrays like x."""
    xp = array_module(x)
    means = xp.asarray(mixture.means.reshape(1, len(mixture.means), -1), dtype=x.dtype)
    variances = xp.asarray((mixture.stds**2)[None, :, None], dtype=x.dtype)
    return means, variances


def _log_sum_exp(values: Any) -> Any:
    """log of the sum of exp along axis 1, without overflow.   (B, K) -> (B,)."""
    xp = array_module(values)
    largest = values.max(axis=1)
    return largest + xp.log(xp.exp(values - largest[:, None]).sum(axis=1))


def _softmax(values: Any) -> Any:
    """Along axis 1.   (B, K) -> (B, K)."""
    xp = array_module(values)
    shares = xp.exp(values - values.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)
