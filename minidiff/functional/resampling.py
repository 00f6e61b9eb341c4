"""Smaller and larger images without weights: average pooling and repetition."""

from __future__ import annotations

from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation
from minidiff.kernels import arguments


@operation(check=arguments.avg_pool2d)
def avg_pool2d(x, kernel_size):
    """y = the mean of each kernel_size x kernel_size square

    x: (N, C, H, W) -> (N, C, H // kernel_size, W // kernel_size). A remainder at the
    right and at the bottom is left out (floor, as in PyTorch)."""
    xp = array_module(x)
    k, (N, C, H, W) = kernel_size, x.shape
    h, w = H // k, W // k
    y = x[:, :, : h * k, : w * k].reshape(N, C, h, k, w, k).mean(axis=(3, 5))

    def avg_pool2d_backward(dy):
        share = dy / (k * k)
        dx = xp.zeros((N, C, H, W), dy.dtype)
        dx[:, :, : h * k, : w * k] = xp.repeat(xp.repeat(share, k, axis=2), k, axis=3)
        return dx

    return y, avg_pool2d_backward


@operation(check=arguments.interpolate)
def interpolate(x, scale_factor):
    """y = x with each pixel repeated scale_factor x scale_factor times

    x: (N, C, H, W) -> (N, C, H * s, W * s). Interpolation by the nearest neighbour."""
    xp = array_module(x)
    s, (N, C, H, W) = scale_factor, x.shape
    y = xp.repeat(xp.repeat(x, s, axis=2), s, axis=3)

    def interpolate_backward(dy):
        return dy.reshape(N, C, H, s, W, s).sum(axis=(3, 5))

    return y, interpolate_backward
