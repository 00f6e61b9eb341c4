import numpy as np
import pytest

from minidiff.classroom.derivations.loss_weight import (
    L_t_minus_1_of_means,
    loss_weight,
    squared_norm,
    weighted_squared_norm,
)
from minidiff.diffusion import vlb
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.posterior import mu_tilde
from minidiff.diffusion.reverse import mu_theta
from minidiff.diffusion.schedule import make_schedule

SCHEDULE = make_schedule("linear", 20)


def any_network(x_t, t):
    """No good predictor, but a definite one."""
    return 0.3 * x_t + 0.1 * np.cos(x_t)


@pytest.mark.checks("losses.weight")
@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_the_weight_turns_the_noise_error_into_the_error_of_the_means(linear, images, variance):
    """The slide's three lines: 1/(2 sigma^2) |mu_tilde - mu_theta|^2 = weight |eps - eps_theta|^2."""
    x_0, _, eps = images
    eps_hat = np.cos(3 * eps)
    for t in (2, 10, 500, 1000):
        x_t = q_sample(x_0, t, eps, linear)
        means = (mu_tilde(x_t, x_0, t, linear) - mu_theta(x_t, t, eps_hat, linear)) ** 2
        expected = means.sum() / (2 * linear.tables[variance][t])
        weighted = loss_weight(t, linear, variance) * squared_norm(eps, eps_hat).sum()
        assert weighted == pytest.approx(expected, rel=1e-10)


def test_constants_of_the_weight(linear):
    weights = [loss_weight(t, linear) for t in (1, 2, 10, 100, 500, 1000)]
    np.testing.assert_allclose(weights, [0.5001, 0.2727, 0.0737, 0.0101, 0.0055, 0.0102], atol=6e-5)
    weights = [loss_weight(t, linear, "beta_tilde") for t in (2, 10, 100, 500, 1000)]
    np.testing.assert_allclose(weights, [0.600, 0.0864, 0.0103, 0.0055, 0.0102], atol=5e-4)
    with pytest.raises(ValueError, match="beta_tilde is 0 at t = 1, so its weight is infinite"):
        loss_weight(np.array([3, 1]), linear, "beta_tilde")


@pytest.mark.checks("losses.weighted")
@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_slide_14_ends_in_one_weighted_norm(linear, images, variance):
    """(1 - alpha_t)^2 / (2 alpha_t (1 - alpha_bar_t) sigma_t^2) as printed, pixel by pixel, one t per image."""
    _, _, eps = images
    eps_hat, t = np.cos(3 * eps), np.array([2, 37, 1000])
    expected = []
    for i, s in enumerate(t):
        alpha, alpha_bar = 1 - linear.tables["beta"][s], linear.tables["alpha_bar"][s]
        w = linear.tables["beta"][s] ** 2 / (2 * alpha * (1 - alpha_bar) * linear.tables[variance][s])
        expected.append(w * sum((a - b) ** 2 for a, b in zip(eps[i].flat, eps_hat[i].flat, strict=True)))
    ours = weighted_squared_norm(eps, eps_hat, t, linear, variance)
    np.testing.assert_allclose(ours, expected, rtol=1e-11)


@pytest.mark.checks("vlb.L_t_minus_1_of_means", "losses.weight")
@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_the_changeable_part_is_the_weighted_noise_error_and_the_rest_a_constant(images, variance):
    x_0, _, eps = images
    for t in (2, 10, 20):
        x_t = q_sample(x_0, t, eps, SCHEDULE)
        eps_hat = any_network(x_t, t)
        means = L_t_minus_1_of_means(x_0, x_t, t, eps_hat, SCHEDULE, variance)
        weight = loss_weight(t, SCHEDULE, variance)
        np.testing.assert_allclose(means, weight * squared_norm(eps, eps_hat), rtol=1e-9)
        constant = vlb.L_t_minus_1(x_0, x_t, t, eps_hat, SCHEDULE, variance) - means
        perfect = vlb.L_t_minus_1(x_0, x_t, t, eps, SCHEDULE, variance)
        np.testing.assert_allclose(constant, perfect, rtol=1e-9, atol=1e-12)
