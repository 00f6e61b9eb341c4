"""Slide 8, line by line: the posterior q(x_{t-1} | x_t, x_0) by completing the square.

Bayes, expand, collect, read off variance and mean. The exponents divide by
1 - alpha_bar_{t-1} and so need t >= 2. `mu_tilde` and beta_tilde, the results, hold for
t = 1, too."""

from __future__ import annotations

from minidiff.diffusion.equation import equation
from minidiff.diffusion.reverse import mu_theta
from minidiff.engine.elementwise import sqrt


@equation("posterior.bayes", "DDPM eq. 6")
def exponent_by_bayes(x_prev, x_t, x_0, t, schedule):
    """exponent = -1/2 (step + prior - evidence)

    Exponent of q(x_t | x_{t-1}) q(x_{t-1} | x_0) / q(x_t | x_0).
    x_prev, x_t, x_0: (B, ...);  t: int or (B,) in 2..T  ->  (B, ...)"""
    now, prev = schedule.at(t, like=x_t), schedule.at(t - 1, like=x_t)
    step = (x_t - sqrt(now.alpha) * x_prev) ** 2 / now.beta
    prior = (x_prev - sqrt(prev.alpha_bar) * x_0) ** 2 / prev.one_minus_alpha_bar
    evidence = (x_t - sqrt(now.alpha_bar) * x_0) ** 2 / now.one_minus_alpha_bar
    exponent = -0.5 * (step + prior - evidence)
    return exponent


@equation("posterior.expanded", "DDPM eq. 6")
def exponent_expanded(x_prev, x_t, x_0, t, schedule):
    """exponent = -1/2 (step + prior - evidence), the first two squares multiplied out

    Arguments and result as `exponent_by_bayes`."""
    now, prev = schedule.at(t, like=x_t), schedule.at(t - 1, like=x_t)
    square = x_t**2 - 2 * sqrt(now.alpha) * x_t * x_prev + now.alpha * x_prev**2
    step = square / now.beta
    mixed = 2 * sqrt(prev.alpha_bar) * x_0 * x_prev
    prior = (x_prev**2 - mixed + prev.alpha_bar * x_0**2) / prev.one_minus_alpha_bar
    evidence = (x_t - sqrt(now.alpha_bar) * x_0) ** 2 / now.one_minus_alpha_bar
    exponent = -0.5 * (step + prior - evidence)
    return exponent


@equation("posterior.precision", "DDPM eq. 7")
def precision(t, schedule, like=None):
    """precision_t = alpha_t / beta_t + 1 / (1 - alpha_bar_{t-1}) = 1 / beta_tilde_t

    What multiplies x_{t-1}^2: precisions add.
    t: int or (B,) in 2..T  ->  float, or (B, 1, ...) to multiply `like`"""
    now, prev = schedule.at(t, like), schedule.at(t - 1, like)
    of_the_step = now.alpha / now.beta
    of_the_prior = 1 / prev.one_minus_alpha_bar
    precision_t = of_the_step + of_the_prior
    return precision_t


@equation("posterior.precision_as_one_fraction", "DDPM eq. 7")
def precision_as_one_fraction(t, schedule, like=None):
    """precision_t = (alpha_t - alpha_bar_t + beta_t) / (beta_t (1 - alpha_bar_{t-1}))

    The numerator is 1 - alpha_bar_t, from which the last form of beta_tilde follows.
    Arguments and result as `precision`"""
    now, prev = schedule.at(t, like), schedule.at(t - 1, like)
    numerator = now.alpha - now.alpha_bar + now.beta
    precision_t = numerator / (now.beta * prev.one_minus_alpha_bar)
    return precision_t


@equation("posterior.pull", "DDPM eq. 7")
def pull(x_t, x_0, t, schedule):
    """pull_t = sqrt(alpha_t) / beta_t x_t
              + sqrt(alpha_bar_{t-1}) / (1 - alpha_bar_{t-1}) x_0

    What multiplies 2 x_{t-1}: each end pulls with its precision.
    x_t, x_0: (B, ...);  t: int or (B,) in 2..T  ->  (B, ...)"""
    now, prev = schedule.at(t, like=x_t), schedule.at(t - 1, like=x_t)
    towards_x_t = sqrt(now.alpha) / now.beta * x_t
    towards_x_0 = sqrt(prev.alpha_bar) / prev.one_minus_alpha_bar * x_0
    pull_t = towards_x_t + towards_x_0
    return pull_t


@equation("posterior.collected", "DDPM eq. 6")
def exponent_collected(x_prev, x_t, x_0, t, schedule):
    """exponent = -1/2 (precision_t x_{t-1}^2 - 2 pull_t x_{t-1} + C)

    Arguments and result as `exponent_by_bayes`; C is what does not contain x_{t-1}."""
    quadratic = precision(t, schedule, like=x_t) * x_prev**2
    linear = 2 * pull(x_t, x_0, t, schedule) * x_prev
    C = -2 * exponent_expanded(0 * x_prev, x_t, x_0, t, schedule)
    exponent = -0.5 * (quadratic - linear + C)
    return exponent


@equation("posterior.mu_tilde_from_pull", "DDPM eq. 7")
def mu_tilde_from_pull(x_t, x_0, t, schedule):
    """mu_tilde = pull_t / precision_t, the top of the parabola

    x_t, x_0: (B, ...);  t: int or (B,) in 2..T  ->  (B, ...)"""
    mu_tilde = pull(x_t, x_0, t, schedule) / precision(t, schedule, like=x_t)
    return mu_tilde


@equation("posterior.mu_tilde_from_eps", "DDPM eq. 10", errata=5)
def mu_tilde_from_eps(x_t, eps, t, schedule):
    """mu_tilde = (x_t - beta_t / sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_t)

    The same mean from the noise in x_t: the formula of `mu_theta` with the true eps.
    x_t, eps: (B, ...);  t: int or (B,) in 1..T  ->  (B, ...)"""
    mu_tilde = mu_theta(x_t, t, eps, schedule)
    return mu_tilde
