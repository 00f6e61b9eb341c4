import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F


def against_torch(ours, theirs, shape):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    array = md.RNG(0).normal(shape)
    x, x_torch = md.Tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    y, y_torch = ours(x), theirs(torch, x_torch)
    assert y.shape == tuple(y_torch.shape)
    dy = md.RNG(1).normal(y.shape)
    y.backward(dy)
    y_torch.backward(torch.tensor(dy))
    np.testing.assert_allclose(y.data, y_torch.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(x.grad, x_torch.grad.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape, k", [((2, 3, 4, 6), 2), ((1, 2, 5, 7), 2), ((1, 1, 7, 8), 3), ((2, 1, 3, 3), 1), ((1, 1, 3, 5), 3)])
def test_avg_pool2d_is_torchs_with_remainders_left_out(shape, k):
    against_torch(lambda x: F.avg_pool2d(x, k), lambda torch, x: torch.nn.functional.avg_pool2d(x, k), shape)


@pytest.mark.parametrize("shape, s", [((2, 3, 4, 6), 2), ((1, 2, 1, 3), 3), ((1, 1, 2, 2), 1)])
def test_interpolate_is_torchs_nearest(shape, s):
    against_torch(
        lambda x: F.interpolate(x, scale_factor=s),
        lambda torch, x: torch.nn.functional.interpolate(x, scale_factor=s, mode="nearest"),
        shape,
    )


def test_pooling_undoes_interpolation():
    x = md.RNG(0).normal((2, 3, 4, 5), np.float64)
    np.testing.assert_allclose(F.avg_pool2d(F.interpolate(x, 3), 3).data, x)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.avg_pool2d(np.ones((2, 3, 4)), 2), r"avg_pool2d: x must be \(N, C, H, W\), got shape \(2, 3, 4\)"),
        (lambda: F.avg_pool2d(np.ones((1, 1, 4, 3)), 4), r"avg_pool2d: kernel_size must be an int in 1..3 for images of 4x3, got 4"),
        (lambda: F.avg_pool2d(np.ones((1, 1, 4, 4)), 0), r"avg_pool2d: kernel_size must be an int in 1..4 for images of 4x4, got 0"),
        (lambda: F.avg_pool2d(np.ones((1, 1, 4, 4)), (2, 2)), r"avg_pool2d: kernel_size must be an int in 1..4 .* got \(2, 2\)"),
        (lambda: F.interpolate(np.ones((3, 4)), 2), r"interpolate: x must be \(N, C, H, W\), got shape \(3, 4\)"),
        (lambda: F.interpolate(np.ones((1, 1, 2, 2)), 1.5), "interpolate: scale_factor must be an int >= 1, got 1.5"),
    ],
)
def test_what_it_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()
