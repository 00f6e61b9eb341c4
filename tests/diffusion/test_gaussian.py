import math
from statistics import NormalDist

import numpy as np
import pytest

from minidiff.diffusion.gaussian import (
    bits_per_dim,
    discretised_log_probability,
    kl_gaussians,
    log_density,
)


@pytest.mark.checks("gaussian.log_density")
def test_log_density_is_that_of_the_standard_library():
    for x, mean, sigma in ((0.3, -1.0, 0.5), (2.0, 2.0, 3.0), (-4.0, 0.0, 1.0)):
        expected = math.log(NormalDist(mean, sigma).pdf(x))
        assert log_density(np.array([x]), mean, sigma**2)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.checks("gaussian.kl")
def test_kl_is_the_expected_log_ratio():
    """The log-ratio is a quadratic, so Gauss-Hermite quadrature with three nodes gives its expectation exactly."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    for mean_1, variance_1, mean_2, variance_2 in ((0.3, 0.2, -0.5, 0.7), (1.0, 2.0, 1.0, 2.0), (-2.0, 1.5, 0.0, 1.0)):
        x = mean_1 + math.sqrt(variance_1) * nodes
        ratio = log_density(x, mean_1, variance_1) - log_density(x, mean_2, variance_2)
        expected = (weights * ratio).sum() / weights.sum()
        kl = kl_gaussians(np.array([mean_1]), variance_1, mean_2, variance_2)
        assert kl[0] == pytest.approx(expected, abs=1e-12)
        assert kl[0] >= 0


@pytest.mark.checks("gaussian.discretised")
def test_bin_probabilities_sum_to_one_and_match_the_standard_library():
    levels = np.linspace(-1, 1, 256)
    for mean, sigma in ((0.1, 0.05), (-1.2, 0.4), (0.0, 0.003)):
        log_p = discretised_log_probability(levels, np.full(256, mean), sigma**2)
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-12)
        normal = NormalDist(mean, sigma)
        for i in (0, 100, 140, 255):
            low = normal.cdf(levels[i] - 1 / 255) if i > 0 else 0
            high = normal.cdf(levels[i] + 1 / 255) if i < 255 else 1
            assert math.exp(log_p[i]) == pytest.approx(high - low, abs=1e-12)


def test_far_bins_keep_their_digits_and_are_never_infinite():
    x = np.array([-0.2])
    near = discretised_log_probability(x, np.array([0.0]), 0.01**2)[0]
    upper, lower = (0.2 - 1 / 255) / 0.01, (0.2 + 1 / 255) / 0.01
    expected = math.log(0.5 * (math.erfc(upper / math.sqrt(2)) - math.erfc(lower / math.sqrt(2))))
    assert near == pytest.approx(expected, rel=1e-12) and near < -190
    assert np.isfinite(discretised_log_probability(np.array([-1.0, 1.0], np.float32), np.array([9.0, -9.0], np.float32), 1e-4)).all()
    assert discretised_log_probability(x.astype(np.float32), np.zeros(1, np.float32), 0.01).dtype == np.float32


@pytest.mark.checks("gaussian.bits_per_dim")
def test_a_uniform_choice_of_256_levels_costs_8_bits():
    assert bits_per_dim(784 * math.log(256), 784) == pytest.approx(8, rel=1e-12)
