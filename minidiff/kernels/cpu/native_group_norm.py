"""group_norm and group_norm_swish in C++: csrc/cpu/group_norm.h."""

from __future__ import annotations

import numpy as np

from minidiff.engine.registry import register_kernel
from minidiff.kernels.cpu.native import contiguous, float32, is_faster


def group_norm_kernel(swish):
    """group_norm, or group_norm_swish."""

    def group_norm_native(x, num_groups, weight=None, bias=None, eps=1e-5):
        module = float32(x=x, weight=weight, bias=bias)
        images, (N, C) = pixels_of(x), x.shape[:2]
        y = np.empty_like(images)
        mean, inverse_std = np.empty((2, N, num_groups), np.float32)
        weight, bias = contiguous(weight), contiguous(bias)
        norm = (num_groups, weight, bias, eps, swish)
        module.group_norm_forward(images, *norm, y, mean, inverse_std)

        def group_norm_native_backward(dy):
            dx = np.empty_like(images)
            dweight, dbias = np.empty((2, C), np.float32)
            norm = (num_groups, weight, bias, swish, mean, inverse_std)
            module.group_norm_backward(images, pixels_of(dy), *norm, dx, dweight, dbias)
            return (
                as_images(dx, x.shape),
                None,
                None if weight is None else dweight,
                None if bias is None else dbias,
            )

        return as_images(y, x.shape), group_norm_native_backward

    return group_norm_native


def pixels_of(x):
    """(N, C, ...) -> (N, pixels, C), contiguous."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).reshape(len(x), -1, x.shape[1])


def as_images(pixels, shape):
    """(N, pixels, C) -> shape (N, C, ...), a view."""
    N, C, *rest = shape
    return np.moveaxis(pixels.reshape(N, *rest, C), -1, 1)


if is_faster():
    register_kernel("group_norm", "native", group_norm_kernel(swish=False), devices=("cpu",))
    register_kernel("group_norm_swish", "native", group_norm_kernel(swish=True), devices=("cpu",))
