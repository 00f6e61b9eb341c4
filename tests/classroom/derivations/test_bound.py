"""Slides 12 and 13: every line is the same number on the same chain."""

import math

import numpy as np
import pytest

from minidiff.classroom.derivations import bound
from minidiff.classroom.derivations.bound import Chain, log_q_chain
from minidiff.diffusion.forward import forward_steps, q_mean_variance
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.posterior import q_posterior
from minidiff.diffusion.reverse import beta_tilde_clipped
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG

SCHEDULE = make_schedule("linear", 8)

SLIDE_13 = {
    "vlb.of_chain": bound.vlb_of_chain,
    "vlb.two_products": bound.two_products,
    "vlb.sum_of_logarithms": bound.sum_of_logarithms,
    "vlb.t_1_apart": bound.t_1_apart,
    "vlb.bayes_in_every_term": bound.bayes_in_every_term,
    "vlb.two_sums": bound.two_sums,
    "vlb.telescoped": bound.telescoped,
    "vlb.of_chain_by_posterior": bound.vlb_of_chain_by_posterior,
}


def slope(t):
    """A linear network: eps_theta(x_t, t) = slope(t) x_t."""
    return 0.3 + 0.05 * t


def chain_from(x, variance="beta"):
    return Chain(x, [slope(t) * x[t] for t in range(1, SCHEDULE.T + 1)], SCHEDULE, variance)


@pytest.fixture
def chain(rng):
    x_0 = rng.normal((5, 2, 3), dtype=np.float64)
    return [x_0, *(step.x_t for step in forward_steps(x_0, SCHEDULE, rng))]


def precision_of_the_model(variance="beta"):
    """Precision matrix of one coordinate of (x_0, ..., x_T) under the linear model, which is Gaussian.

    -2 log p = x_T^2 + sum over t of (x_{t-1} - a_t x_t)^2 / sigma_t^2, up to a constant.
    """
    T, precision = SCHEDULE.T, np.zeros((SCHEDULE.T + 1, SCHEDULE.T + 1))
    precision[T, T] = 1
    for t in range(1, T + 1):
        beta, alpha_bar = SCHEDULE.at(t).beta, math.prod(1 - SCHEDULE.tables["beta"][1 : t + 1])
        a = (1 - beta / math.sqrt(1 - alpha_bar) * slope(t)) / math.sqrt(1 - beta)
        sigma_squared = beta if variance == "beta" else SCHEDULE.at(max(t, 2)).beta_tilde
        row = np.zeros(T + 1)
        row[t - 1], row[t] = 1, -a
        precision += np.outer(row, row) / sigma_squared
    return precision


def log_normal(x, mean, precision):
    """log N(x; mean, precision^-1) of vectors x: (T', ...), coordinate by coordinate -> (...)."""
    d = x - mean
    distance = np.einsum("i...,ij,j...->...", d, precision, d)
    return 0.5 * (np.linalg.slogdet(precision / (2 * math.pi))[1] - distance)


def evidence_and_latents(x, variance="beta"):
    """log p_theta(x_0) and log p_theta(x_{1:T} | x_0) by the rules for marginals and conditionals of a Gaussian."""
    x, precision = np.stack(x), precision_of_the_model(variance)
    inner = precision[1:, 1:]
    mean = -np.einsum("ij,j,...->i...", np.linalg.inv(inner), precision[1:, 0], x[0])
    marginal = precision[:1, :1] - precision[:1, 1:] @ np.linalg.inv(inner) @ precision[1:, :1]
    of_x_0, of_latents = log_normal(x[:1], 0.0, marginal), log_normal(x[1:], mean, inner)
    return (log_p.reshape(len(x[0]), -1).sum(axis=1) for log_p in (of_x_0, of_latents))


@pytest.mark.checks(
    "vlb.of_chain",
    "vlb.two_products",
    "vlb.sum_of_logarithms",
    "vlb.t_1_apart",
    "vlb.bayes_in_every_term",
    "vlb.two_sums",
    "vlb.telescoped",
    "vlb.of_chain_by_posterior",
    "reverse.p_chain",
)
@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_every_line_of_slide_13_is_the_same_number(chain, variance):
    """All against log q(x_{1:T} | x_0) - log p_theta(x_{0:T}) from two precision matrices: no line is its own witness."""
    c = chain_from(chain, variance)
    log_p = log_normal(np.stack(chain), 0.0, precision_of_the_model(variance))
    forward = np.zeros((SCHEDULE.T, SCHEDULE.T + 1))
    for t in range(1, SCHEDULE.T + 1):
        forward[t - 1, t - 1], forward[t - 1, t] = -math.sqrt(1 - SCHEDULE.at(t).beta), 1
    noise = np.einsum("ij,j...->i...", forward, np.stack(chain))
    log_q = log_normal(noise, 0.0, np.diag(1 / SCHEDULE.tables["beta"][1:]))
    expected = (log_q - log_p).reshape(5, -1).sum(axis=1)
    np.testing.assert_allclose(bound.log_p_chain(c), log_p.reshape(5, -1).sum(axis=1), rtol=1e-12)
    for id, line in SLIDE_13.items():
        np.testing.assert_allclose(line(c), expected, rtol=1e-12, err_msg=id)


