"""Slides 6 and 9: the true step q(x_{t-1} | x_t), which is known for a mixture only.

Its mean is what eps_theta learns. Its variance is what a fixed or a learned variance of
p_theta stands for."""

from __future__ import annotations

from collections.abc import Callable

from minidiff.diffusion.equation import equation
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.oracle import (
    GaussianMixture,
    components,
    diffused,
    exact_eps,
    log_marginal,
    shares,
)
from minidiff.diffusion.reverse import beta_tilde_clipped
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.targets import Prediction
from minidiff.engine.elementwise import log, sqrt, sum_per_image


@equation("oracle.x_0", "Bayes' theorem")
def exact_x_0(x_t, t, mixture, schedule):
    """mean, variance = those of q(x_0 | x_t), for each coordinate

    Each component answers as one Gaussian; r_k is its share at x_t.
    x_t: (B, ...);  t: int or (B,) in 1..T  ->  two (B, ...)"""
    x, mean_x_t, variance_x_t, log_joint = diffused(x_t, t, mixture, schedule)
    r = shares(log_joint)
    now, (mean_0, variance_0) = schedule.at(t, like=x), components(mixture, x)
    covariance = sqrt(now.alpha_bar) * variance_0
    mean_k = mean_0 + covariance / variance_x_t * (x - mean_x_t)
    variance_k = variance_0 * now.one_minus_alpha_bar / variance_x_t
    mean = (r * mean_k).sum(axis=1)
    variance = (r * (variance_k + (mean_k - mean[:, None]) ** 2)).sum(axis=1)
    mean, variance = mean.reshape(x_t.shape), variance.reshape(x_t.shape)
    return mean, variance


@equation("oracle.reverse_variance", "DDPM sec. 3.2; Bao et al. 2201.06503", errata=8)
def reverse_variance(x_t, t, mixture, schedule):
    """Var[x_{t-1} | x_t] = beta_tilde_t + weight_x_0^2 Var[x_0 | x_t]

    weight_x_0 = sqrt(alpha_bar_{t-1}) beta_t / (1 - alpha_bar_t) is that of mu_tilde.
    This is the variance of the true step, and the best one for a p_theta with the right
    mean: beta_tilde where x_t tells x_0, beta for x_0 ~ N(0, I), more between two modes.
    x_t: (B, ...);  t: int or (B,) in 1..T  ->  (B, ...), for each coordinate"""
    now, prev = schedule.at(t, like=x_t), schedule.at(t - 1, like=x_t, first=0)
    _, variance_x_0 = exact_x_0(x_t, t, mixture, schedule)
    weight_x_0 = sqrt(prev.alpha_bar) * now.beta / now.one_minus_alpha_bar
    variance = now.beta_tilde + weight_x_0**2 * variance_x_0
    return variance


@equation("oracle.v", "improved DDPM eq. 15, solved for v", errata=8)
def optimal_v(x_t, t, mixture, schedule):
    """v = (log Var[x_{t-1} | x_t] - log beta_tilde_t) / (log beta_t - log beta_tilde_t)

    The v of `learned_variance` that gives the true variance; beta_tilde_2 stands for
    beta_tilde_1.   x_t: (B, ...);  t: int or (B,) in 1..T  ->  (B, ...)"""
    log_true = log(reverse_variance(x_t, t, mixture, schedule))
    log_beta = log(schedule.at(t, like=x_t).beta)
    log_beta_tilde = log(beta_tilde_clipped(t, schedule, like=x_t))
    v = (log_true - log_beta_tilde) / (log_beta - log_beta_tilde)
    return v


@equation("oracle.bayes", "Bayes' theorem")
def log_reverse(x_prev, x_t, t, mixture, schedule):
    """log q(x_{t-1} | x_t) = log q(x_t | x_{t-1}) + log q(x_{t-1}) - log q(x_t)

    The reverse step that is intractable for images.
    x_prev, x_t: (B, ...);  t: int in 1..T  ->  (B,), nats"""
    now = schedule.at(t)
    log_step = sum_per_image(log_density(x_t, sqrt(now.alpha) * x_prev, now.beta))
    log_prior = log_marginal(x_prev, t - 1, mixture, schedule)
    log_evidence = log_marginal(x_t, t, mixture, schedule)
    log_q = log_step + log_prior - log_evidence
    return log_q


def best_prediction(mixture: GaussianMixture, schedule: Schedule) -> Callable[..., Prediction]:
    """The best network with a learned variance: exact eps, v of the true variance."""
    return lambda x_t, t: Prediction(
        exact_eps(x_t, t, mixture, schedule), optimal_v(x_t, t, mixture, schedule)
    )
