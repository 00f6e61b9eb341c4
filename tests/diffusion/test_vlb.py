import math

import numpy as np
import pytest

from minidiff.diffusion import vlb
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.gaussian import bits_per_dim, kl_gaussians, log_density
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.posterior import mu_tilde, q_posterior
from minidiff.diffusion.reverse import learned_variance, mu_theta
from minidiff.diffusion.schedule import make_schedule
from minidiff.diffusion.targets import x_0_from_eps
from minidiff.engine.random import RNG

SCHEDULE = make_schedule("linear", 20)


def any_network(x_t, t):
    """No good predictor, but a definite one."""
    return 0.3 * x_t + 0.1 * np.cos(x_t)


def exact_for_standard_normal(x_t, t):
    """x_0 ~ N(0, I) makes every x_t ~ N(0, I), so E[eps | x_t] = sqrt(1 - alpha_bar_t) x_t."""
    return np.sqrt(SCHEDULE.at(t, like=x_t).one_minus_alpha_bar) * x_t


def conditional_expectation(f, mean, variance):
    """E f(x) for x ~ N(mean, variance), exact for a quadratic f: three Gauss-Hermite nodes."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    return sum(w * f(mean + np.sqrt(variance) * z) for z, w in zip(nodes, weights, strict=True)) / weights.sum()


class GridNoise:
    """In place of an RNG: the noise is a quadrature's nodes, so an average over it is an integral."""

    def __init__(self, eps):
        self.eps = eps

    def normal(self, shape, dtype):
        return self.eps


def grid(n, m):
    """Gauss-Hermite nodes of two independent N(0, 1): (n m, 1), (n m, 1), and their probabilities (n m,)."""
    (a, p), (b, q) = (np.polynomial.hermite_e.hermegauss(k) for k in (n, m))
    first, second = (nodes.reshape(-1, 1) for nodes in np.meshgrid(a, b, indexing="ij"))
    return first, second, np.outer(p, q).ravel() / (p.sum() * q.sum())


@pytest.mark.checks("vlb.L_T")
def test_L_T_is_the_expected_log_ratio_to_the_prior(images):
    x_0, _, _ = images
    mean, variance = math.sqrt(SCHEDULE.at(20).alpha_bar) * x_0, 1 - SCHEDULE.at(20).alpha_bar
    ratio = conditional_expectation(lambda x: log_density(x, mean, variance) - log_density(x, 0.0, 1.0), mean, variance)
    np.testing.assert_allclose(vlb.L_T(x_0, SCHEDULE), ratio.reshape(3, -1).sum(axis=1), atol=1e-12)


@pytest.mark.checks("vlb.L_t_minus_1")
@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_L_t_minus_1_is_the_expected_log_ratio_of_the_two_steps(images, variance):
    x_0, _, eps = images
    for t in (2, 10, 20):
        x_t = q_sample(x_0, t, eps, SCHEDULE)
        eps_hat = any_network(x_t, t)
        mean_q, variance_q = q_posterior(x_t, x_0, t, SCHEDULE)
        mean_p, variance_p = mu_theta(x_t, t, eps_hat, SCHEDULE), SCHEDULE.tables[variance][t]
        ratio = conditional_expectation(
            lambda x, q=(mean_q, variance_q), p=(mean_p, variance_p): log_density(x, *q) - log_density(x, *p), mean_q, variance_q
        )
        L = vlb.L_t_minus_1(x_0, x_t, t, eps_hat, SCHEDULE, variance)
        np.testing.assert_allclose(L, ratio.reshape(3, -1).sum(axis=1), rtol=1e-12)


