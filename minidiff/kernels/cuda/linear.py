"""linear by the kernels of conv2d: y = x W^T + b is a convolution with a 1 x 1 kernel.

Tokens (B, T, C) are the pixels of B images: a view of images (B, C, T), as in the U-Net's
attention, is taken without a copy. Vectors (B, C) are B images of one pixel, without a copy too.
And these kernels can be recorded in a CUDA graph, while CuPy refuses to record the cuBLAS calls of
the definition.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minidiff.engine.registry import Unsupported
from minidiff.kernels.cuda.conv2d import contiguous, parameter_gradients, permitted
from minidiff.kernels.cuda.conv2d_launch import (
    Conv,
    forward,
    input_gradient,
)
from minidiff.kernels.cuda.library import native, register_versions


def linear(version: str) -> Callable:
    """linear by the kernels of this version."""

    def linear_by_kernels(x, weight, bias=None):
        native(x, weight, bias)
        kernel = permitted(version, x)
        conv = sizes(x, weight, bias)
        as_kernel = weight.reshape(conv.weight_shape)
        images = contiguous(as_images(x))  # once, also for the weight's gradient
        y = forward(kernel, conv, images, as_kernel, bias)

        def linear_backward(dy, wanted):
            want_x, want_weight, want_bias = (*wanted, False, False)[:3]
            dy = contiguous(as_images(dy))
            dx = input_gradient(kernel, conv, dy, as_kernel) if want_x else None
            dweight, dbias = parameter_gradients(
                kernel, conv, dy, images, want_weight, want_bias and bias is not None
            )
            return (
                None if dx is None else as_rows(dx, x.shape[:-1]),
                None if dweight is None else dweight.reshape(weight.shape),
                dbias,
            )

        return as_rows(y, x.shape[:-1]), linear_backward

    return linear_by_kernels


def sizes(x: Any, weight: Any, bias: Any) -> Conv:
    """The convolution.

    Raises: Unsupported if a size is 0.
    """
    if 0 in x.shape or 0 in weight.shape:
        raise Unsupported(f"a size is 0: x {x.shape}, weight {weight.shape}")
    rows = rows_of_image(x)
    (c_out, c_in), images = weight.shape, math.prod(x.shape[:-1]) // rows
    return Conv(
        N=images, C=c_in, H=rows, W=1, O=c_out, U=1, V=1, I=rows, J=1, stride_h=1, stride_w=1,
        padding_h=0, padding_w=0, dilation_h=1, dilation_w=1, groups=1,
    )  # fmt: skip


def rows_of_image(x: Any) -> int:
    return x.shape[-2] if x.ndim > 2 else 1


def as_images(x: Any) -> Any:
    """(..., T, C) -> (images, C, T, 1)"""
    return x.reshape(-1, rows_of_image(x), x.shape[-1]).swapaxes(1, 2)[..., None]


def as_rows(y: Any, shape: tuple[int, ...]) -> Any:
    """(images, O, T, 1) -> (..., T, O), a view.    shape: (..., T)"""
    return y[..., 0].swapaxes(1, 2).reshape(*shape, y.shape[1])


register_versions("linear", linear, ("naive", "tiled", "tf32", "tf32x3", "fast"))
