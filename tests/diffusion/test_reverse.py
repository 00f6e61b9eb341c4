import math

import numpy as np
import pytest

from minidiff.classroom.derivations.removed_fraction import removed_fraction
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.posterior import mu_tilde
from minidiff.diffusion.reverse import (
    learned_variance,
    mu_theta,
    p_step,
    sigma_squared,
)
from minidiff.diffusion.targets import x_0_from_eps


@pytest.mark.checks("reverse.mu_theta")
@pytest.mark.parametrize("t", [1, 2, 500, 1000, np.array([1, 37, 1000])])
def test_mu_theta_is_the_posterior_mean_at_the_predicted_image(linear, images, t):
    x_t, _, eps_hat = images
    x_0_hat = x_0_from_eps(x_t, t, eps_hat, linear)
    expected = mu_tilde(x_t, x_0_hat, t, linear)
    np.testing.assert_allclose(mu_theta(x_t, t, eps_hat, linear), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.checks("reverse.sigma_squared")
def test_the_two_variances_are_the_limits_of_the_reverse_variance(linear):
    """x_0 ~ N(0, I): the joint Gaussian of x_{t-1}, x_t gives beta. x_0 a point: it gives beta_tilde. Conditioning formula both times."""
    for t in (2, 10, 500, 1000):
        alpha, beta = linear.at(t).alpha, linear.at(t).beta
        for name, prior_variance in (("beta", 1.0), ("beta_tilde", 1 - linear.at(t - 1).alpha_bar)):
            covariance = math.sqrt(alpha) * prior_variance
            variance_x_t = alpha * prior_variance + beta
            conditional = prior_variance - covariance**2 / variance_x_t
            assert sigma_squared(t, linear, name) == pytest.approx(conditional, rel=1e-10)
    assert sigma_squared(1, linear, "beta_tilde") == 0
    with pytest.raises(ValueError, match="variance must be one of beta, beta_tilde, got 'fixedsmall'"):
        sigma_squared(1, linear, "fixedsmall")


@pytest.mark.checks("reverse.learned_variance")
def test_learned_variance_is_the_geometric_mean_with_weights_v(linear):
    v = np.array([[0.0], [1.0], [0.25]])
    for t in (2, 500):
        beta, beta_tilde = linear.at(t).beta, linear.at(t).beta_tilde
        expected = [beta_tilde, beta, beta**0.25 * beta_tilde**0.75]
        np.testing.assert_allclose(learned_variance(v, t, linear).ravel(), expected, rtol=1e-12)
    batch = learned_variance(v, np.array([1, 2, 500]), linear).ravel()
    np.testing.assert_allclose(batch[:2], [linear.at(2).beta_tilde, linear.at(2).beta], rtol=1e-12)
    np.testing.assert_allclose(learned_variance(v, 1, linear).ravel()[0], linear.at(2).beta_tilde, rtol=1e-12)


@pytest.mark.checks("reverse.p_step")
def test_p_step_is_a_line_in_z_through_mu_with_slope_sigma(linear, images):
    x_t, _, eps_hat = images
    z = np.ones_like(x_t)
    for variance in ("beta", "beta_tilde"):
        for t in (1, 2, 1000):
            mu = mu_theta(x_t, t, eps_hat, linear)
            sigma_t = math.sqrt(sigma_squared(t, linear, variance))
            without = p_step(mu, sigma_t, 0 * z)
            alpha, alpha_bar = linear.at(t).alpha, linear.at(t).alpha_bar
            expected = x_t / math.sqrt(alpha) - (1 - alpha) / math.sqrt(alpha * (1 - alpha_bar)) * eps_hat
            np.testing.assert_allclose(without, expected, rtol=1e-10, atol=1e-12)
            slope = p_step(mu, sigma_t, z) - without
            np.testing.assert_allclose(slope, math.sqrt(getattr(linear.at(t), variance)), rtol=1e-9, atol=1e-15)


@pytest.mark.checks("reverse.removed_fraction")
def test_removed_fraction_against_the_noise_left_in_the_mean(linear, images):
    """For the true eps, sqrt(alpha_t) mu contains (1 - fraction) of the noise that x_t contained."""
    x_0, _, eps = images
    for t in (1, 2, 10, 500, 1000):
        x_t = q_sample(0 * x_0, t, eps, linear)
        left = math.sqrt(linear.at(t).alpha) * mu_theta(x_t, t, eps, linear)
        np.testing.assert_allclose(left, (1 - removed_fraction(t, linear)) * x_t, rtol=1e-12, atol=1e-12)
    fractions = [removed_fraction(t, linear) for t in (1, 2, 10, 500, 1000)]
    np.testing.assert_allclose(fractions, [1, 0.545, 0.147, 0.0109, 0.0200], rtol=5e-3)
