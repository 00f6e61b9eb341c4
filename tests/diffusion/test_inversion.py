import math

import numpy as np
import pytest

from minidiff.diffusion.ddim import ddim_direction, ddim_sample, ddim_step
from minidiff.diffusion.inversion import ddim_inversion_step, ddim_invert, slerp
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.targets import x_0_from_eps
from minidiff.engine.random import RNG


@pytest.mark.checks("ddim.inversion_step")
def test_the_inversion_step_undoes_the_step_for_the_same_noise(linear, images):
    x_t, _, eps_hat = images
    zero = 0 * x_t
    for t, t_next in ((1, 2), (499, 500), (100, 900)):
        x_next = ddim_inversion_step(x_t, t, t_next, eps_hat, linear)
        direction = ddim_direction(eps_hat, t, 0.0, linear)
        back = ddim_step(x_0_from_eps(x_next, t_next, eps_hat, linear), direction, t, 0.0, zero, linear)
        np.testing.assert_allclose(back, x_t, rtol=1e-12, atol=1e-12)
    from_data = ddim_inversion_step(x_t, 0, 5, eps_hat, linear)
    np.testing.assert_allclose(x_0_from_eps(from_data, 5, eps_hat, linear), x_t, rtol=1e-12, atol=1e-12)


def test_an_image_goes_to_its_noise_and_returns(linear):
    """Exact predictor, 2 modes: the round trip misses by at most 0.006 in 1000 steps, ten times as much in 100. First order."""
    mixture = GaussianMixture([0.5, 0.5], [[-0.8, 0.3], [0.8, -0.3]], 0.05)
    eps_theta, x_0 = mixture.eps_theta(linear), mixture.sample(50, RNG(0))
    errors = {}
    for steps in (100, 1000):
        x_T = ddim_invert(eps_theta, x_0, linear, steps=steps)
        errors[steps] = np.abs(ddim_sample(eps_theta, x_T, linear, steps=steps) - x_0).max()
    assert abs(x_T.std() - 1) < 0.1
    assert errors[1000] < 0.006
    assert 5 < errors[100] / errors[1000] < 20


@pytest.mark.checks("ddim.slerp")
def test_slerp_is_the_rotation_in_the_plane_of_the_two_noises(rng):
    """Orthonormal basis of the plane by Gram-Schmidt, then cos and sin of the part of the angle."""
    x = rng.normal((1, 8), dtype=np.float64)
    y = rng.normal((1, 8), dtype=np.float64)
    u, w = x / np.linalg.norm(x), y / np.linalg.norm(y)
    across = w - (u * w).sum() * u
    across /= np.linalg.norm(across)
    theta = math.acos((u * w).sum())
    for a in (0.0, 0.3, 1.0):
        expected = math.cos(a * theta) * u + math.sin(a * theta) * across
        np.testing.assert_allclose(slerp(u, w, a), expected, atol=1e-12)
    np.testing.assert_allclose(slerp(x, y, 0.0), x, atol=1e-12)
    np.testing.assert_allclose(slerp(x, y, 1.0), y, atol=1e-12)


def test_slerp_of_a_noise_with_itself_is_itself_and_float32_stays():
    x = RNG(0).normal((2, 5))
    middle = slerp(x, x, 0.5)
    np.testing.assert_allclose(middle, x, rtol=1e-6)
    assert middle.dtype == np.float32


def test_the_arc_keeps_the_length_that_a_straight_line_loses(rng):
    x, y = rng.normal((1, 4000), dtype=np.float64), rng.normal((1, 4000), dtype=np.float64)
    assert slerp(x, y, 0.5).std() == pytest.approx(1, abs=0.05)
    assert ((x + y) / 2).std() == pytest.approx(math.sqrt(0.5), abs=0.05)


@pytest.mark.parametrize("t_next", [5, 4])
def test_an_inversion_that_goes_down_is_refused(linear, images, t_next):
    with pytest.raises(ValueError, match=f"t_next must be > t, got t = 5, t_next = {t_next}"):
        ddim_inversion_step(images[0], 5, t_next, images[2], linear)


def test_slerp_of_what_is_no_array_is_named():
    with pytest.raises(TypeError, match="slerp: x_T_0 and x_T_1 must be arrays, got tuple and ndarray"):
        slerp((1.0, 0.0), np.ones((1, 2)), 0.5)
