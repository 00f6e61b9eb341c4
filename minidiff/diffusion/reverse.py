"""One step of the reverse process p_theta(x_{t-1} | x_t): its mean and its variance."""

from __future__ import annotations

from minidiff.diffusion.elementwise import exp, log, sqrt
from minidiff.diffusion.equation import equation

VARIANCES = ("beta", "beta_tilde")


@equation("reverse.mu_theta", "DDPM eq. 11", errata=5)
def mu_theta(x_t, t, eps_hat, schedule):
    """mu = (x_t - beta_t / sqrt(1 - alpha_bar_t) eps_hat) / sqrt(alpha_t)

    x_t, eps_hat: (B, ...);  t: int or (B,) in 1..T  ->  mu: (B, ...)
    """
    now = schedule.at(t, like=x_t)
    removed = now.beta / sqrt(now.one_minus_alpha_bar) * eps_hat
    mu = (x_t - removed) / sqrt(now.alpha)
    return mu


@equation("reverse.sigma_squared", "DDPM sec. 3.2", errata=(8, 9))
def sigma_squared(t, schedule, variance="beta_tilde", like=None):
    """sigma_t^2 = beta_t  or  beta_tilde_t

    "beta" is best for x_0 ~ N(0, I), "beta_tilde" for a single point x_0: upper and lower
    limits of the true one.   t: int or (B,) in 1..T  ->  float, or (B, 1, ...)
    Raises: ValueError for another name.
    """
    if variance not in VARIANCES:
        known = ", ".join(VARIANCES)
        raise ValueError(f"sigma_squared: variance must be one of {known}, got {variance!r}")
    now = schedule.at(t, like)
    variance_t = now.beta if variance == "beta" else now.beta_tilde
    return variance_t


@equation("reverse.learned_variance", "improved DDPM eq. 15")
def learned_variance(v, t, schedule):
    """variance_t = exp(v log beta_t + (1 - v) log beta_tilde_t)

    v: (B, ...), between beta_tilde (v = 0) and beta (v = 1);  t: int or (B,) in 1..T
    ->  (B, ...). beta_tilde_1 = 0 has no logarithm: t = 1 takes beta_tilde_2, as the
    paper's code does.
    """
    now = schedule.at(t, like=v)
    clipped = schedule.at(schedule.index(t).clip(min(2, schedule.T)), like=v)
    from_beta = v * log(now.beta)
    from_beta_tilde = (1 - v) * log(clipped.beta_tilde)
    variance_t = exp(from_beta + from_beta_tilde)
    return variance_t


@equation("reverse.p_step", "DDPM Algorithm 2, line 4", errata=(7, 9, 22, 23, 24))
def p_step(mu, sigma_t, z):
    """x_{t-1} = mu + sigma_t z

    A sample of p_theta(x_{t-1} | x_t) = N(mu, sigma_t^2 I).
    mu: (B, ...), from `mu_theta`;  z: (B, ...) ~ N(0, I), zeros at t = 1  ->  x_prev
    """
    noise = sigma_t * z
    x_prev = mu + noise
    return x_prev


@equation("reverse.removed_fraction", "DDPM eq. 11", errata=25)
def removed_fraction(t, schedule):
    """fraction = beta_t / (1 - alpha_bar_t)

    The part of the noise in x_t, sqrt(1 - alpha_bar_t) eps_theta, that one step takes out.
    t: int or (B,) in 1..T  ->  in (0, 1]
    """
    now = schedule.at(t)
    fraction = now.beta / now.one_minus_alpha_bar
    return fraction
