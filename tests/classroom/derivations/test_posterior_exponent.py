"""Slide 8: every line of the derivation is the same exponent, and ends in mu_tilde and beta_tilde."""

import numpy as np
import pytest

from minidiff.classroom.derivations import posterior_exponent
from minidiff.diffusion import posterior
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.schedule import make_schedule

TIMES = [2, 3, 37, 500, 1000, np.array([2, 37, 1000])]


@pytest.fixture
def points(linear, images, rng):
    x_0, _, eps = images
    return x_0, eps, rng.normal(x_0.shape, dtype=np.float64)


def _close(actual, expected):
    """To 1e-12 of the larger terms that cancel in it."""
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


@pytest.mark.checks("posterior.bayes", "posterior.expanded", "posterior.collected", "posterior.precision", "posterior.pull")
@pytest.mark.parametrize("t", TIMES)
def test_every_line_of_the_slide_is_the_same_number(linear, points, t):
    x_0, eps, x_prev = points
    x_t = q_sample(x_0, t, eps, linear)
    by_bayes = posterior_exponent.exponent_by_bayes(x_prev, x_t, x_0, t, linear)
    large = 1e-12 * np.abs(x_t**2 / linear.at(t, like=x_t).beta).max()  # the squares that cancel
    np.testing.assert_allclose(posterior_exponent.exponent_expanded(x_prev, x_t, x_0, t, linear), by_bayes, rtol=1e-12, atol=large)
    np.testing.assert_allclose(posterior_exponent.exponent_collected(x_prev, x_t, x_0, t, linear), by_bayes, rtol=1e-12, atol=large)


@pytest.mark.checks("posterior.bayes", "posterior.q_posterior", "posterior.mu_tilde", "posterior.beta_tilde")
@pytest.mark.parametrize("t", TIMES)
def test_the_exponent_is_the_log_density_of_the_posterior(linear, points, t):
    """log q(x_prev | x_t, x_0) from three forward densities, normalisers included, equals that of N(mu_tilde, beta_tilde)."""
    x_0, eps, z = points
    x_t = q_sample(x_0, t, eps, linear)
    mean, variance = posterior.q_posterior(x_t, x_0, t, linear)
    x_prev = mean + np.sqrt(variance) * z  # where the density is not negligible
    alpha, beta = linear.at(t, like=x_t).alpha, linear.at(t, like=x_t).beta
    a_prev, a_t = linear.at(t - 1, like=x_t).alpha_bar, linear.at(t, like=x_t).alpha_bar
    by_bayes = (
        log_density(x_t, np.sqrt(alpha) * x_prev, beta)
        + log_density(x_prev, np.sqrt(a_prev) * x_0, 1 - a_prev)
        - log_density(x_t, np.sqrt(a_t) * x_0, 1 - a_t)
    )
    np.testing.assert_allclose(log_density(x_prev, mean, variance), by_bayes, rtol=1e-10, atol=1e-10)
    exponent = posterior_exponent.exponent_by_bayes(x_prev, x_t, x_0, t, linear)
    np.testing.assert_allclose(exponent, -0.5 * (x_prev - mean) ** 2 / variance, rtol=1e-10, atol=1e-10)


@pytest.mark.checks("posterior.precision", "posterior.beta_tilde")
def test_precisions_add_up_to_one_over_beta_tilde(linear):
    for t in range(2, 1001):
        assert 1 / posterior_exponent.precision(t, linear) == pytest.approx(linear.at(t).beta_tilde, rel=1e-12)
        middle = (linear.at(t).alpha - linear.at(t).alpha_bar + linear.at(t).beta) / (linear.at(t).beta * (1 - linear.at(t - 1).alpha_bar))
        assert 1 / middle == pytest.approx(linear.at(t).beta_tilde, rel=1e-11)


@pytest.mark.checks("posterior.mu_tilde", "posterior.mu_tilde_from_pull", "posterior.pull")
@pytest.mark.parametrize("t", TIMES)
def test_mu_tilde_is_the_top_of_the_parabola(linear, points, t):
    """The derivative of the exponent with respect to x_prev is 0 at mu_tilde: a central difference of a quadratic is exact."""
    x_0, eps, _ = points
    x_t = q_sample(x_0, t, eps, linear)
    top = posterior.mu_tilde(x_t, x_0, t, linear)
    _close(posterior_exponent.mu_tilde_from_pull(x_t, x_0, t, linear), top)
    h = np.sqrt(linear.at(t, like=x_t).beta)
    right, left = (posterior_exponent.exponent_by_bayes(top + sign * h, x_t, x_0, t, linear) for sign in (1, -1))
    np.testing.assert_allclose(right, left, rtol=1e-10)


@pytest.mark.checks("posterior.mu_tilde_from_eps", "posterior.mu_tilde", "reverse.mu_theta")
@pytest.mark.parametrize("t", [1, *TIMES])
def test_the_eps_form_is_the_x_0_form(linear, points, t):
    x_0, eps, _ = points
    x_t = q_sample(x_0, t, eps, linear)
    from_x_0 = posterior.mu_tilde(x_t, x_0, t, linear)
    from_eps = posterior_exponent.mu_tilde_from_eps(x_t, eps, t, linear)
    assert np.abs(from_x_0 - from_eps).max() < 1e-12


def test_the_exponents_say_that_they_need_t_2(linear, points):
    x_0, _, x_prev = points
    with pytest.raises(ValueError, match=r"t must be in 1\.\.T = 1\.\.1000, got 0"):
        posterior_exponent.exponent_by_bayes(x_prev, x_0, x_0, 1, linear)


@pytest.mark.checks("posterior.precision_as_one_fraction")
def test_the_middle_form_of_beta_tilde():
    """On one denominator. T = 20, where alpha - alpha_bar keeps its digits (at T = 1000 and t = 2 three are lost)."""
    schedule = make_schedule("linear", 20)
    for t in range(2, 21):
        middle = posterior_exponent.precision_as_one_fraction(t, schedule)
        assert middle == pytest.approx(posterior_exponent.precision(t, schedule), rel=1e-12)
        assert 1 / middle == pytest.approx(schedule.at(t).beta_tilde, rel=1e-12)
