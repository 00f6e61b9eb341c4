"""The posterior q(x_{t-1} | x_t, x_0): the result of slide 8, for t = 1, too.

`classroom/derivations/posterior_exponent.py` derives it line by line."""

from __future__ import annotations

from minidiff.diffusion.equation import equation
from minidiff.engine.elementwise import sqrt


@equation("posterior.mu_tilde", "DDPM eq. 7")
def mu_tilde(x_t, x_0, t, schedule):
    """mu_tilde = weight_x_t x_t + weight_x_0 x_0, the mean of q(x_{t-1} | x_t, x_0)

    x_t, x_0: (B, ...);  t: int or (B,) in 1..T  ->  (B, ...)"""
    now, prev = schedule.at(t, like=x_t), schedule.at(t - 1, like=x_t, first=0)
    weight_x_t = sqrt(now.alpha) * prev.one_minus_alpha_bar / now.one_minus_alpha_bar
    weight_x_0 = sqrt(prev.alpha_bar) * now.beta / now.one_minus_alpha_bar
    mu_tilde = weight_x_t * x_t + weight_x_0 * x_0
    return mu_tilde


@equation("posterior.q_posterior", "DDPM eq. 6")
def q_posterior(x_t, x_0, t, schedule):
    """q(x_{t-1} | x_t, x_0) = N(mu_tilde, beta_tilde_t I)

    x_t, x_0: (B, ...);  t: int or (B,) in 1..T  ->  mean: (B, ...), variance: float or
    (B, 1, ...), 0 at t = 1"""
    mean = mu_tilde(x_t, x_0, t, schedule)
    variance = schedule.at(t, like=x_t).beta_tilde
    return mean, variance
