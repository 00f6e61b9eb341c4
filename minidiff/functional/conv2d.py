"""conv2d: a small kernel slides over images, at each place the sum of products.

Slides "Convolution" and "U-Net". The textbook form, one einsum over all windows, is in tests/functional/test_conv2d.py; here the same
sums are products of matrices (kernels/cpu/im2col.py), or Winograd's for the 3x3 kernel that a U-Net is made of (kernels/cpu/winograd.py).
"""

from __future__ import annotations

from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation
from minidiff.kernels.cpu.im2col import (
    convolve,
    convolve_transposed,
    kernel_gradient,
    sum_of_pixels,
)
from minidiff.kernels.cpu.scratch import channels_first, channels_last
from minidiff.kernels.cpu.winograd import convolve_3x3, suits
from minidiff.kernels.geometry import check_images_and_weight, transposed, windows_of


@operation
def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, i, j] = bias[o] + sum over c, u, v of weight[o, c, u, v] * x[n, c, i * stride + u * dilation - padding, j * ... ]

    x: (N, C, H, W), weight: (O, C / groups, rows, columns), bias: (O,) -> (N, O, H_out, W_out) with
    H_out = (H + 2 * padding - dilation * (rows - 1) - 1) // stride + 1. stride, padding, dilation: an int or a pair (rows, columns).
    Raises ValueError for shapes that do not fit, TypeError for dtypes.
    """
    array_module(x, weight, bias)
    check_images_and_weight("conv2d", x, weight, bias, groups, in_axis=1, layout="(O, C / groups, rows, columns)")
    windows = _windows(x, weight, stride, padding, dilation)
    images = channels_last(x)
    kernel = weight.reshape(groups, -1, *weight.shape[1:]).transpose(0, 3, 4, 2, 1)  # groups, rows, columns, in, out
    y, _ = _convolve(images, kernel, windows, bias)

    def conv2d_backward(dy, wanted):
        want_x, want_weight, want_bias = wanted[:3]
        dy = channels_last(dy)
        dx = dkernel = None
        if want_x and windows[0].stride == windows[1].stride == 1:
            # y = x * g  =>  dx = dy * flip(g)^T  and  flip(dg)^T = dy * x: both from the columns of dy
            flipped = kernel[:, ::-1, ::-1].swapaxes(3, 4)
            dx, dflipped = _convolve(dy, flipped, [transposed(w) for w in windows], partner=images if want_weight else None)
            dkernel = dflipped[:, ::-1, ::-1].swapaxes(3, 4) if want_weight else None
        else:
            if want_x:
                dx = convolve_transposed(dy, kernel.swapaxes(3, 4), windows, images.shape[1:3])
            if want_weight:
                dkernel = kernel_gradient(images, dy, kernel.shape, windows)
        return (
            channels_first(dx) if want_x else None,
            dkernel.transpose(0, 4, 3, 1, 2).reshape(weight.shape) if want_weight else None,
            sum_of_pixels(dy) if want_bias else None,
        )

    return channels_first(y), conv2d_backward


def _convolve(x, kernel, windows, bias=None, partner=None):
    by = convolve_3x3 if suits(x, kernel, windows) else convolve
    return by(x, kernel, windows, bias, partner)


def _windows(x, weight, stride, padding, dilation):
    windows = windows_of("conv2d", weight.shape[2:], stride, padding, dilation)
    for window, size, name in zip(windows, x.shape[2:], "HW", strict=True):
        padded = size + window.before + window.after
        if window.span > padded:
            raise ValueError(f"conv2d: the window reaches over {window.span} pixels, but x has {name} = {size}, with padding {padded}")
    return windows
