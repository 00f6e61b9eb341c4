"""conv_transpose2d: each input pixel adds its kernel, scaled, to the output around it.

A stride makes the image larger (slide "U-Net", up-sampling). As a linear map it is the
transpose of conv2d, hence its name: its forward loop is conv2d's backward loop."""

from __future__ import annotations

from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation
from minidiff.kernels import arguments
from minidiff.kernels.geometry import conv_transpose2d_geometry, taps


@operation(check=arguments.conv_transpose2d)
def conv_transpose2d(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """y[n, o, a, b] = bias[o] + sum over c, i, j of weight[c, o, u, v] x[n, c, i, j]

    where a = i * stride + u * dilation - padding, and b likewise of j and v.
    x: (N, C, H, W); weight: (C, O / groups, rows, columns); bias: (O,)
    -> (N, O, H_out, W_out) with
    H_out = (H - 1) * stride - 2 * padding + dilation * (rows - 1) + output_padding + 1.
    stride, padding, output_padding, dilation: an int or a pair (rows, columns).
    Several sizes H_out become H by conv2d with a stride: output_padding, smaller than
    stride or dilation, chooses among them.
    Faster forms: kernels/cpu/conv_transpose2d.py, csrc/conv2d/."""
    xp = array_module(x)
    sizes = stride, padding, output_padding, dilation
    geometry = conv_transpose2d_geometry(x.shape, weight.shape, *sizes)
    (N, C), per_group = x.shape[:2], weight.shape[1]
    x_g = x.reshape(N, groups, C // groups, *geometry.size_out)
    w = weight.reshape(groups, C // groups, *weight.shape[1:])
    y_g = xp.zeros((N, groups, per_group, *geometry.size), x.dtype)
    padded = xp.pad(y_g, geometry.padding)
    for u, v, met in taps(geometry):  # the pixels that kernel element (u, v) adds to
        padded[met] += xp.einsum("gco,ngcij->ngoij", w[..., u, v], x_g)
    y = padded[geometry.inside].reshape(N, groups * per_group, *geometry.size)
    y = y if bias is None else y + bias[:, None, None]

    def conv_transpose2d_backward(dy):
        """The same loop, its line transposed: once for the image, once for the kernel."""
        dbias = dy.sum(axis=(0, 2, 3))
        dpadded = xp.pad(dy.reshape(y_g.shape), geometry.padding)
        dx, dw = xp.zeros_like(x_g), xp.zeros_like(w)
        for u, v, met in taps(geometry):
            dx += xp.einsum("gco,ngoij->ngcij", w[..., u, v], dpadded[met])
            dw[..., u, v] = xp.einsum("ngcij,ngoij->gco", x_g, dpadded[met])
        return dx.reshape(x.shape), dw.reshape(weight.shape), dbias

    return y, conv_transpose2d_backward
