import math

import numpy as np
import pytest

from minidiff.diffusion import oracle
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.engine.random import RNG

MIXTURE = GaussianMixture([3, 1, 2], [[-0.8, 0.1], [0.7, 0.4], [0.0, -0.9]], [0.05, 0.2, 0.1], labels=[0, 1, 1])
LINE = GaussianMixture([0.3, 0.7], [[-0.8], [0.8]], [0.05, 0.1])
GRID = np.linspace(-8, 8, 200_001)[:, None]


def normal(x, mean, variance):
    return math.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def quadrature(mixture, n=80):
    """Gauss-Hermite nodes of every component of a one-dimensional mixture: x_0 and weights."""
    z, p = np.polynomial.hermite_e.hermegauss(n)
    x_0 = np.concatenate([m[0] + s * z for m, s in zip(mixture.means, mixture.stds, strict=True)])
    return x_0, np.concatenate([w * p / p.sum() for w in mixture.weights])


@pytest.mark.checks("oracle.marginal")
def test_the_marginal_is_the_integral_over_all_images(linear):
    """q(x_t) = sum over quadrature nodes x_0 of q(x_t | x_0): no formula for the diffused mixture is used."""
    x_0, weight = quadrature(LINE)
    for t in (300, 1000):
        mean, variance = np.sqrt(linear.at(t).alpha_bar) * x_0, 1 - linear.at(t).alpha_bar
        for x in (-1.0, 0.2, 2.0):
            integral = sum(w * normal(x, m, variance) for m, w in zip(mean, weight, strict=True))
            assert oracle.log_marginal(np.array([[x]]), t, LINE, linear)[0] == pytest.approx(math.log(integral), rel=1e-12, abs=1e-12)


@pytest.mark.checks("oracle.marginal")
def test_the_marginal_at_t_0_is_the_data_density_in_two_dimensions(linear):
    x = np.array([[-0.75, 0.1], [0.5, 0.5]])
    parts = list(zip([1 / 2, 1 / 6, 1 / 3], MIXTURE.means, MIXTURE.stds, strict=True))
    expected = [math.log(sum(w * normal(a, m[0], s * s) * normal(b, m[1], s * s) for w, m, s in parts)) for a, b in x.tolist()]
    np.testing.assert_allclose(oracle.log_marginal(x, 0, MIXTURE, linear), expected, rtol=1e-12)
    np.testing.assert_allclose(MIXTURE.log_prob(x), expected, rtol=1e-12)


@pytest.mark.checks("oracle.eps", "oracle.score")
def test_exact_eps_is_the_conditional_mean_of_the_noise(linear):
    """E[eps | x_t] by quadrature over x_0: eps = (x_t - sqrt(abar) x_0) / sqrt(1 - abar), weighted with q(x_t | x_0)."""
    x_0, weight = quadrature(LINE)
    for t in (300, 700, 1000):
        a, b = math.sqrt(linear.at(t).alpha_bar), math.sqrt(1 - linear.at(t).alpha_bar)
        for x in (-1.0, 0.2, 2.0):
            likelihood = weight * np.exp(-((x - a * x_0) ** 2) / (2 * b * b))
            expected = (likelihood * (x - a * x_0) / b).sum() / likelihood.sum()
            assert oracle.exact_eps(np.array([[x]]), t, LINE, linear)[0, 0] == pytest.approx(expected, rel=1e-11)


@pytest.mark.checks("oracle.score")
@pytest.mark.parametrize("t", [0, 5, 500, np.array([3, 500, 1000])])
def test_the_score_is_the_gradient_of_the_log_marginal(linear, t):
    """Complex step: the imaginary part of log q(x + i h) / h is the derivative to machine precision."""
    x = np.array([[-0.7, 0.2], [0.6, 0.3], [0.1, -0.5]])
    score = oracle.exact_score(x, t, MIXTURE, linear)
    for d in range(2):
        for i in range(3):
            time = t if isinstance(t, int) else int(t[i])
            abar = linear.at(time, first=0).alpha_bar
            z = x[i].astype(complex)
            z[d] += 1e-30j
            density = 0
            for w, m, s in zip(MIXTURE.weights, MIXTURE.means, MIXTURE.stds, strict=True):
                variance = abar * s**2 + 1 - abar
                density += w / variance * np.exp(-((z - math.sqrt(abar) * m) ** 2).sum() / (2 * variance))
            assert score[i, d] == pytest.approx((np.log(density).imag / 1e-30), rel=1e-11, abs=1e-12)


