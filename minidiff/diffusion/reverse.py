"""One step of the reverse process p_theta(x_{t-1} | x_t): its mean and its variance."""

from __future__ import annotations

from minidiff.diffusion.equation import equation
from minidiff.engine.checks import check_choice
from minidiff.engine.elementwise import exp, log, sqrt

VARIANCES = ("beta", "beta_tilde")


@equation("reverse.mu_theta", "DDPM eq. 11", errata=5)
def mu_theta(x_t, t, eps_hat, schedule):
    """mu = (x_t - beta_t / sqrt(1 - alpha_bar_t) eps_hat) / sqrt(alpha_t)

    x_t, eps_hat: (B, ...);  t: int or (B,) in 1..T  ->  mu: (B, ...)"""
    now = schedule.at(t, like=x_t)
    removed = now.beta / sqrt(now.one_minus_alpha_bar) * eps_hat
    mu = (x_t - removed) / sqrt(now.alpha)
    return mu


@equation("reverse.sigma_squared", "DDPM sec. 3.2", errata=(8, 9))
def sigma_squared(t, schedule, variance="beta_tilde", like=None):
    """sigma_t^2 = beta_t  or  beta_tilde_t

    "beta" is the variance of the true step for x_0 ~ N(0, I), "beta_tilde" for a single
    point x_0. For data of unit variance the true one lies between them on average. At one
    x_t it may lie outside: see `reverse_variance` of classroom/derivations/.
    t: int or (B,) in 1..T  ->  float, or (B, 1, ...)
    Raises: ValueError for another name."""
    check_choice("sigma_squared", "variance", variance, VARIANCES)
    now = schedule.at(t, like)
    variance_t = now.beta if variance == "beta" else now.beta_tilde
    return variance_t


@equation("reverse.beta_tilde_clipped", "code of DDPM and of improved DDPM", errata=9)
def beta_tilde_clipped(t, schedule, like=None):
    """variance_t = beta_tilde_t, and beta_tilde_2 at t = 1

    beta_tilde_1 = 0 is no variance of a density and has no logarithm.
    t: int or (B,) in 1..T  ->  float, or (B, 1, ...) to multiply `like`
    Raises: ValueError if T = 1, where there is no beta_tilde_2."""
    if schedule.T == 1:
        reason = "T = 1 has no beta_tilde_2: take variance 'beta'"
        raise ValueError(f"beta_tilde_clipped: {reason}")
    variance_t = schedule.at(schedule.index(t).clip(2), like).beta_tilde
    return variance_t


def likelihood_variance(t, schedule, variance="beta", like=None):
    """sigma_t^2 > 0 of p_theta where its density counts.   Arguments as `sigma_squared`.

    variance: "beta", "beta_tilde" (with beta_tilde_2 at t = 1), or an array of learned
    variances, which is returned as it is."""
    if not isinstance(variance, str):
        return variance
    if variance == "beta_tilde":
        return beta_tilde_clipped(t, schedule, like)
    return sigma_squared(t, schedule, variance, like)


@equation("reverse.learned_variance", "improved DDPM eq. 15")
def learned_variance(v, t, schedule):
    """variance_t = exp(v log beta_t + (1 - v) log beta_tilde_t)

    v: (B, ...), between beta_tilde (v = 0) and beta (v = 1);  t: int or (B,) in 1..T
    ->  (B, ...). t = 1 takes beta_tilde_2, see `beta_tilde_clipped`."""
    from_beta = v * log(schedule.at(t, like=v).beta)
    from_beta_tilde = (1 - v) * log(beta_tilde_clipped(t, schedule, like=v))
    variance_t = exp(from_beta + from_beta_tilde)
    return variance_t


@equation("reverse.p_step", "DDPM Algorithm 2, line 4", errata=(7, 9, 22, 23, 24))
def p_step(mu, sigma_t, z):
    """x_{t-1} = mu + sigma_t z

    A sample of p_theta(x_{t-1} | x_t) = N(mu, sigma_t^2 I).
    mu: (B, ...), from `mu_theta`;  z: (B, ...) ~ N(0, I), zeros at t = 1  ->  x_prev"""
    noise = sigma_t * z
    x_prev = mu + noise
    return x_prev
