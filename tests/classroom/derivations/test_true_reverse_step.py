import math

import numpy as np
import pytest

from minidiff.classroom.derivations.true_reverse_step import (
    exact_x_0,
    log_reverse,
    reverse_variance,
)
from minidiff.diffusion.oracle import GaussianMixture, exact_eps
from minidiff.diffusion.reverse import mu_theta

LINE = GaussianMixture([0.3, 0.7], [[-0.8], [0.8]], [0.05, 0.1])
GRID = np.linspace(-8, 8, 200_001)[:, None]


@pytest.mark.checks("oracle.bayes")
def test_the_reverse_step_is_a_density_and_its_mean_is_mu_theta(linear):
    """Summed over a fine grid of x_{t-1}: integral 1, and mean mu_theta(x_t, exact eps), which Bayes never saw."""
    dx = GRID[1, 0] - GRID[0, 0]
    for t, x in ((2, 0.75), (300, 0.1), (1000, -1.5)):
        x_t = np.full_like(GRID, x)
        density = np.exp(log_reverse(GRID, x_t, t, LINE, linear))
        assert density.sum() * dx == pytest.approx(1, abs=1e-10)
        mu = mu_theta(x_t[:1], t, exact_eps(x_t[:1], t, LINE, linear), linear)[0, 0]
        assert (density * GRID[:, 0]).sum() * dx == pytest.approx(mu, abs=1e-10)


@pytest.mark.checks("oracle.reverse_variance", "oracle.x_0")
@pytest.mark.parametrize(("t", "x"), [(2, 0.7), (50, 0.0), (300, 0.4), (1000, -1.0)])
def test_the_variance_of_the_reverse_step_by_quadrature(linear, t, x):
    """Mean and variance of q(x_{t-1} | x_t) from its density, which comes from Bayes and knows nothing of beta_tilde."""
    x_prev = x + np.linspace(-12, 12, 20_001)[:, None] * math.sqrt(linear.at(t).beta)
    density = np.exp(log_reverse(x_prev, np.full_like(x_prev, x), t, LINE, linear))
    density = density / density.sum()
    mean = (density * x_prev[:, 0]).sum()
    variance = (density * (x_prev[:, 0] - mean) ** 2).sum()
    ours = reverse_variance(np.array([[x]]), t, LINE, linear)
    assert ours[0, 0] == pytest.approx(variance, rel=1e-10)


def test_beta_and_beta_tilde_are_no_limits_of_the_true_variance(linear):
    """Erratum 8. Between two modes the true variance is larger than beta; for wide data it always is."""
    two_modes = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05)
    ratio = reverse_variance(np.zeros((1, 1)), 50, two_modes, linear) / linear.at(50).beta
    assert ratio[0, 0] == pytest.approx(1.645, abs=5e-4)
    wide = GaussianMixture([1.0], [[0.0]], 2.0)
    x_t = np.linspace(-6, 6, 7)[:, None]
    for t in (2, 50, 500, 1000):
        assert (reverse_variance(x_t, t, wide, linear) > linear.at(t).beta).all()
        unit, point = (GaussianMixture([1.0], [[0.0]], std) for std in (1.0, 0.0))
        np.testing.assert_allclose(reverse_variance(x_t, t, unit, linear), linear.at(t).beta, rtol=1e-10)
        np.testing.assert_allclose(reverse_variance(x_t, t, point, linear), linear.at(t).beta_tilde, rtol=1e-12)


@pytest.mark.checks("oracle.x_0")
def test_the_posterior_of_x_0_by_quadrature(linear):
    mixture, grid = GaussianMixture([0.3, 0.7], [[-0.8], [0.6]], [0.1, 0.3]), np.linspace(-4, 4, 40_001)
    prior = sum(w * np.exp(-((grid - m) ** 2) / (2 * s * s)) / s for w, m, s in ((0.3, -0.8, 0.1), (0.7, 0.6, 0.3)))
    for t, x in ((50, 0.0), (300, 1.0), (1000, 0.3)):
        alpha_bar = linear.at(t).alpha_bar
        density = prior * np.exp(-((x - math.sqrt(alpha_bar) * grid) ** 2) / (2 * (1 - alpha_bar)))
        density /= density.sum()
        mean, variance = exact_x_0(np.array([[x]]), t, mixture, linear)
        assert mean[0, 0] == pytest.approx((density * grid).sum(), rel=1e-11)
        assert variance[0, 0] == pytest.approx((density * (grid - (density * grid).sum()) ** 2).sum(), rel=1e-11)
