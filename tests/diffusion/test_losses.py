import numpy as np
import pytest

from minidiff.classroom.derivations.loss_weight import squared_norm
from minidiff.diffusion import losses
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.engine.random import RNG


def algorithm_1(eps_theta, x_0, schedule, rng):
    """Lines 2 to 5 of Algorithm 1, as the trainer runs them."""
    t, eps = losses.draw_training_noise(x_0, schedule, rng)
    return losses.training_terms(eps_theta, x_0, t, eps, schedule)


@pytest.mark.checks("losses.L_simple", "losses.squared_norm")
def test_L_simple_by_a_loop_over_every_pixel(images):
    _, _, eps = images
    eps_hat = np.sin(7 * eps)
    squares = [(a - b) ** 2 for a, b in zip(eps.ravel().tolist(), eps_hat.ravel().tolist(), strict=True)]
    D = eps[0].size
    assert losses.L_simple(eps, eps_hat) == pytest.approx(sum(squares) / len(squares), rel=1e-12)
    np.testing.assert_allclose(squared_norm(eps, eps_hat), [sum(squares[i * D : (i + 1) * D]) for i in range(3)], rtol=1e-12)
    assert squared_norm(eps, eps_hat).mean() == pytest.approx(D * losses.L_simple(eps, eps_hat), rel=1e-12)


@pytest.mark.checks("ddpm.algorithm_1")
def test_algorithm_1_asks_the_network_at_x_t_with_one_t_per_image(linear, images):
    x_0, _, _ = images
    asked = []

    def eps_theta(x_t, t):
        asked.append((x_t, t))
        return 0.5 * x_t

    step = algorithm_1(eps_theta, x_0, linear, RNG(3))
    t, eps = losses.draw_training_noise(x_0, linear, RNG(3))
    np.testing.assert_array_equal(step.t, t)
    np.testing.assert_array_equal(step.eps, eps)
    np.testing.assert_array_equal(asked[0][1], t)
    alpha_bar = linear.tables["alpha_bar"][t][:, None, None, None]
    x_t = np.sqrt(alpha_bar) * x_0 + np.sqrt(1 - alpha_bar) * eps
    np.testing.assert_allclose(asked[0][0], x_t, rtol=1e-12, atol=1e-12)
    assert step.loss == pytest.approx(((eps - 0.5 * x_t) ** 2).mean(), rel=1e-12)
    assert step.names == ("x_0", "eps", "x_t", "eps_hat", "loss")


def test_times_of_training_are_uniform_on_1_to_T(rng, linear):
    t, _ = losses.draw_training_noise(np.zeros((200_000, 1), np.float32), linear, rng)
    assert t.min() == 1 and t.max() == 1000
    counts = np.bincount(t, minlength=1001)[1:]
    chi_squared = ((counts - 200) ** 2 / 200).sum()
    assert abs(chi_squared - 999) < 5 * np.sqrt(2 * 999)


def test_the_exact_predictor_has_the_least_loss(rng, linear):
    mixture = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05)
    exact = mixture.eps_theta(linear)
    x_0 = mixture.sample(4000, rng)
    least = algorithm_1(exact, x_0, linear, RNG(1)).loss
    for worse in (lambda x, t: 1.05 * exact(x, t), lambda x, t: exact(x, t) + 0.05, lambda x, t: exact(1.02 * x, t)):
        assert algorithm_1(worse, x_0, linear, RNG(1)).loss > least


def test_a_network_of_the_wrong_shape_is_named(linear, images):
    x_0, _, _ = images
    with pytest.raises(ValueError, match=r"eps_theta must return the shape of x_t, \(3, 1, 4, 4\), got \(3, 16\)"):
        algorithm_1(lambda x, t: x.reshape(3, 16), x_0, linear, RNG(0))


def test_the_gradient_of_a_tensor_flows_through_the_loss(linear):
    from minidiff.engine.tensor import Tensor

    scale = Tensor(np.float32(0.5), requires_grad=True)
    x_0 = np.ones((4, 1, 2, 2), np.float32)
    step = algorithm_1(lambda x, t: scale * Tensor(x), x_0, linear, RNG(0))
    step.loss.backward()
    expected = (2 * (0.5 * step.x_t - step.eps) * step.x_t).mean()
    assert float(scale.grad) == pytest.approx(float(expected), rel=1e-5)
    scale.grad = None
    squared_norm(step.eps, scale * Tensor(step.x_t)).mean().backward()
    assert float(scale.grad) == pytest.approx(4 * float(expected), rel=1e-5)
