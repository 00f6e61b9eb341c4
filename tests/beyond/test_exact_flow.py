"""The exact flow of a mixture on a line, against integrals and derivatives that use no formula of it."""

import math

import numpy as np
import pytest

from minidiff.beyond.exact_flow import distribution, flow_map, quantile
from minidiff.diffusion.oracle import GaussianMixture, log_marginal
from minidiff.engine.random import RNG

LINE = GaussianMixture([0.3, 0.7], [[-0.8], [0.6]], [0.15, 0.25])
POINTS = np.linspace(-2, 2, 41)[:, None]


@pytest.mark.checks("flow_map.distribution")
@pytest.mark.parametrize("t", [0, 3, 500, 1000])
def test_the_distribution_function_is_the_integral_of_the_density(linear, t):
    """Gauss-Legendre over each of many short pieces from far to the left."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(-12, 1.3, 800)
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    x = (middle[:, None] + half[:, None] * nodes).reshape(-1, 1)
    q = np.exp(log_marginal(x, t, LINE, linear)).reshape(len(middle), -1)
    integral = (q * weights * half[:, None]).sum()
    left, right = distribution(np.array([[1.3]]), t, LINE, linear)
    assert left[0] == pytest.approx(integral, abs=1e-12)
    assert left[0] + right[0] == pytest.approx(1, abs=1e-15)


@pytest.mark.checks("flow_map.distribution")
def test_both_tails_keep_their_digits(linear):
    """30 standard deviations out, against the tail of the nearer component by its continued fraction."""
    x = 0.6 + 30 * 0.25
    _, right = distribution(np.array([[x]]), 0, LINE, linear)
    fraction = 30.0
    for k in range(200, 0, -1):
        fraction = 30 + k / fraction
    tail = math.exp(-450) / math.sqrt(2 * math.pi) / fraction
    assert right[0] == pytest.approx(0.7 * tail, rel=1e-12) and right[0] < 1e-190


@pytest.mark.checks("flow_map.quantile")
@pytest.mark.parametrize("t", [0, 3, 500, 1000])
def test_the_quantile_has_its_share_to_the_left(linear, t):
    left = np.concatenate([10.0 ** -np.arange(1, 40), np.linspace(0.01, 0.99, 50)])
    x = quantile(left, 1 - left, t, LINE, linear)
    np.testing.assert_allclose(distribution(x, t, LINE, linear)[0], left, rtol=1e-11, atol=0)
    mirrored = quantile(1 - left, left, t, LINE, linear)
    np.testing.assert_allclose(distribution(mirrored, t, LINE, linear)[1], left, rtol=1e-11, atol=0)


@pytest.mark.checks("flow_map.map")
def test_for_one_gaussian_the_flow_is_a_line(linear):
    """N(m, s^2) goes to N(a m, a^2 s^2 + b^2): a point keeps its number of standard deviations."""
    one = GaussianMixture([1], [[0.4]], 0.3)
    for t, s in ((1000, 0), (1000, 1), (0, 700), (300, 700)):
        std = [math.sqrt(linear.at(i, first=0).alpha_bar * 0.09 + 1 - linear.at(i, first=0).alpha_bar) for i in (t, s)]
        mean = [math.sqrt(linear.at(i, first=0).alpha_bar) * 0.4 for i in (t, s)]
        expected = mean[1] + std[1] * (POINTS - mean[0]) / std[0]
        np.testing.assert_allclose(flow_map(POINTS, t, s, one, linear), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.checks("flow_map.map")
def test_there_and_back_and_in_two_stages(linear):
    x_T = RNG(0).normal((200, 1), np.float64)
    x_0 = flow_map(x_T, 1000, 0, LINE, linear)
    np.testing.assert_allclose(flow_map(x_0, 0, 1000, LINE, linear), x_T, atol=1e-12)
    np.testing.assert_allclose(flow_map(flow_map(x_T, 1000, 400, LINE, linear), 400, 0, LINE, linear), x_0, atol=1e-12)
    assert (np.diff(np.sort(x_T[:, 0])) > 0).all() and (np.argsort(x_0[:, 0]) == np.argsort(x_T[:, 0])).all()


@pytest.mark.checks("flow_map.map")
def test_noise_becomes_data(linear):
    """N(0, 1) through the map has the moments of the mixture, by Gauss-Hermite nodes; x_T is not quite N(0, 1)."""
    u = (np.arange(20_000) + 0.5) / 20_000
    x_0 = flow_map(quantile(u, 1 - u, 1000, LINE, linear), 1000, 0, LINE, linear)
    mean = (LINE.weights[:, None] * LINE.means).sum()
    second = (LINE.weights * (LINE.means[:, 0] ** 2 + LINE.stds**2)).sum()
    assert x_0.mean() == pytest.approx(mean, abs=1e-4) and (x_0**2).mean() == pytest.approx(second, abs=1e-4)


def test_float32_stays_float32_and_other_shapes_are_refused(linear):
    x = POINTS.astype(np.float32)
    assert flow_map(x, 1000, 0, LINE, linear).dtype == np.float32
    plane = GaussianMixture([1], [[0.0, 0.0]], 0.5)
    with pytest.raises(ValueError, match=r"only a line has quantiles, \(1,\), got points of shape \(2,\)"):
        flow_map(np.zeros((3, 2)), 5, 0, plane, linear)
