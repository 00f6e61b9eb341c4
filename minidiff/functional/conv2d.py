"""conv2d: a small kernel slides over images, at each place the sum of products.

Slides "Convolution" and "U-Net"."""

from __future__ import annotations

from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation
from minidiff.kernels import arguments
from minidiff.kernels.geometry import conv2d_geometry, taps


@operation(check=arguments.conv2d)
def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, i, j] = bias[o] + sum over c, u, v of weight[o, c, u, v] x[n, c, a, b]

    where a = i * stride + u * dilation - padding, and b likewise of j and v.
    x: (N, C, H, W); weight: (O, C / groups, rows, columns); bias: (O,)
    -> (N, O, H_out, W_out) with
    H_out = (H + 2 * padding - dilation * (rows - 1) - 1) // stride + 1.
    stride, padding, dilation: an int or a pair (rows, columns).
    Faster forms: kernels/cpu/conv2d.py, csrc/conv2d/."""
    xp = array_module(x)
    geometry = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation)
    N, (O, per_group) = len(x), weight.shape[:2]
    w = weight.reshape(groups, O // groups, *weight.shape[1:])
    padded = xp.pad(x.reshape(N, groups, per_group, *geometry.size), geometry.padding)
    y_g = xp.zeros((N, groups, O // groups, *geometry.size_out), x.dtype)
    for u, v, seen in taps(geometry):  # the pixels that kernel element (u, v) meets
        y_g += xp.einsum("goc,ngcij->ngoij", w[..., u, v], padded[seen])
    y = y_g.reshape(N, O, *geometry.size_out)
    y = y if bias is None else y + bias[:, None, None]

    def conv2d_backward(dy):
        """The same loop, its line transposed: once for the image, once for the kernel."""
        dbias = dy.sum(axis=(0, 2, 3))
        dy_g = dy.reshape(y_g.shape)
        dpadded, dw = xp.zeros_like(padded), xp.zeros_like(w)
        for u, v, seen in taps(geometry):
            dpadded[seen] += xp.einsum("goc,ngoij->ngcij", w[..., u, v], dy_g)
            dw[..., u, v] = xp.einsum("ngoij,ngcij->goc", dy_g, padded[seen])
        dx = dpadded[geometry.inside].reshape(x.shape)
        return dx, dw.reshape(weight.shape), dbias

    return y, conv2d_backward
