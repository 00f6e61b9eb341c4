"""group_norm and group_norm_swish on a few images at a time, whose arrays stay in the cache.

group_norm_swish, as in every residual block of a U-Net, reads and writes the memory once.
"""

from __future__ import annotations

import numpy as np

from minidiff.engine.backend import array_module
from minidiff.engine.registry import register_kernel
from minidiff.kernels.cpu.scratch import chunks, scratch

CHUNK = 2**16  # numbers worked on at a time: a handful of such arrays fit the cache of a core


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """group_norm, for all arguments that it takes."""
    norm = _GroupNorm(x, num_groups, weight, bias, eps)
    y = norm.empty()
    for images in norm.chunks:
        norm.normalize(images, out=y[images])

    def group_norm_backward(dy):
        gradients = norm.new_gradients()
        dy = norm.rows(dy)
        for images in norm.chunks:
            norm.backward(images, norm.centred(images), dy[images], gradients)
        return norm.finish(gradients)

    return norm.like_x(y), group_norm_backward


def group_norm_swish(x, num_groups, weight=None, bias=None, eps=1e-5):
    """group_norm_swish, for all arguments that it takes."""
    xp = array_module(x)
    norm = _GroupNorm(x, num_groups, weight, bias, eps, factor=0.5)
    y = norm.empty()
    for images in norm.chunks:
        # u = z / 2, half of what group_norm returns
        u = norm.normalize(images, out=norm.scratch("u", images))
        h = xp.tanh(u, out=norm.scratch("h", images))
        h += 1
        xp.multiply(u, h, out=y[images])  # z * sigmoid(z) = u * (1 + tanh(u))

    def group_norm_swish_backward(dy):
        """y = u (1 + h), h = tanh(u)  =>  dy/du = 1 + h + u (1 - h^2) = (1 + u - u h) (1 + h)"""
        gradients = norm.new_gradients()
        dy = norm.rows(dy)
        for images in norm.chunks:
            t = norm.centred(images)
            u = norm.scaled(images, t, out=norm.scratch("u", images))
            h = xp.tanh(u, out=norm.scratch("h", images))
            du = xp.multiply(u, h, out=norm.scratch("du", images))
            xp.subtract(u, du, out=du)
            du += 1
            h += 1
            du *= h
            du *= dy[images]
            norm.backward(images, t, du, gradients)
        return norm.finish(gradients)

    return norm.like_x(y), group_norm_swish_backward


