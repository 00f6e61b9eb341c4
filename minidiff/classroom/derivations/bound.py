"""Slides 12 and 13, line by line: the bound on -log p_theta(x_0) on one chain.

Each line of the derivation is a function. On one chain x_0, ..., x_T all return the same
number. The slides' E_q[...] is its mean over many chains that `forward_steps` draws.
"""

from __future__ import annotations

from math import prod
from typing import Any

from minidiff.diffusion.equation import equation
from minidiff.diffusion.forward import q_mean_variance
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.posterior import q_posterior
from minidiff.diffusion.reverse import likelihood_variance, mu_theta
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.elementwise import exp, log, sqrt, sum_per_image


class Chain:
    """x_0, ..., x_T and the log-densities, (B,), in nats, of which the lines are made.

    x: T + 1 arrays (B, ...); eps_hats: eps_theta(x_t, t) for t = 1..T;
    variance: sigma_t^2 of p_theta, see `likelihood_variance`. `chain[t]` is x_t.
    Raises: ValueError unless there are T + 1 arrays x and T eps_hats."""

    def __init__(self, x: Any, eps_hats: Any, schedule: Schedule, variance="beta"):
        if len(x) != schedule.T + 1 or len(eps_hats) != schedule.T:
            got = f"{len(x)} arrays and {len(eps_hats)}"
            raise ValueError(
                f"Chain: wanted x_0..x_T and T noises for T = {schedule.T}, got {got}"
            )
        self.x, self.eps_hats, self.T = x, eps_hats, schedule.T
        self.schedule, self.variance = schedule, variance

    def __getitem__(self, t: int) -> Any:
        return self.x[t]

    def __repr__(self) -> str:
        return f"Chain(x_0..x_{self.T}, each {tuple(self.x[0].shape)})"

    def log_q(self, t: int) -> Any:
        """log q(x_t | x_{t-1})"""
        now = self.schedule.at(t)
        return log_normal(self[t], sqrt(now.alpha) * self[t - 1], now.beta)

    def log_q_given_x_0(self, t: int) -> Any:
        """log q(x_t | x_0)"""
        return log_normal(self[t], *q_mean_variance(self[0], t, self.schedule))

    def log_posterior(self, t: int) -> Any:
        """log q(x_{t-1} | x_t, x_0), for t >= 2"""
        return log_normal(self[t - 1], *q_posterior(self[t], self[0], t, self.schedule))

    def log_p(self, t: int) -> Any:
        """log p_theta(x_{t-1} | x_t)"""
        mean = mu_theta(self[t], t, self.eps_hats[t - 1], self.schedule)
        variance = likelihood_variance(t, self.schedule, self.variance)
        return log_normal(self[t - 1], mean, variance)

    def log_p_T(self) -> Any:
        """log p(x_T)"""
        return log_normal(self[self.T], 0.0, 1.0)


def log_normal(x: Any, mean: Any, variance: Any) -> Any:
    """log N(x; mean, variance I) of each image.   x: (B, ...)  ->  (B,), nats"""
    return sum_per_image(log_density(x, mean, variance))


@equation("forward.q_chain", "DDPM eq. 2")
def log_q_chain(chain, schedule):
    """log q(x_{1:T} | x_0) = sum over t of log q(x_t | x_{t-1})

    chain: x_0, x_1, ..., x_T, each (B, ...)  ->  (B,), nats"""
    total = 0.0
    for t in range(1, schedule.T + 1):
        now = schedule.at(t)
        mean = sqrt(1 - now.beta) * chain[t - 1]
        log_q = log_density(chain[t], mean, now.beta)
        total = total + sum_per_image(log_q)
    return total


@equation("reverse.p_chain", "DDPM eq. 1", errata=20)
def log_p_chain(chain):
    """log p_theta(x_{0:T}) = log p(x_T) + sum over t > 0 of log p_theta(x_{t-1} | x_t)"""
    steps = sum(chain.log_p(t) for t in range(1, chain.T + 1))
    log_p = chain.log_p_T() + steps
    return log_p


@equation("vlb.with_kl", "DDPM eq. 3", errata=19)
def with_kl(chain, log_p_x_0, log_p_latents):
    """bound = -log p_theta(x_0) + log (q(x_{1:T} | x_0) / p_theta(x_{1:T} | x_0))

    The mean of the second term is the KL divergence, which is never negative.
    chain: Chain; log_p_x_0: log p_theta(x_0); log_p_latents: log p_theta(x_{1:T} | x_0)
    ->  (B,), nats"""
    log_ratio = log_q_chain(chain, chain.schedule) - log_p_latents
    bound = -log_p_x_0 + log_ratio
    return bound


@equation("vlb.kl_written_out", "DDPM eq. 3")
def kl_written_out(chain, log_p_x_0):
    """bound = -log p_theta(x_0)
            + log (q(x_{1:T} | x_0) / (p_theta(x_{0:T}) / p_theta(x_0)))

    chain: Chain; log_p_x_0: log p_theta(x_0)  ->  (B,), nats"""
    log_p_latents = log_p_chain(chain) - log_p_x_0  # Bayes
    log_ratio = log_q_chain(chain, chain.schedule) - log_p_latents
    bound = -log_p_x_0 + log_ratio
    return bound


@equation("vlb.evidence_taken_out", "DDPM eq. 3")
def evidence_taken_out(chain, log_p_x_0):
    """bound = -log p_theta(x_0)
            + [log (q(x_{1:T} | x_0) / p_theta(x_{0:T})) + log p_theta(x_0)]

    chain: Chain; log_p_x_0: log p_theta(x_0), which cancels  ->  (B,), nats"""
    log_ratio = log_q_chain(chain, chain.schedule) - log_p_chain(chain)
    bound = -log_p_x_0 + (log_ratio + log_p_x_0)
    return bound


