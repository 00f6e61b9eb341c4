import numpy as np
import pytest

from minidiff.kernels.cpu.im2col import (
    Columns,
    convolve,
    convolve_transposed,
    kernel_gradient,
    sum_of_pixels,
)
from minidiff.kernels.geometry import Window


def test_the_columns_of_a_small_image():
    x = np.arange(1.0, 10).reshape(1, 3, 3, 1)
    rows = Columns(x, (Window(2, 1, 1, 0, 0), Window(2, 2, 1, 1, 0)), groups=1)(slice(None))
    assert rows[:, 0].tolist() == [[0, 1, 0, 4], [2, 3, 5, 6], [0, 4, 0, 7], [5, 6, 8, 9]]


def test_a_1x1_window_copies_nothing():
    x = np.zeros((2, 3, 4, 6))
    assert np.shares_memory(Columns(x, (Window(1, 1, 1, 0, 0), Window(1, 1, 1, 0, 0)), groups=2)(slice(0, 1)), x)


@pytest.mark.parametrize("stride, dilation, before, after", [(1, 1, 1, 1), (2, 1, 1, 0), (3, 2, 0, 3), (1, 1, -1, 2), (1, 3, 4, -2)])
def test_the_three_maps_are_one_bilinear_form(stride, dilation, before, after):
    """<convolve(x, k), y> = <x, convolve_transposed(y, k)> = <k, kernel_gradient(x, y)>, also where inputs are left out."""
    rng = np.random.default_rng(0)
    windows = Window(3, stride, dilation, before, after), Window(2, 2, 1, 0, 1)
    x, kernel = rng.standard_normal((3, 8, 9, 4)), rng.standard_normal((2, 3, 2, 2, 3))
    forward, _ = convolve(x, kernel, windows)
    y = rng.standard_normal(forward.shape)
    value = (forward * y).sum()
    back = convolve_transposed(y, kernel.swapaxes(3, 4), windows, x.shape[1:3])
    assert (x * back).sum() == pytest.approx(value, rel=1e-12)
    assert (kernel * kernel_gradient(x, y, kernel.shape, windows)).sum() == pytest.approx(value, rel=1e-12)


def test_the_partner_gives_the_gradient_of_the_kernel():
    rng = np.random.default_rng(0)
    windows = (Window(3, 1, 1, 1, 1),) * 2
    x, kernel, partner = rng.standard_normal((3, 5, 5, 2)), rng.standard_normal((1, 3, 3, 2, 4)), rng.standard_normal((3, 5, 5, 4))
    _, dkernel = convolve(x, kernel, windows, partner=partner)
    np.testing.assert_allclose(dkernel, kernel_gradient(x, partner, kernel.shape, windows), rtol=1e-12)


def test_sum_of_pixels():
    x = np.random.default_rng(0).standard_normal((3, 4, 5, 6))
    np.testing.assert_allclose(sum_of_pixels(x), x.sum(axis=(0, 1, 2)), rtol=1e-12)