class _GroupNorm:
    """The work of group_norm, on a chunk of images at a time.

    Images are kept as (N, H, W * C), one row of numbers for each row of pixels. A short loop over
    the few channels of a group is what NumPy is slowest at. So the sum over a group is a product
    with `members` (W * C, groups), 1 where a number belongs to a group; its transpose hands a
    number per group out to the row.
    factor: what the result is multiplied by.
    """

    def __init__(self, x, num_groups, weight, bias, eps, factor=1):
        xp = self.xp = array_module(x, weight, bias)
        N, C = x.shape[:2]
        self.shape, self.pixels = x.shape, x.shape[-1] if x.ndim > 2 else 1
        self.x = self.rows(x)
        row = self.x.shape[2]
        group = xp.arange(row)[:, None] % C // (C // num_groups)
        self.members = (group == xp.arange(num_groups)).astype(x.dtype)
        self.averages = self.members / max(x[:1].size // num_groups, 1)
        self.ones = xp.ones((1, self.x.shape[1]), x.dtype)
        self.weight, self.bias, self.eps, self.factor = weight, bias, eps, factor
        self.weight_row = factor if weight is None else xp.tile(factor * weight, self.pixels)
        self.bias_row = None if bias is None else xp.tile(factor * bias, self.pixels)
        self.mean = xp.empty((N, 1, num_groups), x.dtype)
        self.inverse_std = xp.empty((N, 1, num_groups), x.dtype)
        self.chunks = chunks(N, CHUNK * N // max(x.size, 1)) if xp is np else [slice(0, N)]

    # -- layout ----------------------------------------------------------------

    def rows(self, x):
        """(N, C, ..., W) -> (N, H, W * C), channels last."""
        row = self.pixels * self.shape[1]
        last = self.xp.ascontiguousarray(self.xp.moveaxis(x, 1, -1))
        return last.reshape(x.shape[0], x[:1].size // row, row)

    def like_x(self, rows):
        """The way back."""
        N, C, *rest = self.shape
        return self.xp.moveaxis(rows.reshape(N, *rest, C), -1, 1)

    def empty(self):
        return self.xp.empty(self.x.shape, self.x.dtype)

    def scratch(self, name, images):
        return scratch(self.xp, name, self.x[images].shape, self.x.dtype)

    # -- sums over groups ------------------------------------------------------

    def row_sum(self, a):
        """(n, H, W * C) -> (n, 1, W * C)"""
        return self.ones @ a

    def group_mean(self, row_sum):
        """(n, 1, W * C) -> (n, 1, groups)"""
        return row_sum @ self.averages

    def spread(self, of_group):
        """(n, 1, groups) -> (n, 1, W * C)"""
        return of_group @ self.members.T

    # -- forward ---------------------------------------------------------------

    def normalize(self, images, out):
        """factor * (x_hat * weight + bias) of these images; their mean and 1 / std are kept."""
        self.mean[images] = self.group_mean(self.row_sum(self.x[images]))
        t = self.centred(images)
        square = self.xp.multiply(t, t, out=self.scratch("square", images))
        var = self.group_mean(self.row_sum(square))
        self.inverse_std[images] = 1 / self.xp.sqrt(var + self.eps)
        return self.scaled(images, t, out)

    def centred(self, images):
        """t = x - mean"""
        mean = self.spread(self.mean[images])
        return self.xp.subtract(self.x[images], mean, out=self.scratch("t", images))

    def scaled(self, images, t, out):
        """factor * (t / std * weight + bias)"""
        self.xp.multiply(t, self.slope(images), out=out)
        if self.bias is not None:
            out += self.bias_row
        return out

    def slope(self, images):
        """factor * weight / std: dy/dx if mean and variance stood still."""
        return self.spread(self.inverse_std[images]) * self.weight_row

    # -- backward --------------------------------------------------------------

    def new_gradients(self):
        N, _, row = self.x.shape
        sums = self.xp.empty((2, N, 1, row), self.x.dtype)
        return {"x": self.empty(), "sum_dy": sums[0], "sum_dy_t": sums[1]}

    def backward(self, images, t, dy, gradients):
        """dx of these images from dy. The sums that make dweight and dbias are kept.

        t = x - mean is used up.

        With dx_hat = dy * weight and x_hat = t / std:
        dx = (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) / std
        """
        xp, inverse_std = self.xp, self.inverse_std[images]
        sum_dy = gradients["sum_dy"][images] = self.row_sum(dy)
        dy_t = xp.multiply(dy, t, out=self.scratch("product", images))
        sum_dy_t = gradients["sum_dy_t"][images] = self.row_sum(dy_t)
        dx = xp.multiply(dy, self.slope(images), out=self.scratch("product", images))
        dx -= self.spread(self.group_mean(sum_dy * self.weight_row) * inverse_std)
        t *= self.spread(self.group_mean(sum_dy_t * self.weight_row) * inverse_std**3)
        xp.subtract(dx, t, out=gradients["x"][images])

    def finish(self, gradients):
        """The gradients of the operation's arguments, in order."""
        dweight = dbias = None
        if self.weight is not None:
            dweight = self._per_channel(gradients["sum_dy_t"] * self.spread(self.inverse_std))
        if self.bias is not None:
            dbias = self._per_channel(gradients["sum_dy"])
        return self.like_x(gradients["x"]), None, dweight, dbias

    def _per_channel(self, sums):
        return self.factor * sums.reshape(-1, self.shape[1]).sum(axis=0)


register_kernel("group_norm", "chunked", group_norm)
register_kernel("group_norm_swish", "chunked", group_norm_swish)
