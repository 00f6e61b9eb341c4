import numpy as np
import pytest

from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.noise_prediction import clip_x_0, predict_noise, starting_noise
from minidiff.engine.tensor import Tensor


@pytest.mark.checks("sampling.clip_x_0")
def test_clipping_re_derives_the_noise_so_that_both_still_make_x_t(linear, images):
    x_t, _, eps = images
    for t in (1, 500, 1000):
        x_0_hat, eps_hat = clip_x_0(x_t, t, eps, linear, clip=0.5)
        assert np.abs(x_0_hat).max() <= 0.5
        np.testing.assert_allclose(q_sample(x_0_hat, t, eps_hat, linear), x_t, rtol=1e-12, atol=1e-12)
        free_x_0, free_eps = clip_x_0(x_t, t, eps, linear, clip=None)
        assert free_eps is eps
        np.testing.assert_allclose(q_sample(free_x_0, t, eps, linear), x_t, rtol=1e-12, atol=1e-12)
        inside = np.abs(free_x_0) < 0.5
        np.testing.assert_allclose(eps_hat[inside], eps[inside], rtol=1e-9, atol=1e-9)


def test_the_network_gets_one_t_per_image_and_keeps_no_tape():
    weight = Tensor(np.float32(2.0), requires_grad=True)
    asked = []

    def eps_theta(x_t, t):
        asked.append(t)
        y = weight * Tensor(x_t)
        assert y.node is None
        return y

    eps_hat = predict_noise(eps_theta, np.ones((3, 2), np.float32), 7)
    assert isinstance(eps_hat, np.ndarray) and eps_hat.dtype == np.float32
    np.testing.assert_array_equal(asked[0], [7, 7, 7])


def test_a_wrong_shape_or_dtype_is_named():
    x_t = np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"eps_theta must return the shape of x_t, \(3, 2\), got \(3, 1\)"):
        predict_noise(lambda x, t: x[:, :1], x_t, 1)
    with pytest.raises(TypeError, match="eps_theta must return the dtype of x_t, float32, got float64"):
        predict_noise(lambda x, t: x.astype(np.float64), x_t, 1)


def test_a_start_that_is_no_array_is_named():
    with pytest.raises(TypeError, match=r"x_T must be an array \(B, \.\.\.\), got tuple"):
        starting_noise(None, (0.5, 0.5), None, np.float32)
