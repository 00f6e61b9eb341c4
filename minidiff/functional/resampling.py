"""Smaller and larger images without weights: average pooling and nearest-neighbour interpolation.    x: (N, C, H, W)."""

from __future__ import annotations

from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation


def _check_image(name, x):
    if x.ndim != 4:
        raise ValueError(f"{name}: x must be (N, C, H, W), got shape {x.shape}")


@operation
def avg_pool2d(x, kernel_size):
    """The mean of each kernel_size x kernel_size square; a remainder at the right and bottom is left out (floor, as PyTorch).

    x: (N, C, H, W) -> (N, C, H // kernel_size, W // kernel_size).
    """
    xp = array_module(x)
    _check_image("avg_pool2d", x)
    k, (N, C, H, W) = kernel_size, x.shape
    if not isinstance(k, int) or not 1 <= k <= min(H, W):
        raise ValueError(f"avg_pool2d: kernel_size must be an int in 1..{min(H, W)} for images of {H}x{W}, got {k!r}")
    h, w = H // k, W // k
    y = x[:, :, : h * k, : w * k].reshape(N, C, h, k, w, k).mean(axis=(3, 5))

    def avg_pool2d_backward(dy):
        dx = xp.zeros((N, C, H, W), dy.dtype)
        dx[:, :, : h * k, : w * k] = xp.repeat(xp.repeat(dy / (k * k), k, axis=2), k, axis=3)
        return dx

    return y, avg_pool2d_backward


@operation
def interpolate(x, scale_factor):
    """Each pixel repeated scale_factor x scale_factor times (PyTorch: mode="nearest").    (N, C, H, W) -> (N, C, H * s, W * s)."""
    xp = array_module(x)
    _check_image("interpolate", x)
    s, (N, C, H, W) = scale_factor, x.shape
    if not isinstance(s, int) or s < 1:
        raise ValueError(f"interpolate: scale_factor must be an int >= 1, got {s!r}")
    y = xp.repeat(xp.repeat(x, s, axis=2), s, axis=3)

    def interpolate_backward(dy):
        return dy.reshape(N, C, H, s, W, s).sum(axis=(3, 5))

    return y, interpolate_backward
