import math

import numpy as np
import pytest

from minidiff.classroom.derivations.image_from_v import x_0_from_v
from minidiff.diffusion import targets
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.posterior import mu_tilde

TIMES = [1, 2, 500, 1000, np.array([1, 37, 1000])]


@pytest.mark.checks(
    "targets.x_0_from_eps", "targets.eps_from_x_0", "targets.eps_from_mu_tilde", "targets.v", "targets.eps_from_v", "targets.x_0_from_v"
)
@pytest.mark.parametrize("t", TIMES)
def test_every_conversion_returns_what_q_sample_was_given(linear, images, t):
    """rtol: x_0 from eps divides by sqrt(alpha_bar), 1/157 at T; eps from x_0 by sqrt(1 - alpha_bar), 1/100 at t = 1."""
    x_0, _, eps = images
    x_t = q_sample(x_0, t, eps, linear)
    v = targets.v_target(x_0, t, eps, linear)
    close = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(targets.x_0_from_eps(x_t, t, eps, linear), x_0, rtol=1e-12, atol=2e-13)
    np.testing.assert_allclose(targets.eps_from_x_0(x_t, t, x_0, linear), eps, **close)
    np.testing.assert_allclose(targets.eps_from_mu_tilde(x_t, t, mu_tilde(x_t, x_0, t, linear), linear), eps, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(targets.eps_from_v(x_t, t, v, linear), eps, **close)
    np.testing.assert_allclose(x_0_from_v(x_t, t, v, linear), x_0, **close)


@pytest.mark.checks("targets.v")
def test_v_is_the_derivative_of_x_t_with_respect_to_the_angle(linear, images):
    """x = cos(a) x_0 + sin(a) eps with cos(a)^2 = alpha_bar turns with the velocity v = -sin(a) x_0 + cos(a) eps."""
    x_0, _, eps = images
    for t in (1, 500, 1000):
        angle = math.atan2(math.sqrt(linear.at(t).one_minus_alpha_bar), math.sqrt(linear.at(t).alpha_bar))
        expected = -math.sin(angle) * x_0 + math.cos(angle) * eps
        np.testing.assert_allclose(targets.v_target(x_0, t, eps, linear), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("prediction", ["eps", "x_0", "mu_tilde", "v"])
def test_as_eps_theta_wraps_a_network_of_any_target(linear, images, prediction):
    x_0, t, eps = images
    x_t = q_sample(x_0, t, eps, linear)
    exact = {"eps": eps, "x_0": x_0, "mu_tilde": mu_tilde(x_t, x_0, t, linear), "v": targets.v_target(x_0, t, eps, linear)}
    eps_theta = targets.as_eps_theta(lambda x, t: exact[prediction], prediction, linear)
    np.testing.assert_allclose(eps_theta(x_t, t), eps, rtol=1e-10, atol=1e-10)


def test_conditioning_at_the_ends(linear):
    """Errata 18: an error of 1 in eps is an error of 157 in x_0 at T; an error of 1 in x_0 is one of 100 in eps at t = 1."""
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    assert abs(targets.x_0_from_eps(zero, 1000, one, linear).item()) == pytest.approx(157.4, abs=0.05)
    assert abs(targets.eps_from_x_0(zero, 1, one, linear).item()) == pytest.approx(99.995, abs=0.001)


def test_unknown_target_is_an_error(linear):
    with pytest.raises(ValueError, match="prediction must be one of eps, x_0, mu_tilde, v, got 'score'"):
        targets.as_eps_theta(None, "score", linear)


@pytest.mark.parametrize("prediction", ["eps", "x_0", "mu_tilde", "v"])
def test_the_regression_target_is_what_as_eps_theta_turns_back_into_eps(linear, images, prediction):
    x_0, t, eps = images
    target = targets.regression_target(prediction, x_0, t, eps, linear)
    eps_theta = targets.as_eps_theta(lambda x, t: target, prediction, linear)
    np.testing.assert_allclose(eps_theta(q_sample(x_0, t, eps, linear), t), eps, rtol=1e-10, atol=1e-10)


def test_mu_tilde_says_little_about_the_noise_at_small_betas(linear, images):
    """Slide 17's comparison: at t = 500 an error of 0.01 in mu_tilde is one of 0.95 in eps, so its plain MSE trains badly."""
    x_0, _, eps = images
    target = targets.regression_target("mu_tilde", x_0, 500, eps, linear)
    off = targets.eps_from_mu_tilde(q_sample(x_0, 500, eps, linear), 500, target + 0.01, linear) - eps
    np.testing.assert_allclose(np.abs(off), 0.95, atol=0.01)
