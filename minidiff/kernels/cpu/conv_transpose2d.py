"""conv_transpose2d as products of matrices: a convolution for each residue of the output index."""

from __future__ import annotations

from minidiff.engine.registry import register_kernel
from minidiff.kernels.cpu.im2col import (
    convolve,
    convolve_transposed,
    kernel_gradient,
    sum_of_pixels,
)
from minidiff.kernels.cpu.scratch import channels_first, channels_last
from minidiff.kernels.geometry import conv_transpose2d_geometry, pair


def im2col(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """conv_transpose2d by im2col.py, for all arguments that conv_transpose2d takes."""
    geometry = conv_transpose2d_geometry(
        x.shape, weight.shape, stride, padding, output_padding, dilation
    )
    extra = pair("conv_transpose2d", "output_padding", output_padding, 0)
    windows = tuple(
        window._replace(after=window.after - e)
        for window, e in zip(geometry[:2], extra, strict=True)
    )
    images = channels_last(x)
    # groups, rows, columns, in, out
    kernel = weight.reshape(groups, -1, *weight.shape[1:]).transpose(0, 3, 4, 1, 2)
    y = convolve_transposed(images, kernel, windows, geometry.size, bias)

    def conv_transpose2d_backward(dy, wanted):
        want_x, want_weight, want_bias = wanted[:3]
        dy = channels_last(dy)
        dx = dkernel = None
        backwards = kernel.swapaxes(3, 4)
        if want_x:
            partner = images if want_weight else None
            dx, dkernel = convolve(dy, backwards, windows, partner=partner)
        elif want_weight:
            dkernel = kernel_gradient(dy, images, backwards.shape, windows)
        return (
            channels_first(dx) if want_x else None,
            dkernel.transpose(0, 4, 3, 1, 2).reshape(weight.shape) if want_weight else None,
            sum_of_pixels(dy) if want_bias else None,
        )

    return channels_first(y), conv_transpose2d_backward


register_kernel("conv_transpose2d", "im2col", im2col)
