import math

import numpy as np
import pytest

from minidiff.beyond.score import conditional_score, denoising_loss, explicit_loss, score_from_eps
from minidiff.diffusion.gaussian import log_density
from minidiff.diffusion.oracle import GaussianMixture, exact_eps, exact_score

LINE = GaussianMixture([0.3, 0.7], [[-0.8], [0.6]], [0.15, 0.25])


@pytest.mark.checks("score.from_eps")
@pytest.mark.parametrize("t", [1, 400, np.array([1, 400, 1000])])
def test_the_oracle_s_noise_is_its_score(linear, t):
    x = np.array([[-0.7], [0.1], [2.0]])
    score = score_from_eps(exact_eps(x, t, LINE, linear), t, linear)
    np.testing.assert_allclose(score, exact_score(x, t, LINE, linear), rtol=1e-12)


@pytest.mark.checks("score.conditional")
def test_the_conditional_score_is_the_derivative_of_the_log_density(linear):
    """Of N(sqrt(abar) x_0, 1 - abar), by central differences of a parabola, which are exact."""
    x, x_0, t = np.array([[0.3], [-1.2]]), np.array([[0.8], [-0.1]]), 300
    abar = linear.at(t).alpha_bar
    right, left = (log_density(x + h, math.sqrt(abar) * x_0, 1 - abar) for h in (1e-2, -1e-2))
    np.testing.assert_allclose(conditional_score(x, x_0, t, linear), (right - left) / 2e-2, rtol=1e-11)


def expectations(model, t, schedule):
    """E of both losses over q(x_0) q(x_t | x_0), by Gauss-Hermite nodes in both."""
    z, p = np.polynomial.hermite_e.hermegauss(120)
    p = p / p.sum()
    x_0 = np.concatenate([m[0] + s * z for m, s in zip(LINE.means, LINE.stds, strict=True)])
    w_0 = np.concatenate([w * p for w in LINE.weights])
    abar = schedule.at(t).alpha_bar
    x_t = (math.sqrt(abar) * x_0[:, None] + math.sqrt(1 - abar) * z[None]).reshape(-1, 1)
    w, of_x_0 = (w_0[:, None] * p[None]).ravel(), np.repeat(x_0, len(z))[:, None]
    score = exact_score(x_t, t, LINE, schedule)
    hat = model(x_t)
    return (w * denoising_loss(hat, x_t, of_x_0, t, schedule)).sum(), (w * explicit_loss(hat, score)).sum()


@pytest.mark.checks("score.denoising_loss", "score.explicit_loss")
@pytest.mark.parametrize("t", [400, 800])
def test_denoising_and_explicit_score_matching_differ_by_a_constant(linear, t):
    """Three networks, one difference; for the true score the explicit loss is 0, so the constant is its denoising loss."""
    models = [lambda x: -x, lambda x: 0.3 * x**2 - 1, lambda x: exact_score(x, t, LINE, linear)]
    both = [expectations(model, t, linear) for model in models]
    constants = [denoising - explicit for denoising, explicit in both]
    np.testing.assert_allclose(constants, constants[2], rtol=0, atol=1e-12)
    assert both[2][1] == 0 and constants[2] > 5e-4
    assert both[0][1] > 1e-6 and both[1][1] > 0.5


@pytest.mark.checks("score.denoising_loss", "score.explicit_loss")
def test_the_losses_by_hand(linear):
    hat, x, x_0 = np.array([[0.5, -1.0]]), np.array([[0.2, 0.4]]), np.array([[0.1, 0.3]])
    t, abar = 300, linear.at(300).alpha_bar
    true = [-(a - math.sqrt(abar) * b) / (1 - abar) for a, b in zip(x[0], x_0[0], strict=True)]
    expected = (0.5 - true[0]) ** 2 + (-1.0 - true[1]) ** 2
    assert denoising_loss(hat, x, x_0, t, linear)[0] == pytest.approx(expected, rel=1e-12)
    assert explicit_loss(hat, np.array([true]))[0] == pytest.approx(expected, rel=1e-12)