@equation("vlb.of_chain", "DDPM app. A")
def vlb_of_chain(chain):
    """bound = log (q(x_{1:T} | x_0) / p_theta(x_{0:T}))

    Its mean over chains is L_VLB. p_theta(x_0 | x_1) is the density.
    chain: Chain  ->  (B,), nats"""
    bound = log_q_chain(chain, chain.schedule) - log_p_chain(chain)
    return bound


@equation("vlb.two_products", "DDPM app. A")
def two_products(chain):
    """bound = log (prod q(x_t | x_{t-1}) / (p(x_T) prod p_theta(x_{t-1} | x_t)))

    Products of densities overflow for images: hence the next line.
    chain: Chain  ->  (B,), nats"""
    times = range(1, chain.T + 1)
    numerator = prod(exp(chain.log_q(t)) for t in times)
    denominator = exp(chain.log_p_T()) * prod(exp(chain.log_p(t)) for t in times)
    bound = log(numerator / denominator)
    return bound


@equation("vlb.sum_of_logarithms", "DDPM app. A")
def sum_of_logarithms(chain):
    """bound = -log p(x_T)
            + sum over t > 0 of log (q(x_t | x_{t-1}) / p_theta(x_{t-1} | x_t))

    chain: Chain  ->  (B,), nats"""
    steps = sum(chain.log_q(t) - chain.log_p(t) for t in range(1, chain.T + 1))
    bound = -chain.log_p_T() + steps
    return bound


@equation("vlb.t_1_apart", "DDPM app. A")
def t_1_apart(chain):
    """bound = -log p(x_T)
            + sum over t > 1 of log (q(x_t | x_{t-1}) / p_theta(x_{t-1} | x_t))
            + log (q(x_1 | x_0) / p_theta(x_0 | x_1))

    chain: Chain  ->  (B,), nats"""
    steps = sum(chain.log_q(t) - chain.log_p(t) for t in range(2, chain.T + 1))
    first = chain.log_q(1) - chain.log_p(1)
    bound = -chain.log_p_T() + steps + first
    return bound


@equation("vlb.bayes_in_every_term", "DDPM app. A")
def bayes_in_every_term(chain):
    """bound = -log p(x_T)
            + sum over t > 1 of log (q(x_{t-1} | x_t, x_0) / p_theta(x_{t-1} | x_t)
                                     q(x_t | x_0) / q(x_{t-1} | x_0))
            + log (q(x_1 | x_0) / p_theta(x_0 | x_1))

    chain: Chain  ->  (B,), nats"""
    steps = 0.0
    for t in range(2, chain.T + 1):
        marginals = chain.log_q_given_x_0(t) - chain.log_q_given_x_0(t - 1)
        log_q = chain.log_posterior(t) + marginals  # Bayes: this is log q(x_t | x_{t-1})
        steps = steps + log_q - chain.log_p(t)
    first = chain.log_q(1) - chain.log_p(1)
    bound = -chain.log_p_T() + steps + first
    return bound


@equation("vlb.two_sums", "DDPM app. A")
def two_sums(chain):
    """bound = -log p(x_T)
            + sum over t > 1 of log (q(x_{t-1} | x_t, x_0) / p_theta(x_{t-1} | x_t))
            + sum over t > 1 of log (q(x_t | x_0) / q(x_{t-1} | x_0))
            + log (q(x_1 | x_0) / p_theta(x_0 | x_1))

    chain: Chain  ->  (B,), nats"""
    times = range(2, chain.T + 1)
    steps = sum(chain.log_posterior(t) - chain.log_p(t) for t in times)
    q = chain.log_q_given_x_0
    marginals = sum(q(t) - q(t - 1) for t in times)
    first = chain.log_q(1) - chain.log_p(1)
    bound = -chain.log_p_T() + steps + marginals + first
    return bound


@equation("vlb.telescoped", "DDPM app. A")
def telescoped(chain):
    """bound = -log p(x_T)
            + sum over t > 1 of log (q(x_{t-1} | x_t, x_0) / p_theta(x_{t-1} | x_t))
            + log (q(x_T | x_0) / q(x_1 | x_0)) + log (q(x_1 | x_0) / p_theta(x_0 | x_1))

    chain: Chain  ->  (B,), nats"""
    steps = sum(chain.log_posterior(t) - chain.log_p(t) for t in range(2, chain.T + 1))
    marginals = chain.log_q_given_x_0(chain.T) - chain.log_q_given_x_0(1)
    first = chain.log_q(1) - chain.log_p(1)
    bound = -chain.log_p_T() + steps + marginals + first
    return bound


@equation("vlb.of_chain_by_posterior", "DDPM app. A")
def vlb_of_chain_by_posterior(chain):
    """bound = log (q(x_T | x_0) / p(x_T)) - log p_theta(x_0 | x_1)
            + sum over t > 1 of log (q(x_{t-1} | x_t, x_0) / p_theta(x_{t-1} | x_t))

    q(x_1 | x_0) has cancelled. The terms' means are L_T, L_0, L_{t-1}.   chain: Chain"""
    end = chain.log_q_given_x_0(chain.T) - chain.log_p_T()
    steps = sum(chain.log_posterior(t) - chain.log_p(t) for t in range(2, chain.T + 1))
    bound = end + steps - chain.log_p(1)
    return bound