@pytest.mark.checks("oracle.classifier", "oracle.classifier_gradient")
def test_the_classifier_is_bayes_rule_and_its_gradient_the_derivative(linear):
    x = np.array([[-0.3, 0.2], [0.4, 0.1]])
    for t in (0, 300, 1000):
        log_p = [oracle.log_classifier(x, t, y, MIXTURE, linear) for y in (0, 1)]
        np.testing.assert_allclose(np.exp(log_p[0]) + np.exp(log_p[1]), 1, rtol=1e-12)
        of_class = oracle.log_marginal(x, t, MIXTURE.of_class(1), linear) + math.log(0.5)
        np.testing.assert_allclose(log_p[1], of_class - oracle.log_marginal(x, t, MIXTURE, linear), rtol=1e-10, atol=1e-12)
        gradient = oracle.classifier_gradient(x, t, 1, MIXTURE, linear)
        h = 1e-5
        for d in range(2):
            shift = h * np.eye(2)[d]
            right, left = (oracle.log_classifier(x + sign * shift, t, 1, MIXTURE, linear) for sign in (1, -1))
            np.testing.assert_allclose(gradient[:, d], (right - left) / (2 * h), rtol=1e-5, atol=1e-6)


def test_samples_follow_the_mixture():
    x = MIXTURE.sample(100_000, RNG(0))
    assert x.shape == (100_000, 2)
    expected = (MIXTURE.weights[:, None] * MIXTURE.means).sum(axis=0)
    np.testing.assert_allclose(x.mean(axis=0), expected, atol=0.01)
    second = (MIXTURE.weights[:, None] * (MIXTURE.means**2 + MIXTURE.stds[:, None] ** 2)).sum(axis=0)
    np.testing.assert_allclose((x**2).mean(axis=0), second, atol=0.01)


def test_it_works_on_images_of_any_shape_and_keeps_float32(linear):
    means = np.stack([np.full((1, 3, 3), v) for v in (-1.0, 1.0)])
    mixture = GaussianMixture([1, 1], means, 0.0)
    t = np.array([1, 1000])
    x_t = q_sample(means.astype(np.float32), t, RNG(0).normal((2, 1, 3, 3)), linear)
    eps = mixture.eps_theta(linear)(x_t, t)
    assert eps.shape == (2, 1, 3, 3) and eps.dtype == np.float32
    flat = GaussianMixture([1, 1], means.reshape(2, 9), 0.0).eps_theta(linear)(x_t.reshape(2, 9), t)
    np.testing.assert_array_equal(eps.reshape(2, 9), flat)


def test_bin_probabilities_of_all_levels_sum_to_one():
    levels = (np.arange(256) / 127.5 - 1)[:, None]
    assert np.exp(LINE.log_bin_probability(levels)).sum() == pytest.approx(1, abs=1e-12)


def test_wrong_mixtures_and_points_are_named(linear):
    with pytest.raises(ValueError, match=r"must be \(K,\), \(K, ...\) and \(K,\), got \(3,\), \(2, 1\) and \(2,\)"):
        GaussianMixture([1, 1, 1], [[0.0], [1.0]], 0.1)
    with pytest.raises(ValueError, match="weights must be > 0 and stds >= 0"):
        GaussianMixture([1, 0], [[0.0], [1.0]], 0.1)
    with pytest.raises(ValueError, match=r"no component has the label 7; labels are \[0, 1\]"):
        MIXTURE.of_class(7)
    with pytest.raises(ValueError, match=r"x_t must be \(B, 2\) like the mixture's means, got \(1, 3\)"):
        oracle.exact_eps(np.zeros((1, 3)), 5, MIXTURE, linear)


def test_the_repr_shows_small_mixtures_whole_and_images_by_their_number():
    small = repr(GaussianMixture([0.7, 0.3], [[-0.8, 0.2], [0.8, -0.2]], 0.05))
    assert small == "GaussianMixture(0.7 N([-0.8, 0.2], 0.05^2) + 0.3 N([0.8, -0.2], 0.05^2))"
    images = repr(GaussianMixture(np.ones(9), np.zeros((9, 1, 8, 8)), 0.1))
    assert images == "GaussianMixture(9 components of shape (1, 8, 8), std 0.1..0.1)"


def test_a_point_has_no_density_but_every_noisy_time_has(linear):
    point = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], [0.0, 0.1])
    x = np.zeros((2, 1))
    with pytest.raises(ValueError, match="a component with std 0 has no density at t = 0"):
        point.log_prob(x)
    with pytest.raises(ValueError, match="a component with std 0 has no density at t = 0"):
        oracle.log_marginal(x, np.array([0, 3]), point, linear)
    assert np.isfinite(oracle.log_marginal(x, 1, point, linear)).all()
    assert np.isfinite(point.eps_theta(linear)(x, np.array([1, 1000]))).all()


def test_what_is_no_array_is_named(linear):
    with pytest.raises(TypeError, match="oracle: x_t must be an array, got tuple"):
        LINE.log_prob((0.1, 0.2))
