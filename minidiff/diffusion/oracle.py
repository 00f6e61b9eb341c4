"""The exact noise predictor of a Gaussian mixture: a formula for what networks learn.

q(x_t) is again a mixture: each mean shrinks, each variance moves towards 1. So its score
is known, and with it the best possible eps_theta, the exact likelihood and the exact
classifier. Samplers and bounds are tested on it without a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidiff.diffusion.equation import equation
from minidiff.diffusion.gaussian import discretised_log_probability, log_density
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.backend import array_module, device_of, is_array, to_cpu, to_device
from minidiff.engine.elementwise import exp, per_image, sqrt, sum_per_image
from minidiff.engine.random import RNG


class GaussianMixture:
    """A distribution of x_0: K isotropic Gaussians.

    weights: (K,) > 0, normalised to sum 1; means: (K, ...) one image each;
    stds: (K,) >= 0 or a float; labels: (K,) ints, the class of each component (default:
    each is a class)."""

    def __init__(self, weights: Any, means: Any, stds: Any, labels: Any = None):
        self.means = np.asarray(means, dtype=np.float64)
        K = len(self.means)
        self.weights = np.asarray(weights, dtype=np.float64)
        self.stds = np.broadcast_to(np.asarray(stds, dtype=np.float64), (K,))
        self.labels = np.arange(K) if labels is None else np.asarray(labels)
        if self.means.ndim < 2 or self.weights.shape != (K,) or self.labels.shape != (K,):
            got = f"{self.weights.shape}, {self.means.shape} and {self.labels.shape}"
            wanted = "weights, means and labels must be (K,), (K, ...) and (K,)"
            raise ValueError(f"GaussianMixture: {wanted}, got {got}")
        if not np.all(self.weights > 0) or np.any(self.stds < 0):
            raise ValueError("GaussianMixture: weights must be > 0 and stds >= 0")
        self.weights = self.weights / self.weights.sum()
        self.shape = self.means.shape[1:]

    def __repr__(self) -> str:
        if self.means[0].size > 4:
            low, high = self.stds.min(), self.stds.max()
            what = f"{len(self.means)} components of shape {self.shape}"
            return f"GaussianMixture({what}, std {low:g}..{high:g})"
        parts = zip(self.weights, self.means, self.stds, strict=True)
        shown = [f"{w:.3g} N({np.round(m, 3).tolist()}, {s:.3g}^2)" for w, m, s in parts]
        more = f" + ... ({len(shown)} components)" if len(shown) > 4 else ""
        return f"GaussianMixture({' + '.join(shown[:4])}{more})"

    def sample(self, n: int, rng: RNG, dtype: Any = np.float64) -> Any:
        """n draws of x_0.   -> (n, ...)."""
        u = to_cpu(rng.uniform((n,), dtype=np.float64))
        k = np.searchsorted(np.cumsum(self.weights)[:-1], u, side="right")
        z = rng.normal((n, *self.shape), dtype=dtype)
        drawn = (self.means[k], self.stds[k])
        mean, std = (to_device(a.astype(dtype), device_of(z)) for a in drawn)
        return mean + per_image(std, z) * z

    def of_class(self, y: int) -> GaussianMixture:
        """The mixture of the components with label y, p(x_0 | y).

        Raises: ValueError if there is none."""
        mine = self.labels == y
        if not mine.any():
            known = sorted(set(self.labels.tolist()))
            missing = f"no component has the label {y}"
            raise ValueError(f"GaussianMixture: {missing}; labels are {known}")
        parts = (self.weights, self.means, self.stds, self.labels)
        return GaussianMixture(*(part[mine] for part in parts))

    def log_prob(self, x_0: Any) -> Any:
        """Exact log-density.   x_0: (B, ...) -> (B,), nats.

        Raises: ValueError if a std is 0: a point has no density."""
        return log_sum_exp(diffused(x_0, 0, self, None)[3])

    def log_bin_probability(self, x_0: Any, levels: int = 256) -> Any:
        """Exact log-probability of the pixel bins that hold x_0, to compare with L_0's.

        x_0: (B, ...)  ->  (B,), nats"""
        xp, per_component = array_module(x_0), []
        for w, m, s in zip(self.weights, self.means, self.stds, strict=True):
            mean, variance = xp.asarray(m, dtype=x_0.dtype), float(s) ** 2
            log_p = discretised_log_probability(x_0, mean, variance, levels)
            per_component.append(math.log(w) + sum_per_image(log_p))
        return log_sum_exp(xp.stack(per_component, axis=1))

    def eps_theta(self, schedule: Schedule, y: int | None = None) -> Callable[..., Any]:
        """The exact eps_theta(x_t, t) of this mixture, or of its class y."""
        mixture = self if y is None else self.of_class(y)
        return lambda x_t, t: exact_eps(x_t, t, mixture, schedule)


@equation("oracle.marginal", "law of total probability; DDPM eq. 4", errata=4)
def log_marginal(x_t, t, mixture, schedule):
    """log_q = log of the sum over k of w_k N(x_t; sqrt(alpha_bar_t) m_k, variance_k I)

    variance_k = alpha_bar_t s_k^2 + 1 - alpha_bar_t: the integral over all images, in
    closed form.   x_t: (B, ...);  t: int or (B,) in 0..T  ->  (B,), nats"""
    _, _, _, log_joint = diffused(x_t, t, mixture, schedule)
    log_q = log_sum_exp(log_joint)
    return log_q


@equation("oracle.score", "Song et al. 2011.13456 sec. 2")
def exact_score(x_t, t, mixture, schedule):
    """score = sum over k of r_k (sqrt(alpha_bar_t) m_k - x_t) / variance_k

    Gradient of log q(x_t); r_k is the share of component k at x_t.
    x_t: (B, ...);  t: int or (B,) in 0..T  ->  (B, ...)"""
    x, mean, variance, log_joint = diffused(x_t, t, mixture, schedule)
    pull = (mean - x) / variance
    score = (shares(log_joint) * pull).sum(axis=1).reshape(x_t.shape)
    return score


@equation("oracle.eps", "Dhariwal & Nichol eq. 11 (Tweedie)", errata=5)
def exact_eps(x_t, t, mixture, schedule):
    """eps = E[eps | x_t] = -sqrt(1 - alpha_bar_t) score

    The noise predictor that minimises L_simple.
    x_t: (B, ...);  t: int or (B,) in 1..T  ->  (B, ...)"""
    score = exact_score(x_t, t, mixture, schedule)
    eps = -sqrt(schedule.at(t, like=x_t).one_minus_alpha_bar) * score
    return eps


@equation("oracle.classifier", "Dhariwal & Nichol sec. 4.1")
def log_classifier(x_t, t, y, mixture, schedule):
    """log p(y | x_t) = log p(y) q(x_t | y) - log q(x_t)

    The exact classifier of noisy images.
    x_t: (B, ...);  t: int or (B,) in 0..T;  y: int  ->  (B,), log-probabilities"""
    _, _, _, log_joint = diffused(x_t, t, mixture, schedule)
    mine = np.flatnonzero(mixture.labels == y).tolist()
    log_p = log_sum_exp(log_joint[:, mine]) - log_sum_exp(log_joint)
    return log_p


@equation("oracle.classifier_gradient", "Dhariwal & Nichol sec. 4.1")
def classifier_gradient(x_t, t, y, mixture, schedule):
    """gradient = grad log q(x_t | y) - grad log q(x_t)

    Gradient of `log_classifier` with respect to x_t.
    x_t: (B, ...);  t: int or (B,) in 0..T;  y: int  ->  (B, ...)"""
    score_of_class = exact_score(x_t, t, mixture.of_class(y), schedule)
    score = exact_score(x_t, t, mixture, schedule)
    gradient = score_of_class - score
    return gradient


def diffused(
    x_t: Any, t: Any, mixture: GaussianMixture, schedule: Schedule | None
) -> tuple[Any, Any, Any, Any]:
    """x_t as (B, 1, D), and of each component: mean, variance, log of w_k q_k(x_t).

    They are (B or 1, K, D), (B or 1, K, 1) and (B, K)."""
    if not is_array(x_t):
        raise TypeError(f"oracle: x_t must be an array, got {type(x_t).__name__}")
    at_the_data = schedule is None or not np.all(schedule.index(t, first=0))
    if at_the_data and not np.all(mixture.stds):
        raise ValueError("oracle: a component with std 0 has no density at t = 0")
    xp = array_module(x_t)
    if tuple(x_t.shape[1:]) != mixture.shape:
        wanted = f"(B, {', '.join(map(str, mixture.shape))}) like the mixture's means"
        raise ValueError(f"oracle: x_t must be {wanted}, got {tuple(x_t.shape)}")
    x = x_t.reshape(len(x_t), 1, -1)
    means, variances = components(mixture, x)
    log_weights = xp.asarray(np.log(mixture.weights), dtype=x_t.dtype)
    if schedule is not None:
        now = schedule.at(t, like=x, first=0)
        means = sqrt(now.alpha_bar) * means
        variances = now.alpha_bar * variances + now.one_minus_alpha_bar
    log_joint = log_weights + log_density(x, means, variances).sum(axis=2)
    return x, means, variances, log_joint


def components(mixture: GaussianMixture, like: Any) -> tuple[Any, Any]:
    """The means (1, K, D) and variances (1, K, 1) of the components of x_0."""
    xp = array_module(like)
    means = xp.asarray(mixture.means.reshape(1, len(mixture.means), -1), dtype=like.dtype)
    variances = xp.asarray((mixture.stds**2)[None, :, None], dtype=like.dtype)
    return means, variances


def log_sum_exp(values: Any) -> Any:
    """log of the sum of exp along axis 1, without overflow.   (B, K) -> (B,)."""
    xp = array_module(values)
    largest = values.max(axis=1)
    return largest + xp.log(xp.exp(values - largest[:, None]).sum(axis=1))


def shares(log_joint: Any) -> Any:
    """r_k = w_k q_k(x_t) / q(x_t), the share of each component.   (B, K) -> (B, K, 1)."""
    return exp(log_joint - log_sum_exp(log_joint)[:, None])[:, :, None]
