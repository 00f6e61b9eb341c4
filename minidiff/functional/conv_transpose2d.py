"""conv_transpose2d: each input pixel adds its kernel, scaled, to the output around it; a stride makes the image larger.

Slide "U-Net" (up-sampling). It is the transpose of conv2d as a linear map, hence its name, and conv2d is its derivative.
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
from minidiff.kernels.geometry import check_images_and_weight, pair, windows_of


@operation
def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """y[n, o, i, j] = bias[o] + sum of weight[c, o, u, v] * x[n, c, a, b]  where  i = a * stride + u * dilation - padding, j likewise.

    x: (N, C, H, W), weight: (C, O / groups, rows, columns), bias: (O,) -> (N, O, H_out, W_out) with
    H_out = (H - 1) * stride - 2 * padding + dilation * (rows - 1) + output_padding + 1. The sizes are ints or pairs (rows, columns);
    output_padding, smaller than stride or dilation, chooses among the sizes that conv2d with this stride would make H of.
    Raises ValueError for shapes that do not fit, TypeError for dtypes.
    """
    array_module(x, weight, bias)
    check_images_and_weight("conv_transpose2d", x, weight, bias, groups, in_axis=0, layout="(C, O / groups, rows, columns)")
    windows, size_out = _windows(x, weight, stride, padding, output_padding, dilation)
    images = channels_last(x)
    kernel = weight.reshape(groups, -1, *weight.shape[1:]).transpose(0, 3, 4, 1, 2)  # groups, rows, columns, in, out
    y = convolve_transposed(images, kernel, windows, size_out, bias)

    def conv_transpose2d_backward(dy, wanted):
        want_x, want_weight, want_bias = wanted[:3]
        dy = channels_last(dy)
        dx = dkernel = None
        if want_x:
            dx, dkernel = convolve(dy, kernel.swapaxes(3, 4), windows, partner=images if want_weight else None)
        elif want_weight:
            dkernel = kernel_gradient(dy, images, kernel.swapaxes(3, 4).shape, windows)
        return (
            channels_first(dx) if want_x else None,
            dkernel.transpose(0, 4, 3, 1, 2).reshape(weight.shape) if want_weight else None,
            sum_of_pixels(dy) if want_bias else None,
        )

    return channels_first(y), conv_transpose2d_backward


def _windows(x, weight, stride, padding, output_padding, dilation):
    """The windows of the convolution that this one transposes, and the size of the output."""
    windows = windows_of("conv_transpose2d", weight.shape[2:], stride, padding, dilation)
    extra = pair("conv_transpose2d", "output_padding", output_padding, 0)
    for e, window in zip(extra, windows, strict=True):
        if e >= max(window.stride, window.dilation):
            raise ValueError(f"conv_transpose2d: output_padding must be smaller than stride or dilation, got {output_padding!r}")
    windows = tuple(window._replace(after=window.after - e) for window, e in zip(windows, extra, strict=True))
    size_out = tuple(
        (size - 1) * window.stride - window.before - window.after + window.span for size, window in zip(x.shape[2:], windows, strict=True)
    )
    if min(size_out) < 1:
        raise ValueError(f"conv_transpose2d: padding {padding!r} leaves {size_out[0]}x{size_out[1]} pixels of x with shape {x.shape}")
    return windows, size_out
