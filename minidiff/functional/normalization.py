"""Normalisation: subtract the mean, divide by the standard deviation, then scale by `weight` and shift by `bias`, learnt per channel.

group_norm          over each group of channels of each image (Wu & He 2018)     slide "U-Net"
group_norm_swish    the same followed by Swish, as in every residual block: one pass over memory instead of two
layer_norm          over the last axes (Ba, Kiros & Hinton 2016)

The derivative of the normalisation itself, for x_hat = (x - mean) / std and any of these averages, is
dx = (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) / std.
"""

from __future__ import annotations

import numpy as np

from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation
from minidiff.kernels.cpu.scratch import chunks, scratch

CHUNK = 2**16  # numbers that are worked on at a time: a handful of such arrays fit the cache of a core


@operation
def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and variance taken over each of `num_groups` groups of channels of each image.

    x: (N, C, ...), weight, bias: (C,) or None -> x's shape.    Raises ValueError if C is no multiple of num_groups or a shape does not fit.
    """
    _check_group_norm("group_norm", x, num_groups, weight, bias)
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


@operation
def group_norm_swish(x, num_groups, weight=None, bias=None, eps=1e-5):
    """swish(group_norm(x, num_groups, weight, bias, eps)), faster; arguments and errors as there."""
    _check_group_norm("group_norm_swish", x, num_groups, weight, bias)
    xp = array_module(x)
    norm = _GroupNorm(x, num_groups, weight, bias, eps, factor=0.5)
    y = norm.empty()
    for images in norm.chunks:
        u = norm.normalize(images, out=norm.scratch("u", images))  # u = z / 2, half of what group_norm returns
        h = xp.tanh(u, out=norm.scratch("h", images))
        h += 1
        xp.multiply(u, h, out=y[images])  # z * sigmoid(z) = u * (1 + tanh(u))

    def group_norm_swish_backward(dy):
        """y = u * (1 + h) with h = tanh(u)  =>  dy/du = 1 + h + u * (1 - h^2) = (1 + u - u * h) * (1 + h)"""
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
    """The work of group_norm, on a chunk of images at a time; factor: what the result is multiplied by.

    Images are kept as (N, H, W * C), one row of numbers for each row of pixels. A short loop over the few channels of a group is what NumPy
    is slowest at, so the sum over a group is taken as a product with `members` (W * C, groups), 1 where a number belongs to a group; its
    transpose hands a number per group out to the row.
    """

    def __init__(self, x, num_groups, weight, bias, eps, factor=1):
        xp = self.xp = array_module(x, weight, bias)
        N, C = x.shape[:2]
        self.shape, self.pixels = x.shape, x.shape[-1] if x.ndim > 2 else 1
        self.x = self.rows(x)
        row = self.x.shape[2]
        self.members = (xp.arange(row)[:, None] % C // (C // num_groups) == xp.arange(num_groups)).astype(x.dtype)
        self.averages = self.members / max(x[:1].size // num_groups, 1)
        self.ones = xp.ones((1, self.x.shape[1]), x.dtype)
        self.weight, self.bias, self.eps, self.factor = weight, bias, eps, factor
        self.weight_row = factor if weight is None else xp.tile(factor * weight, self.pixels)
        self.bias_row = None if bias is None else xp.tile(factor * bias, self.pixels)
        self.mean = xp.empty((N, 1, num_groups), x.dtype)
        self.inverse_std = xp.empty((N, 1, num_groups), x.dtype)
        self.chunks = chunks(N, CHUNK * N // max(x.size, 1)) if xp is np else [slice(0, N)]

    # -- layout ----------------------------------------------------------------------------------------------------------------------

    def rows(self, x):
        """(N, C, ..., W) -> (N, H, W * C), channels last."""
        row = self.pixels * self.shape[1]
        return self.xp.ascontiguousarray(self.xp.moveaxis(x, 1, -1)).reshape(x.shape[0], x[:1].size // row, row)

    def like_x(self, rows):
        """The way back."""
        N, C, *rest = self.shape
        return self.xp.moveaxis(rows.reshape(N, *rest, C), -1, 1)

    def empty(self):
        return self.xp.empty(self.x.shape, self.x.dtype)

    def scratch(self, name, images):
        return scratch(self.xp, name, self.x[images].shape, self.x.dtype)

    # -- sums over groups ------------------------------------------------------------------------------------------------------------

    def row_sum(self, a):
        """(n, H, W * C) -> (n, 1, W * C)"""
        return self.ones @ a

    def group_mean(self, row_sum):
        """(n, 1, W * C) -> (n, 1, groups)"""
        return row_sum @ self.averages

    def spread(self, of_group):
        """(n, 1, groups) -> (n, 1, W * C)"""
        return of_group @ self.members.T

    # -- forward ---------------------------------------------------------------------------------------------------------------------

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
        return self.xp.subtract(self.x[images], self.spread(self.mean[images]), out=self.scratch("t", images))

    def scaled(self, images, t, out):
        """factor * (t / std * weight + bias)"""
        self.xp.multiply(t, self.slope(images), out=out)
        if self.bias is not None:
            out += self.bias_row
        return out

    def slope(self, images):
        """factor * weight / std: dy/dx if mean and variance stood still."""
        return self.spread(self.inverse_std[images]) * self.weight_row

    # -- backward --------------------------------------------------------------------------------------------------------------------

    def new_gradients(self):
        N, _, row = self.x.shape
        sums = self.xp.empty((2, N, 1, row), self.x.dtype)
        return {"x": self.empty(), "sum_dy": sums[0], "sum_dy_t": sums[1]}

    def backward(self, images, t, dy, gradients):
        """dx of these images from dy; t = x - mean is used up. The sums that make dweight and dbias are kept.

        With dx_hat = dy * weight:  dx = (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) / std,  x_hat = t / std
        """
        xp, inverse_std = self.xp, self.inverse_std[images]
        sum_dy = gradients["sum_dy"][images] = self.row_sum(dy)
        sum_dy_t = gradients["sum_dy_t"][images] = self.row_sum(xp.multiply(dy, t, out=self.scratch("product", images)))
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


def _check_group_norm(name, x, num_groups, weight, bias):
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: x must be floating-point, got {x.dtype}")
    if x.ndim < 2:
        raise ValueError(f"{name}: x must be (N, C, ...), got shape {x.shape}")
    if not isinstance(num_groups, int) or num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(f"{name}: x has C = {x.shape[1]}, which num_groups = {num_groups!r} must divide")
    _check_parameters(name, x, {"weight": weight, "bias": bias}, x.shape[1:2])


def _check_parameters(name, x, parameters, shape):
    for parameter, array in parameters.items():
        if array is not None and array.shape != shape:
            raise ValueError(f"{name}: {parameter} must have shape {shape}, got {array.shape}")
        if array is not None and array.dtype != x.dtype:
            raise TypeError(f"{name}: {parameter} must have x's dtype {x.dtype}, got {array.dtype}")


@operation
def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and variance taken over the last axes, whose sizes are `normalized_shape`.

    x: (..., *normalized_shape), weight, bias: normalized_shape or None -> x's shape.    Raises ValueError for other shapes.
    """
    xp = array_module(x, weight, bias)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if x.dtype.kind != "f":
        raise TypeError(f"layer_norm: x must be floating-point, got {x.dtype}")
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(f"layer_norm: x must end in normalized_shape = {shape}, got shape {x.shape}")
    _check_parameters("layer_norm", x, {"weight": weight, "bias": bias}, shape)
    axes = tuple(range(-len(shape), 0))
    x_hat = x - x.mean(axis=axes, keepdims=True)
    inverse_std = 1 / xp.sqrt((x_hat * x_hat).mean(axis=axes, keepdims=True) + eps)
    x_hat *= inverse_std
    y = x_hat if weight is None else x_hat * weight
    y = y if bias is None else y + bias

    def layer_norm_backward(dy):
        dx_hat = dy if weight is None else dy * weight
        mean = dx_hat.mean(axis=axes, keepdims=True)
        mean_with_x_hat = (dx_hat * x_hat).mean(axis=axes, keepdims=True)
        dx = (dx_hat - mean - x_hat * mean_with_x_hat) * inverse_std
        return dx, None, dy * x_hat, dy  # the engine sums the last two over the axes that weight and bias do not have

    return y, layer_norm_backward
