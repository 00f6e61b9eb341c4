import numpy as np
import pytest

from minidiff.diffusion.forward import forward_steps, q_sample
from minidiff.diffusion.inversion import ddim_invert
from minidiff.diffusion.losses import draw_training_noise
from minidiff.engine.random import RNG


def test_every_coefficient_of_a_time_is_an_attribute(linear):
    now = linear.at(500)
    for name, table in linear.tables.items():
        assert getattr(now, name) == table[500] and isinstance(getattr(now, name), float)
        assert name in dir(now)
    assert now.alpha == 1 - now.beta


def test_the_data_has_coefficients_only_where_asked_for(linear):
    data = linear.at(0, first=0)
    assert (data.alpha_bar, data.one_minus_alpha_bar, data.beta) == (1, 0, 0)
    with pytest.raises(ValueError, match=r"t must be in 1\.\.T = 1\.\.1000, got 0"):
        linear.at(0)


def test_a_batch_of_times_multiplies_the_images(linear):
    x, t = np.zeros((2, 1, 3, 3), np.float32), np.array([1, 1000])
    now = linear.at(t, like=x)
    assert now.beta_tilde.shape == (2, 1, 1, 1) and now.beta_tilde.dtype == np.float32
    assert now.beta is now.beta, "read from the table once"
    np.testing.assert_allclose(now.alpha_bar.ravel(), [linear.at(1).alpha_bar, linear.at(1000).alpha_bar], rtol=1e-7)
    assert linear.at(t).alpha_bar.dtype == np.float64


def test_printing_shows_all_of_them_with_their_roots(linear):
    text = repr(linear.at(500))
    assert text.startswith("coefficients at t = 500\n")
    for name, table in linear.tables.items():
        line = next(line for line in text.splitlines() if line.startswith(f"  {name} "))
        value, root = line.removeprefix(f"  {name}").split("its root")
        assert float(value) == pytest.approx(table[500], rel=1e-4)
        assert float(root) == pytest.approx(np.sqrt(table[500]), rel=1e-4)
    assert "[" in repr(linear.at(np.array([1, 2, 3])))


def test_a_coefficient_that_does_not_exist_is_named_with_those_that_do(linear):
    with pytest.raises(AttributeError, match="schedule.at.t. has no 'gamma'; it has beta, alpha, alpha_bar, one_minus_alpha_bar, beta_tilde"):
        linear.at(5).gamma  # noqa: B018


@pytest.mark.parametrize("t", [5, np.int64(5), np.array([5, 5])])
def test_pictures_of_whole_numbers_are_refused_for_every_kind_of_t(linear, t):
    """0..255 would be taken for x_0 in [-1, 1]."""
    x_0 = np.zeros((2, 1, 2, 2), np.uint8)
    with pytest.raises(TypeError, match=r"the images must be floats \(scaled to \[-1, 1\]\), got uint8"):
        q_sample(x_0, t, np.zeros(x_0.shape, np.float32), linear)


def test_whoever_walks_from_a_picture_of_whole_numbers_is_told(linear):
    x_0, rng = np.zeros((2, 1, 2, 2), np.uint8), RNG(0)
    with pytest.raises(TypeError, match="the images must be floats .*, got uint8"):
        ddim_invert(lambda x_t, t: x_t, x_0, linear, steps=2)
    for walk in (lambda: next(forward_steps(x_0, linear, rng)), lambda: draw_training_noise(x_0, linear, rng)):
        with pytest.raises(TypeError, match=r"dtype must be float32 or float64, got uint8 \(pictures are floats, scaled to \[-1, 1\]\)"):
            walk()