@pytest.mark.checks("vlb.L_0")
@pytest.mark.parametrize(("variance", "used"), [("beta", lambda s: s.at(1).beta), ("beta_tilde", lambda s: s.at(2).beta_tilde)])
def test_L_0_integrates_the_decoder_over_each_bin(images, variance, used):
    """The bin's probability by Gauss-Legendre quadrature of the density, which L_0 with levels=None returns."""
    x_0, _, eps = images
    x_1 = q_sample(x_0, 1, eps, SCHEDULE)
    eps_hat = any_network(x_1, 1)
    inside = np.round(np.clip(x_0, -0.9, 0.9) * 127.5 - 0.5) / 127.5 + 1 / 255  # levels of 0..255 away from the edges
    mean, sigma_squared = mu_theta(x_1, 1, eps_hat, SCHEDULE), used(SCHEDULE)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    density = [w / 255 * np.exp(log_density(inside + z / 255, mean, sigma_squared)) for z, w in zip(nodes, weights, strict=True)]
    expected = -np.log(sum(density)).reshape(3, -1).sum(axis=1)
    np.testing.assert_allclose(vlb.L_0(inside, x_1, eps_hat, SCHEDULE, variance), expected, rtol=1e-9)
    smooth = -log_density(inside, mean, sigma_squared).reshape(3, -1).sum(axis=1)
    np.testing.assert_allclose(vlb.L_0(inside, x_1, eps_hat, SCHEDULE, variance, levels=None), smooth, rtol=1e-12)


@pytest.mark.checks("vlb.total")
def test_the_bound_of_standard_normal_data_is_their_entropy():
    """Gauss-Hermite data and noise: the sum of the terms, each averaged exactly over x_0 and eps, is the entropy of N(0, 1)."""
    x_0, eps, probability = grid(3, 3)
    total = vlb.vlb(exact_for_standard_normal, x_0, SCHEDULE, GridNoise(eps), variance="beta", levels=None)
    assert (probability * total).sum() == pytest.approx(0.5 * math.log(2 * math.pi * math.e), rel=1e-12)


def test_the_walk_yields_L_T_first_and_then_every_t(rng, images):
    x_0, _, _ = images
    steps = list(vlb.vlb_steps(any_network, x_0, SCHEDULE, rng))
    assert [s.t for s in steps] == list(range(21, 0, -1))
    total = vlb.vlb(any_network, x_0, SCHEDULE, RNG(7))
    again = sum(s.L for s in vlb.vlb_steps(any_network, x_0, SCHEDULE, RNG(7)))
    np.testing.assert_allclose(total, again, rtol=1e-12)
    assert steps[0].bits == pytest.approx(bits_per_dim(vlb.L_T(x_0, SCHEDULE).mean(), 16), rel=1e-12)


def test_a_learned_variance_enters_the_bound(images):
    """At v = 1 it is beta, at v = 0 beta_tilde; in between the KL of a perfect mean is smaller than at either end somewhere."""
    x_0, _, eps = images
    x_t = q_sample(x_0, 10, eps, SCHEDULE)
    at = {v: vlb.L_t_minus_1(x_0, x_t, 10, eps, SCHEDULE, learned_variance(np.full_like(x_t, v), 10, SCHEDULE)) for v in (0.0, 1.0)}
    np.testing.assert_allclose(at[1.0], vlb.L_t_minus_1(x_0, x_t, 10, eps, SCHEDULE, "beta"), rtol=1e-9)
    np.testing.assert_allclose(at[0.0], 0, atol=1e-12)


def exact_gap(T, variance):
    """E[bound] - E[-log p] in bits for the mixture with modes +-0.8 and width 0.05, by quadrature: no sampling error."""
    schedule = make_schedule("linear", T)
    mixture = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05)
    z, eps, probability = grid(9, 25)
    x_0 = 0.8 + 0.05 * z  # the other mode is its mirror image
    bound = vlb.vlb(mixture.eps_theta(schedule), x_0, schedule, GridNoise(eps), variance, levels=None)
    return bits_per_dim((probability * (bound + mixture.log_prob(x_0))).sum(), 1)


def test_the_bound_is_above_the_true_nll_of_a_mixture_and_close_to_it():
    """Exact predictor, sigma^2 = beta: 0.065 bits over the truth at T = 1000, and closer the more steps there are.

    beta_tilde costs 0.60 bits: at small t the data are wide compared with the noise, where beta is the right limit (errata 8).
    """
    gap = exact_gap(1000, "beta")
    assert 0 < gap < 0.066
    assert exact_gap(300, "beta") == pytest.approx(0.206, abs=0.001)
    assert exact_gap(1000, "beta_tilde") == pytest.approx(0.601, abs=0.001)


