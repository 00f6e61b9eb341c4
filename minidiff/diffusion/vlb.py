"""The variational bound on -log p_theta(x_0), term by term, in nats per image.

`vlb_steps` walks T..1. `classroom/derivations/bound.py` derives the terms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidiff.diffusion import gaussian
from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_mean_variance, q_sample
from minidiff.diffusion.noise_prediction import EpsTheta, clip_x_0, predict
from minidiff.diffusion.posterior import q_posterior
from minidiff.diffusion.reverse import learned_variance, likelihood_variance, mu_theta
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.checks import check_choice
from minidiff.engine.elementwise import sum_per_image
from minidiff.engine.random import RNG


@equation("vlb.L_T", "DDPM eq. 5", errata=(12, 20))
def L_T(x_0, schedule):
    """L_T = KL(q(x_T | x_0) || N(0, I))

    How far x_T is from the prior: nothing to learn, but not zero.
    x_0: (B, ...)  ->  (B,), nats"""
    mean, variance = q_mean_variance(x_0, schedule.T, schedule)
    L = sum_per_image(gaussian.kl_gaussians(mean, variance, 0.0, 1.0))
    return L


@equation("vlb.L_t_minus_1", "DDPM eq. 5", errata=(10, 14))
def L_t_minus_1(x_0, x_t, t, eps_hat, schedule, variance="beta"):
    """L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p_theta(x_{t-1} | x_t))

    x_0, x_t, eps_hat: (B, ...);  t: int or (B,) in 2..T  ->  (B,), nats
    variance: "beta", "beta_tilde", or an array of learned variances.
    Raises: ValueError at t = 1, which belongs to L_0."""
    schedule.index(t, first=2)
    mean_q, variance_q = q_posterior(x_t, x_0, t, schedule)
    mean_p = mu_theta(x_t, t, eps_hat, schedule)
    variance_p = likelihood_variance(t, schedule, variance, like=x_t)
    kl = gaussian.kl_gaussians(mean_q, variance_q, mean_p, variance_p)
    L = sum_per_image(kl)
    return L


@equation("vlb.L_0", "DDPM eq. 13", errata=(11, 13))
def L_0(x_0, x_1, eps_hat, schedule, variance="beta", levels=256):
    """L_0 = -log p_theta(x_0 | x_1)

    Cost of the last step, to the pixels.   x_0, x_1, eps_hat: (B, ...)  ->  (B,), nats
    variance: as for `L_t_minus_1`; "beta_tilde" takes beta_tilde_2 for beta_tilde_1 = 0;
    levels: 256 counts the probability of each pixel's bin, None the density at x_0."""
    mean = mu_theta(x_1, 1, eps_hat, schedule)
    variance_p = likelihood_variance(1, schedule, variance)
    if levels is None:
        log_p = gaussian.log_density(x_0, mean, variance_p)
    else:
        log_p = gaussian.discretised_log_probability(x_0, mean, variance_p, levels)
    L = sum_per_image(-log_p)
    return L


def vlb_steps(
    eps_theta: EpsTheta, x_0: Any, schedule: Schedule, rng: RNG, *,
    variance: str = "beta", levels: int | None = 256, clip: float | None = None,
    sigma_1: str | None = None,
) -> Iterator[Step]:  # fmt: skip
    """Every term of the bound, L_T first, then t = T..1 (L_{t-1}).   x_0: (B, ...).

    variance ("learned", too), clip: those of the sampler whose model is measured;
    levels: as for `L_0`; sigma_1: None, or "beta_tilde_2" for sigma_1^2 = beta_tilde_2
    with every variance. The code of DDPM and of improved DDPM does that also for "beta",
    as the narrower last step mostly makes L_0 smaller. Take it to compare bits/dim with
    the papers' numbers.
    Each t has a fresh x_t ~ q(x_t | x_0). The `Step` at t has `L` (nats per image, (B,))
    and `bits` (its mean in bits/dim); L_T comes with t = T + 1.
    Raises: ValueError for another sigma_1."""
    check_choice("vlb_steps", "sigma_1", sigma_1, (None, "beta_tilde_2"))
    D, L = x_0[0].size, L_T(x_0, schedule)
    bits = gaussian.bits_per_dim(float(L.mean()), D)
    yield Step("vlb", schedule.T + 1, x_0=x_0, L=L, bits=bits)
    for t in range(schedule.T, 0, -1):
        eps = rng.normal(x_0.shape, dtype=x_0.dtype)
        x_t = q_sample(x_0, t, eps, schedule)
        eps_hat, v = predict(eps_theta, x_t, t, variance)
        x_0_hat, eps_hat = clip_x_0(x_t, t, eps_hat, schedule, clip)
        of_t = variance if v is None else learned_variance(v, t, schedule)
        if t > 1:
            L = L_t_minus_1(x_0, x_t, t, eps_hat, schedule, of_t)
        else:
            of_t = "beta_tilde" if sigma_1 else of_t  # L_0 takes its beta_tilde_2
            L = L_0(x_0, x_t, eps_hat, schedule, of_t, levels)
        terms = {"x_t": x_t, "eps_hat": eps_hat, "x_0_hat": x_0_hat, "L": L}
        bits = gaussian.bits_per_dim(float(L.mean()), D)
        yield Step("vlb", t, x_0=x_0, eps=eps, **terms, bits=bits)


@equation("vlb.total", "DDPM eq. 5", errata=(10, 13))
def vlb(eps_theta, x_0, schedule, rng, variance="beta", **options):
    """L_VLB = L_T + sum over t > 1 of L_{t-1} + L_0

    An estimate with one x_t for each t.   x_0: (B, ...)  ->  (B,), nats per image
    variance, options: as for `vlb_steps`"""
    total = 0.0
    for step in vlb_steps(eps_theta, x_0, schedule, rng, variance=variance, **options):
        total = total + step.L
    return total
