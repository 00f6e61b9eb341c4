"""The variational bound on -log p_theta(x_0), term by term, in nats per image.

`vlb_steps` walks T..1. `vlb_of_chain` and `vlb_of_chain_by_posterior` evaluate lines of the
slide on one sampled chain x_0..x_T.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minidiff.diffusion.elementwise import sum_per_image
from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import log_q_chain, q_mean_variance, q_sample
from minidiff.diffusion.gaussian import (
    bits_per_dim,
    discretised_log_probability,
    kl_gaussians,
    log_density,
)
from minidiff.diffusion.noise_prediction import predict_noise
from minidiff.diffusion.posterior import q_posterior
from minidiff.diffusion.reverse import mu_theta, sigma_squared
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.backend import array_module
from minidiff.engine.random import RNG


@equation("vlb.L_T", "DDPM eq. 5", errata=(12, 20))
def L_T(x_0, schedule):
    """L_T = KL(q(x_T | x_0) || N(0, I))

    How far x_T is from the prior: nothing to learn, but not zero.
    x_0: (B, ...)  ->  (B,), nats
    """
    mean, variance = q_mean_variance(x_0, schedule.T, schedule)
    L = sum_per_image(kl_gaussians(mean, variance, 0.0, 1.0))
    return L


@equation("vlb.L_t_minus_1", "DDPM eq. 5", errata=(10, 14))
def L_t_minus_1(x_0, x_t, t, eps_hat, schedule, variance="beta"):
    """L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p_theta(x_{t-1} | x_t))

    x_0, x_t, eps_hat: (B, ...);  t: int or (B,) in 2..T  ->  (B,), nats
    variance: "beta", "beta_tilde", or an array of learned variances.
    Raises: ValueError at t = 1, which belongs to L_0.
    """
    schedule.index(t, first=2)
    mean_q, variance_q = q_posterior(x_t, x_0, t, schedule)
    mean_p = mu_theta(x_t, t, eps_hat, schedule)
    variance_p = variance
    if isinstance(variance, str):
        variance_p = sigma_squared(t, schedule, variance, like=x_t)
    L = sum_per_image(kl_gaussians(mean_q, variance_q, mean_p, variance_p))
    return L


@equation("vlb.L_t_minus_1_of_means", "DDPM eq. 8", errata=14)
def L_t_minus_1_of_means(x_0, x_t, t, eps_hat, schedule, variance="beta"):
    """L_{t-1} - C = |mu_tilde - mu_theta|^2 / (2 sigma_t^2)

    The part of L_{t-1} that the network can change.   Arguments as `L_t_minus_1`
    """
    mean_q, _ = q_posterior(x_t, x_0, t, schedule)
    difference = mean_q - mu_theta(x_t, t, eps_hat, schedule)
    per_pixel = difference**2 / (2 * sigma_squared(t, schedule, variance, like=x_t))
    L = sum_per_image(per_pixel)
    return L


@equation("vlb.L_0", "DDPM eq. 13", errata=(11, 13))
def L_0(x_0, x_1, eps_hat, schedule, variance="beta", levels=256):
    """L_0 = -log p_theta(x_0 | x_1)

    Cost of the last step, to the pixel values.   x_0, x_1, eps_hat: (B, ...)  ->  (B,), nats
    levels: 256 counts the probability of each pixel's bin, None the density at x_0.
    beta_tilde_1 = 0 is no variance: the last step then takes beta_tilde_2, as the papers'
    code does.
    """
    mean = mu_theta(x_1, 1, eps_hat, schedule)
    last_variance = schedule.beta(1)
    if variance == "beta_tilde":
        last_variance = schedule.beta_tilde(min(2, schedule.T))
    if levels is None:
        per_pixel = -log_density(x_0, mean, last_variance)
    else:
        per_pixel = -discretised_log_probability(x_0, mean, last_variance, levels)
    L = sum_per_image(per_pixel)
    return L


def vlb_steps(
    eps_theta: Callable[..., Any], x_0: Any, schedule: Schedule, rng: RNG, *,
    variance: str = "beta", levels: int | None = 256,
) -> Iterator[Step]:  # fmt: skip
    """Every term of the bound, L_T first, then t = T..1 (L_{t-1}).   x_0: (B, ...).

    Each t has a fresh x_t ~ q(x_t | x_0). The `Step` at t has `L` (nats per image, (B,))
    and `bits` (its mean in bits/dim); L_T comes with t = T + 1.
    """
    D = x_0[0].size
    terms = L_T(x_0, schedule)
    bits = bits_per_dim(float(terms.mean()), D)
    yield Step("vlb", schedule.T + 1, x_0=x_0, L=terms, bits=bits)
    for t in range(schedule.T, 0, -1):
        eps = rng.normal(x_0.shape, dtype=x_0.dtype)
        x_t = q_sample(x_0, t, eps, schedule)
        eps_hat = predict_noise(eps_theta, x_t, t)
        if t > 1:
            terms = L_t_minus_1(x_0, x_t, t, eps_hat, schedule, variance)
        else:
            terms = L_0(x_0, x_t, eps_hat, schedule, variance, levels)
        bits = bits_per_dim(float(terms.mean()), D)
        yield Step("vlb", t, x_0=x_0, eps=eps, x_t=x_t, eps_hat=eps_hat, L=terms, bits=bits)


@equation("vlb.total", "DDPM eq. 5", errata=(10, 13))
def vlb(eps_theta, x_0, schedule, rng, variance="beta", levels=256):
    """L_VLB = L_T + sum over t > 1 of L_{t-1} + L_0

    An estimate with one x_t for each t.   x_0: (B, ...)  ->  (B,), nats per image
    """
    total = 0.0
    for step in vlb_steps(eps_theta, x_0, schedule, rng, variance=variance, levels=levels):
        total = total + step.L
    return total


@equation("vlb.of_chain", "DDPM app. A")
def vlb_of_chain(chain, eps_hats, schedule, variance="beta"):
    """bound = log q(x_{1:T} | x_0) - log p_theta(x_{0:T}) along one chain

    Its mean over chains is L_VLB. p_theta(x_0 | x_1) is the density.
    chain: x_0, x_1, ..., x_T, each (B, ...); eps_hats: eps_theta(x_t, t) for t = 1..T
    ->  (B,), nats
    """
    log_p = log_density(chain[-1], 0.0, 1.0)
    for t in range(1, schedule.T + 1):
        mu = mu_theta(chain[t], t, eps_hats[t - 1], schedule)
        log_p = log_p + log_density(chain[t - 1], mu, sigma_squared(t, schedule, variance))
    bound = log_q_chain(chain, schedule) - sum_per_image(log_p)
    return bound


@equation("vlb.of_chain_by_posterior", "DDPM app. A")
def vlb_of_chain_by_posterior(chain, eps_hats, schedule, variance="beta"):
    """bound = log q(x_T | x_0) / p(x_T) + sum over t > 1 of log q / p_theta - log p_theta(x_0 | x_1)

    The same number after Bayes and the telescoping sum; q is the posterior.
    Arguments and result as `vlb_of_chain`.
    """
    x_0, x_T = chain[0], chain[-1]
    mean, q_variance = q_mean_variance(x_0, schedule.T, schedule)
    total = log_density(x_T, mean, q_variance) - log_density(x_T, 0.0, 1.0)
    for t in range(2, schedule.T + 1):
        x_prev, x_t = chain[t - 1], chain[t]
        log_q = log_density(x_prev, *q_posterior(x_t, x_0, t, schedule))
        mu = mu_theta(x_t, t, eps_hats[t - 1], schedule)
        log_p = log_density(x_prev, mu, sigma_squared(t, schedule, variance))
        total = total + log_q - log_p
    mu = mu_theta(chain[1], 1, eps_hats[0], schedule)
    last = log_density(x_0, mu, sigma_squared(1, schedule, variance))
    bound = sum_per_image(total - last)
    return bound


@equation("vlb.log_likelihood", "DDPM sec. 2; Burda et al. (importance weights)", errata=19)
def negative_log_likelihood(chain_bounds):
    """L = -log of the mean over chains of exp(-bound)

    -log p_theta(x_0), the integral over chains, estimated by K of them.
    chain_bounds: K values of `vlb_of_chain`, each (B,), for the same x_0  ->  (B,), nats
    The mean of the values themselves is the bound. By Jensen it is never less than this.
    """
    nll = -log_mean_exp([-bound for bound in chain_bounds])
    return nll


def log_mean_exp(values: Sequence[Any]) -> Any:
    """log of the mean of exp(value), without overflow.   values: K arrays (B,) -> (B,)."""
    xp = array_module(values[0])
    stacked = xp.stack(list(values))
    largest = stacked.max(axis=0)
    return largest + xp.log(xp.exp(stacked - largest).mean(axis=0))