def test_bits_per_dim_of_pixels_are_above_the_true_ones_and_close_to_them():
    """The discretised bound against exact bin probabilities, on 600 one-pixel images: gap within 3 standard errors of the exact 0.065."""
    schedule = make_schedule("linear", 1000)
    mixture = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05)
    x_0 = np.clip(np.round((mixture.sample(600, RNG(0)) + 1) * 127.5), 0, 255) / 127.5 - 1
    bound = vlb.vlb(mixture.eps_theta(schedule), x_0, schedule, RNG(1), "beta")
    gap = bits_per_dim(bound + mixture.log_bin_probability(x_0), 1)
    assert abs(gap.mean() - 0.065) < 3 * gap.std() / math.sqrt(600) < 0.15


def test_t_1_is_not_a_kl(images):
    x_0, _, eps = images
    with pytest.raises(ValueError, match=r"t must be in 2\.\.T = 2\.\.20, got 1"):
        vlb.L_t_minus_1(x_0, x_0, 1, eps, SCHEDULE)


def test_a_clipped_sampler_has_a_bound_of_its_own(images):
    """The mean of p_theta from x_0_hat in [-1, 1], as the sampler computes it."""
    x_0, _, _ = images
    options = {"variance": "beta", "clip": 0.5}
    step = next(s for s in vlb.vlb_steps(any_network, x_0, SCHEDULE, RNG(0), **options) if s.t == 15)
    free = any_network(step.x_t, 15)
    clipped = x_0_from_eps(step.x_t, 15, free, SCHEDULE).clip(-0.5, 0.5)
    mean = mu_tilde(step.x_t, clipped, 15, SCHEDULE)
    expected = kl_gaussians(mu_tilde(step.x_t, x_0, 15, SCHEDULE), SCHEDULE.at(15).beta_tilde, mean, SCHEDULE.at(15).beta)
    np.testing.assert_allclose(step.L, expected.reshape(3, -1).sum(axis=1), rtol=1e-10)
    assert np.abs(step.x_0_hat).max() == 0.5


@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_sigma_1_of_the_papers_changes_the_last_term_of_beta_alone(images, variance):
    x_0 = images[0]
    own, theirs = (
        list(vlb.vlb_steps(any_network, x_0, SCHEDULE, RNG(0), variance=variance, sigma_1=sigma_1))
        for sigma_1 in (None, "beta_tilde_2")
    )
    for a, b in zip(own[:-1], theirs[:-1], strict=True):
        np.testing.assert_array_equal(a.L, b.L)
    last = theirs[-1]
    expected = vlb.L_0(x_0, last.x_t, last.eps_hat, SCHEDULE, SCHEDULE.at(2).beta_tilde)
    np.testing.assert_allclose(last.L, expected, rtol=1e-12)
    assert (own[-1].L == last.L).all() == (variance == "beta_tilde")
    with pytest.raises(ValueError, match="sigma_1 must be one of None, beta_tilde_2, got 'beta_1'"):
        next(vlb.vlb_steps(any_network, x_0, SCHEDULE, RNG(0), sigma_1="beta_1"))


def test_L_0_takes_a_learned_variance_and_refuses_an_unknown_one(images):
    x_0, _, eps_hat = images
    values = learned_variance(0.3 + 0 * x_0, 1, SCHEDULE)
    for levels in (256, None):
        of_array = vlb.L_0(x_0, x_0, eps_hat, SCHEDULE, values, levels)
        of_number = vlb.L_0(x_0, x_0, eps_hat, SCHEDULE, float(values.flat[0]), levels)
        np.testing.assert_allclose(of_array, of_number, rtol=1e-12)
    with pytest.raises(ValueError, match="variance must be one of beta, beta_tilde, got 'fixedlarge'"):
        vlb.L_0(x_0, x_0, eps_hat, SCHEDULE, "fixedlarge")


def test_a_single_step_has_a_bound_with_beta_and_none_with_beta_tilde():
    """T = 1 has no beta_tilde_2. It used to give a number all the same."""
    one, x_0 = make_schedule("linear", 1), np.zeros((2, 3))
    assert np.isfinite(vlb.vlb(any_network, x_0, one, RNG(0))).all()
    for sigma_1, variance in ((None, "beta_tilde"), ("beta_tilde_2", "beta")):
        with pytest.raises(ValueError, match="T = 1 has no beta_tilde_2: take variance 'beta'"):
            vlb.vlb(any_network, x_0, one, RNG(0), variance, sigma_1=sigma_1)
    with pytest.raises(ValueError, match="T = 1 has no beta_tilde_2"):
        learned_variance(x_0, 1, one)