@pytest.mark.checks("vlb.with_kl", "vlb.kl_written_out", "vlb.evidence_taken_out")
@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_every_line_of_slide_12_is_the_same_number(chain, variance):
    """p_theta(x_0) and p_theta(x_{1:T} | x_0) of the linear model are known: the first line uses them, the last neither."""
    c = chain_from(chain, variance)
    log_p_x_0, log_p_latents = evidence_and_latents(chain, variance)
    last = bound.vlb_of_chain(c)
    np.testing.assert_allclose(bound.with_kl(c, log_p_x_0, log_p_latents), last, rtol=1e-12)
    np.testing.assert_allclose(bound.kl_written_out(c, log_p_x_0), last, rtol=1e-12)
    np.testing.assert_allclose(bound.evidence_taken_out(c, log_p_x_0), last, rtol=1e-12)


@pytest.mark.checks("vlb.with_kl")
def test_the_mean_over_chains_is_above_the_evidence_by_a_kl_divergence():
    """The value is quadratic in x_{1:T}, so 2 T + 1 points give its mean exactly. The KL is that of two Gaussians."""
    T, x_0 = SCHEDULE.T, 0.7
    steps = np.zeros((T, T))  # x_{1:T} = mean + steps @ noise
    mean = x_0 * np.sqrt(np.cumprod(1 - SCHEDULE.tables["beta"][1:]))
    for t in range(T):
        steps[t] = np.sqrt(1 - SCHEDULE.at(t + 1).beta) * (steps[t - 1] if t else 0)
        steps[t, t] = math.sqrt(SCHEDULE.at(t + 1).beta)
    points = np.concatenate([[mean], mean + steps.T, mean - steps.T])
    chain = [np.full((2 * T + 1, 1), x_0), *points.T[:, :, None]]
    log_p_x_0, log_p_latents = evidence_and_latents(chain)
    value = bound.with_kl(chain_from(chain), log_p_x_0, log_p_latents)
    expected_value = value[0] + 0.5 * (value[1:] - value[0]).sum()

    inner = precision_of_the_model()[1:, 1:]
    mean_p = -np.linalg.solve(inner, precision_of_the_model()[1:, 0] * x_0)
    covariance_q = steps @ steps.T
    shift = (mean - mean_p) @ inner @ (mean - mean_p)
    logdet = np.linalg.slogdet(inner @ covariance_q)[1]
    kl = 0.5 * (np.trace(inner @ covariance_q) - T - logdet + shift)
    assert kl > 0.1
    assert expected_value == pytest.approx(-log_p_x_0[0] + kl, rel=1e-12)


@pytest.mark.checks("reverse.beta_tilde_clipped")
def test_beta_tilde_clipped_differs_from_beta_tilde_at_t_1_only():
    table = SCHEDULE.tables["beta_tilde"]
    expected = [table[2], *table[2:]]
    assert [beta_tilde_clipped(t, SCHEDULE) for t in range(1, 9)] == expected
    batch = beta_tilde_clipped(np.arange(1, 9), SCHEDULE, like=np.zeros((8, 2)))
    np.testing.assert_array_equal(batch[:, 0], expected)


def test_a_single_step_has_no_beta_tilde(rng):
    one = make_schedule("linear", 1)
    x = [np.ones((2, 3)), np.zeros((2, 3))]
    with pytest.raises(ValueError, match="T = 1 has no beta_tilde_2: take variance 'beta'"):
        bound.vlb_of_chain(Chain(x, x[1:], one, "beta_tilde"))
    assert np.isfinite(bound.vlb_of_chain(Chain(x, x[1:], one))).all()


def test_a_chain_of_another_length_is_refused(chain):
    with pytest.raises(ValueError, match=r"wanted x_0\.\.x_T and T noises for T = 8, got 8 arrays and 8"):
        Chain(chain[1:], chain[1:], SCHEDULE)
    assert repr(chain_from(chain)) == "Chain(x_0..x_8, each (5, 2, 3))"


def test_products_of_densities_overflow_where_sums_of_logarithms_do_not():
    """What the slide's third line is for: an image of 28 x 28 pixels."""
    rng = RNG(0)
    x_0 = rng.normal((1, 784), dtype=np.float64)
    c = chain_from([x_0, *(step.x_t for step in forward_steps(x_0, SCHEDULE, rng))])
    with np.errstate(all="ignore"):
        assert not np.isfinite(bound.two_products(c)).all()
    assert np.isfinite(bound.sum_of_logarithms(c)).all()


@pytest.mark.checks("forward.q_chain")
def test_the_chain_s_density_backwards_through_bayes(rng):
    """q(x_1..x_T | x_0) = q(x_T | x_0) times the posteriors, from T down to 2: the same density factored the other way."""
    schedule = make_schedule("linear", 15)
    x_0 = rng.normal((3, 2), dtype=np.float64)
    chain = [x_0, *(step.x_t for step in forward_steps(x_0, schedule, rng))]
    backwards = log_density(chain[15], *q_mean_variance(x_0, 15, schedule))
    for t in range(2, 16):
        backwards = backwards + log_density(chain[t - 1], *q_posterior(chain[t], x_0, t, schedule))
    np.testing.assert_allclose(log_q_chain(chain, schedule), backwards.sum(axis=1), rtol=1e-11)
