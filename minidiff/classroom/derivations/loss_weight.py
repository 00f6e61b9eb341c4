"""Slide 14: L_{t-1} as a squared error of means, then of noises, with its weight.

L_simple leaves the weight out."""

from __future__ import annotations

from minidiff.diffusion.equation import equation
from minidiff.diffusion.posterior import q_posterior
from minidiff.diffusion.reverse import mu_theta, sigma_squared
from minidiff.engine.elementwise import sum_per_image


@equation("vlb.L_t_minus_1_of_means", "DDPM eq. 8", errata=14)
def L_t_minus_1_of_means(x_0, x_t, t, eps_hat, schedule, variance="beta"):
    """L_{t-1} - C = |mu_tilde - mu_theta|^2 / (2 sigma_t^2)

    The part of L_{t-1} that the network can change.   Arguments as `L_t_minus_1`"""
    mean_q, _ = q_posterior(x_t, x_0, t, schedule)
    difference = mean_q - mu_theta(x_t, t, eps_hat, schedule)
    per_pixel = difference**2 / (2 * sigma_squared(t, schedule, variance, like=x_t))
    L = sum_per_image(per_pixel)
    return L


@equation("losses.squared_norm", "DDPM eq. 14", errata=17)
def squared_norm(eps, eps_hat):
    """squared_error = sum over pixels of (eps - eps_hat)^2

    eps, eps_hat: (B, ...)  ->  (B,)"""
    difference = eps - eps_hat
    squared_error = sum_per_image(difference**2)
    return squared_error


@equation("losses.weight", "DDPM eq. 12", errata=(14, 15, 16))
def loss_weight(t, schedule, variance="beta"):
    """weight = beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t))

    What L_{t-1} multiplies the squared error by and L_simple leaves out.
    t: int or (B,) in 1..T;  variance: "beta" or "beta_tilde"  ->  float or (B,)
    Raises: ValueError for beta_tilde at t = 1, where it is 0."""
    if variance == "beta_tilde" and schedule.index(t).min() == 1:
        reason = "its weight is infinite there: t = 1 belongs to L_0"
        raise ValueError(f"loss_weight: beta_tilde is 0 at t = 1, so {reason}")
    now, sigma_t_squared = schedule.at(t), sigma_squared(t, schedule, variance)
    weight = now.beta**2 / (2 * sigma_t_squared * now.alpha * now.one_minus_alpha_bar)
    return weight


@equation("losses.weighted", "DDPM eq. 12", errata=(14, 15))
def weighted_squared_norm(eps, eps_hat, t, schedule, variance="beta"):
    """L = w_t ||eps - eps_theta||^2, the part of L_{t-1} that the network can change

    eps, eps_hat: (B, ...);  t, variance: as for `loss_weight`  ->  (B,), nats"""
    w_t = loss_weight(t, schedule, variance)
    norm = squared_norm(eps, eps_hat)
    L = w_t * norm
    return L
