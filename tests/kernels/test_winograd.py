import numpy as np
import pytest

from minidiff.kernels.cpu import winograd
from minidiff.kernels.cpu.im2col import convolve
from minidiff.kernels.geometry import Window


def test_six_products_make_four_outputs():
    """y = A^T [(G g) * (B^T d)] in one dimension, exactly."""
    A, G, B_T = winograd._matrices(np.dtype(np.float64))
    rng = np.random.default_rng(0)
    d, g = rng.standard_normal(6), rng.standard_normal(3)
    y = A.T @ ((G @ g) * (B_T @ d))
    np.testing.assert_allclose(y, np.convolve(d, g[::-1], mode="valid"), atol=1e-14)


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (1, 2), (12, 3)])
@pytest.mark.parametrize("padding", [((1, 1), (1, 1)), ((0, 2), (2, 1)), ((2, 2), (0, 1))])
def test_it_is_the_convolution_by_columns(size, padding):
    windows = [Window(3, 1, 1, before, after) for before, after in padding]
    if any(w.size_out(n) < 1 for w, n in zip(windows, size, strict=True)):
        pytest.skip("the window does not fit")
    rng = np.random.default_rng(1)
    x, kernel, bias = rng.standard_normal((3, *size, 5)), rng.standard_normal((1, 3, 3, 5, 4)), rng.standard_normal(4)
    expected, _ = convolve(x, kernel, windows, bias)
    np.testing.assert_allclose(winograd.convolve_3x3(x, kernel, windows, bias)[0], expected, atol=1e-12)


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (9, 3)])
def test_the_gradient_of_the_kernel_is_that_by_columns(size):
    windows = [Window(3, 1, 1, 1, 1)] * 2
    rng = np.random.default_rng(2)
    x, kernel, partner = rng.standard_normal((3, *size, 5)), rng.standard_normal((1, 3, 3, 5, 4)), rng.standard_normal((3, *size, 4))
    y, dkernel = winograd.convolve_3x3(x, kernel, windows, partner=partner)
    expected_y, expected = convolve(x, kernel, windows, partner=partner)
    np.testing.assert_allclose(y, expected_y, atol=1e-12)
    np.testing.assert_allclose(dkernel, expected, atol=1e-12)


def test_float32_rounds_little():
    """The points were chosen for this: with (0, 1, -1, 2, -2) the error is several times larger."""
    windows = [Window(3, 1, 1, 1, 1)] * 2
    rng = np.random.default_rng(3)
    x, kernel = rng.standard_normal((2, 16, 16, 64)), rng.standard_normal((1, 3, 3, 64, 64)) / 24
    exact, _ = convolve(x, kernel, windows)
    y, _ = winograd.convolve_3x3(x.astype(np.float32), kernel.astype(np.float32), windows)
    assert np.abs(y - exact).max() <= 5e-6 * np.abs(exact).max()


def test_what_it_takes():
    x, kernel, window = np.zeros((1, 8, 8, 16)), np.zeros((1, 3, 3, 16, 16)), Window(3, 1, 1, 1, 1)
    assert winograd.suits(x, kernel, [window, window])
    for other in (Window(3, 2, 1, 1, 1), Window(3, 1, 2, 2, 2), Window(1, 1, 1, 0, 0), Window(3, 1, 1, -1, 1)):
        assert not winograd.suits(x, kernel, [window, other])
    assert not winograd.suits(x, np.zeros((2, 3, 3, 8, 8)), [window, window])
    assert not winograd.suits(x, np.zeros((1, 3, 3, 3, 32)), [window, window])
