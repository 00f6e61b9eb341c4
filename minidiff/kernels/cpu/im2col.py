"""Convolution as a product of matrices ("im2col"): the loop under conv2d and conv_transpose2d.

A window that slides over an image covers taps * C numbers at each place. Write them as the rows of
a matrix, the columns of the image. Then all output pixels are one product  columns @ kernel,  and
the gradient of the kernel is  columns^T @ dy.

Images are (N, H, W, C) here and kernels (groups, rows, columns, in, out). The columns are taps
times larger than the image, so they are made for a few images at a time, as many as fit the cache
of one core.
"""

from __future__ import annotations

import numpy as np

from minidiff.engine.backend import array_module
from minidiff.kernels.cpu.scratch import scratch
from minidiff.kernels.geometry import phases

CHUNK = 2**17  # numbers in the columns of one chunk: half a megabyte in float32


class Columns:
    """The columns of images x.

    Called with a slice of images, it returns (images * H_out * W_out, groups, taps * C / groups).
    """

    def __init__(self, x, windows, groups):
        xp = array_module(x)
        n, h, w, c = x.shape
        rows, cols = windows
        self.x = x
        self.size_out = rows.size_out(h), cols.size_out(w)
        self.is_image = all(window == (1, 1, window.dilation, 0, 0) for window in windows)
        per_image = self.size_out[0] * self.size_out[1] * rows.taps * cols.taps * c
        self.chunk = max(1, min(n, CHUNK // max(per_image, 1))) if xp is np else max(n, 1)
        self.groups = groups
        if self.is_image:
            return
        shape = self.chunk, h + rows.before + rows.after, w + cols.before + cols.after, c
        padded = scratch(xp, "padded", shape, x.dtype)
        padded.fill(0)
        self.kept = (
            slice(max(-rows.before, 0), h + min(rows.after, 0)),
            slice(max(-cols.before, 0), w + min(cols.after, 0)),
        )
        self.inside = padded[
            :,
            max(rows.before, 0) : shape[1] - max(rows.after, 0),
            max(cols.before, 0) : shape[2] - max(cols.after, 0),
        ]
        view = xp.lib.stride_tricks.sliding_window_view(padded, (rows.span, cols.span), (1, 2))
        view = view[:, :: rows.stride, :: cols.stride, :, :: rows.dilation, :: cols.dilation]
        view = (
            view.reshape(view.shape[:3] + (groups, c // groups) + view.shape[4:])
            if groups > 1
            else view[:, :, :, None]
        )
        # image, output row, output column, group, tap row, tap column, channel
        self.covered = view.transpose(0, 1, 2, 3, 5, 6, 4)
        self.columns = scratch(xp, "columns", self.covered.shape, x.dtype)

    def __call__(self, images):
        x = self.x[images]
        n, c = x.shape[0], x.shape[3]
        if self.is_image:
            return x.reshape(-1, self.groups, c // self.groups)
        self.inside[:n] = x[:, self.kept[0], self.kept[1]]
        columns = self.columns[:n]
        columns[...] = self.covered[:n]
        return columns.reshape(
            -1, self.groups, columns.shape[4] * columns.shape[5] * columns.shape[6]
        )


def convolve(x, kernel, windows, bias=None, partner=None, out=None):
    """y = columns(x) @ kernel + bias, and with a partner also dkernel = columns(x)^T @ partner.

    x: (N, H, W, groups * in); kernel: (groups, rows, columns, in, out);
    partner: (N, H_out, W_out, groups * width); out: where to write y
    -> y (N, H_out, W_out, groups * out), dkernel (groups, rows, columns, in, width) or None
    """
    xp = array_module(x)
    groups, taps_h, taps_w, c_in, c_out = kernel.shape
    n = x.shape[0]
    columns = Columns(x, windows, groups)
    if out is None:
        out = xp.empty((n, *columns.size_out, groups * c_out), x.dtype)
    matrix = kernel.reshape(groups, taps_h * taps_w * c_in, c_out)
    direct = out.flags.c_contiguous
    row = columns.size_out[1] * groups * c_out
    bias_row = None if bias is None else xp.tile(bias, columns.size_out[1])
    dmatrix = None
    for first in range(0, n, columns.chunk):
        images = slice(first, first + columns.chunk)
        a = columns(images).transpose(1, 0, 2)
        y = out[images]
        target = y if direct else scratch(xp, "product", y.shape, y.dtype)
        xp.matmul(a, matrix, out=target.reshape(-1, groups, c_out).transpose(1, 0, 2))
        if bias is not None:
            target = target.reshape(-1, row)
            target += bias_row
        if not direct:
            y[...] = target.reshape(y.shape)
        if partner is not None:
            dmatrix = _accumulate(dmatrix, a, partner[images])
    if partner is None:
        return out, None
    return out, _as_kernel(
        xp, dmatrix, (groups, taps_h, taps_w, c_in, partner.shape[3] // groups), x.dtype
    )


def kernel_gradient(x, dy, kernel_shape, windows):
    """dkernel = columns(x)^T @ dy, summed over all images.    -> an array of kernel_shape."""
    xp = array_module(x)
    columns = Columns(x, windows, kernel_shape[0])
    dmatrix = None
    for first in range(0, x.shape[0], columns.chunk):
        images = slice(first, first + columns.chunk)
        dmatrix = _accumulate(dmatrix, columns(images).transpose(1, 0, 2), dy[images])
    return _as_kernel(xp, dmatrix, kernel_shape, x.dtype)


def sum_of_pixels(x):
    """(N, H, W, C) -> (C,), as a product with ones: faster, and more exact, than NumPy's sum."""
    pixels = x.reshape(-1, x.shape[3])
    return array_module(x).ones(pixels.shape[0], x.dtype) @ pixels


def _accumulate(total, a, partner):
    """total + a^T @ partner, group by group."""
    groups = a.shape[0]
    product = a.transpose(0, 2, 1) @ partner.reshape(
        -1, groups, partner.shape[3] // groups
    ).transpose(1, 0, 2)
    if total is None:
        return product
    total += product
    return total


def _as_kernel(xp, dmatrix, shape, dtype):
    return xp.zeros(shape, dtype) if dmatrix is None else dmatrix.reshape(shape)


def convolve_transposed(x, kernel, windows, size_out, bias=None):
    """The transpose of `convolve`: each input pixel adds its kernel to the outputs around it.

    x: (N, H, W, groups * in); kernel: (groups, rows, columns, in, out)
    -> (N, *size_out, groups * out). Nothing is added up: for each residue of the output's row and
    column this is an ordinary convolution (see `phases`).
    """
    xp = array_module(x)
    n, h, w, _ = x.shape
    stride_h, stride_w = windows[0].stride, windows[1].stride
    out = xp.empty((n, *size_out, kernel.shape[0] * kernel.shape[4]), x.dtype)
    for r, taps_h, window_h in phases(windows[0], h, size_out[0]):
        for s, taps_w, window_w in phases(windows[1], w, size_out[1]):
            part = out[:, r::stride_h, s::stride_w]
            if taps_h and taps_w:
                convolve(x, kernel[:, taps_h][:, :, taps_w], (window_h, window_w), bias, out=part)
            else:
                part[...] = 0 if bias is None else bias
    return out
