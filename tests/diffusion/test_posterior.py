import numpy as np
import pytest

from minidiff.diffusion import posterior
from minidiff.diffusion.forward import q_sample

TIMES = [2, 3, 37, 500, 1000, np.array([2, 37, 1000])]


@pytest.fixture
def points(linear, images, rng):
    x_0, _, eps = images
    return x_0, eps, rng.normal(x_0.shape, dtype=np.float64)


def _close(actual, expected):
    """To 1e-12 of the larger terms that cancel in it."""
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_the_last_step_ends_on_x_0_exactly(linear, points):
    x_0, eps, _ = points
    mean, variance = posterior.q_posterior(q_sample(x_0, 1, eps, linear), x_0, 1, linear)
    _close(mean, x_0)
    assert variance == 0
