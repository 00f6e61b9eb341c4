"""Normalisation: subtract the mean, divide by the standard deviation, then scale by `weight` and shift by `bias`, learnt per channel.

group_norm          over each group of channels of each image (Wu & He 2018)     slide "U-Net"
group_norm_swish    the same followed by Swish, as in every residual block: one pass over memory instead of two
layer_norm          over the last axes (Ba, Kiros & Hinton 2016)

The derivative of the normalisation itself, for x_hat = (x - mean) / std and any of these averages, is
dx = (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) / std.
"""

from __future__ import annotations

import numpy as np

from minidiff.backend import array_module
from minidiff.functional.memory import chunks, scratch
from minidiff.operation import operation

CHUNK = 2**15  # numbers that are worked on at a time: half a dozen such arrays fit the cache of a core


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
    norm = _GroupNorm(x, num_groups, weight, bias, eps)
    y = norm.empty()
    for images in norm.chunks:
        half_z = norm.normalize(images, factor=0.5)
        h = xp.tanh(half_z, out=norm.scratch("h", images))
        h += 1
        xp.multiply(half_z, h, out=y[images])  # swish(z) = z * sigmoid(z) = z/2 * (1 + tanh(z/2))

    def group_norm_swish_backward(dy):
        """dSwish/dz = sigma + z * sigma * (1 - sigma) = (1 + z/2 - z/2 * h) * (1 + h) / 2   with h = tanh(z/2)"""
        gradients = norm.new_gradients()
        dy = norm.rows(dy)
        for images in norm.chunks:
            t = norm.centred(images)
            half_z = norm.scaled(images, t, factor=0.5)
            h = xp.tanh(half_z, out=norm.scratch("h", images))
            dz = xp.multiply(half_z, h, out=norm.scratch("dz", images))
            xp.subtract(half_z, dz, out=dz)
            dz += 1
            h += 1
            dz *= h
            dz *= dy[images]
            norm.backward(images, t, dz, gradients, factor=0.5)
        return norm.finish(gradients)

    return norm.like_x(y), group_norm_swish_backward


class _GroupNorm:
    """The work of group_norm, on a chunk of images at a time.

    Images are kept as (N, H, W * C), one row of numbers for each row of pixels. A short loop over the few channels of a group is what NumPy
    is slowest at, so the sum over a group is taken as a product with `members` (W * C, groups), 1 where a number belongs to a group; its
    transpose hands a number per group out to the row.
    """

    def __init__(self, x, num_groups, weight, bias, eps):
        xp = self.xp = array_module(x, weight, bias)
        N, C = x.shape[:2]
        self.shape, self.pixels = x.shape, x.shape[-1] if x.ndim > 2 else 1
        self.x = self.rows(x)
        row = self.x.shape[2]
        self.members = (xp.arange(row)[:, None] % C // (C // num_groups) == xp.arange(num_groups)).astype(x.dtype)
        self.ones = xp.ones((1, self.x.shape[1]), x.dtype)
        self.count = x[:1].size // num_groups
        self.weight, self.bias, self.eps = weight, bias, eps
        self.weight_row = 1 if weight is None else xp.tile(weight, self.pixels)
        self.bias_row = None if bias is None else xp.tile(bias, self.pixels)
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
        return row_sum @ self.members / self.count

    def spread(self, of_group):
        """(n, 1, groups) -> (n, 1, W * C)"""
        return of_group @ self.members.T

    # -- forward ---------------------------------------------------------------------------------------------------------------------

    def normalize(self, images, factor=1, out=None):
        """factor * (x_hat * weight + bias) of these images; their mean and 1 / std are kept."""
        self.mean[images] = self.group_mean(self.row_sum(self.x[images]))
        t = self.centred(images)
        square = self.xp.multiply(t, t, out=self.scratch("z", images))
        var = self.group_mean(self.row_sum(square))
        self.inverse_std[images] = 1 / self.xp.sqrt(var + self.eps)
        return self.scaled(images, t, factor, out)

    def centred(self, images):
        """t = x - mean"""
        return self.xp.subtract(self.x[images], self.spread(self.mean[images]), out=self.scratch("t", images))

    def scaled(self, images, t, factor=1, out=None):
        """factor * (t / std * weight + bias)"""
        z = self.scratch("z", images) if out is None else out
        self.xp.multiply(t, factor * self.slope(images), out=z)
        if self.bias is not None:
            z += factor * self.bias_row
        return z

    def slope(self, images):
        """weight / std: dz/dx if mean and variance stood still."""
        return self.spread(self.inverse_std[images]) * self.weight_row

    # -- backward --------------------------------------------------------------------------------------------------------------------

    def new_gradients(self):
        zeros = self.xp.zeros(self.x.shape[2], self.x.dtype)
        return {"x": self.empty(), "weight": zeros, "bias": zeros.copy()}

    def backward(self, images, t, dz, gradients, factor=1):
        """From factor * dz, the gradient of z = t / std * weight + bias, those of x, weight and bias. t is used up.

        With dx_hat = dz * weight:  dx = (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) / std
        """
        inverse_std = self.inverse_std[images]
        product = self.xp.multiply(dz, t, out=self.scratch("z", images))
        dbias = factor * self.row_sum(dz)
        dweight = factor * self.row_sum(product) * self.spread(inverse_std)
        gradients["bias"] += dbias.sum(axis=(0, 1))
        gradients["weight"] += dweight.sum(axis=(0, 1))
        dx = self.xp.multiply(dz, factor * self.slope(images), out=self.scratch("z", images))
        dx -= self.spread(self.group_mean(dbias * self.weight_row) * inverse_std)
        t *= self.spread(self.group_mean(dweight * self.weight_row) * inverse_std * inverse_std)  # x_hat / std = t / std^2
        self.xp.subtract(dx, t, out=gradients["x"][images])

    def finish(self, gradients):
        """The gradients of the operation's arguments, in order."""
        C = self.shape[1]
        dweight = None if self.weight is None else gradients["weight"].reshape(-1, C).sum(axis=0)
        dbias = None if self.bias is None else gradients["bias"].reshape(-1, C).sum(axis=0)
        return self.like_x(gradients["x"]), None, dweight, dbias


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
