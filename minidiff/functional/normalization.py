"""Normalisation: subtract the mean, divide by the standard deviation, then scale by `weight` and shift by `bias`, learnt per channel.

group_norm          over each group of channels of each image (Wu & He 2018)     slide "U-Net"
group_norm_swish    the same followed by Swish, as in every residual block: one pass over memory instead of two
layer_norm          over the last axes (Ba, Kiros & Hinton 2016)

The derivative of the normalisation itself, for x_hat = (x - mean) / std and any of these averages, is
dx = (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) / std.
"""

from __future__ import annotations

import math

import numpy as np

from minidiff.backend import array_module
from minidiff.functional.memory import scratch
from minidiff.operation import operation

CHUNK = 2**16  # numbers that are worked on at a time: a quarter of a megabyte in float32, so that a few such arrays fit the cache of a core


@operation
def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and variance taken over each of `num_groups` groups of channels of each image.

    x: (N, C, ...), weight, bias: (C,) or None -> x's shape.    Raises ValueError if C is no multiple of num_groups or a shape does not fit.
    """
    norm = _GroupNorm("group_norm", x, num_groups, weight, bias, eps)
    y = array_module(x).empty_like(norm.x)
    for images in norm.chunks:
        x_hat = norm.normalize(images)
        _scale_and_shift(x_hat, norm.weight, norm.bias, out=y[images])

    def group_norm_backward(dy):
        dy, dx = norm.rows(dy), array_module(x).empty_like(norm.x)
        for images in norm.chunks:
            norm.backward(images, norm.normalize_again(images), dy[images], out=dx[images])
        return norm.like_x(dx), None, *norm.parameter_gradients()

    return norm.like_x(y), group_norm_backward


@operation
def group_norm_swish(x, num_groups, weight=None, bias=None, eps=1e-5):
    """swish(group_norm(x, num_groups, weight, bias, eps)), faster; arguments and errors as there."""
    xp = array_module(x)
    norm = _GroupNorm("group_norm_swish", x, num_groups, weight, bias, eps)
    y = xp.empty_like(norm.x)
    for images in norm.chunks:
        z = norm.normalize(images)
        _scale_and_shift(z, norm.weight, norm.bias, out=z)
        z *= 0.5
        out = xp.tanh(z, out=y[images])  # z * sigmoid(z) = z/2 * (1 + tanh(z/2))
        out += 1
        out *= z

    def group_norm_swish_backward(dy):
        """dSwish/dz = sigma + z * sigma * (1 - sigma) = (1 + h) * (1 + z/2 * (1 - h)) / 2   with h = tanh(z/2)"""
        dy, dx = norm.rows(dy), xp.empty_like(norm.x)
        for images in norm.chunks:
            x_hat = norm.normalize_again(images)
            z = scratch(xp, "z", x_hat.shape, x.dtype)
            _scale_and_shift(x_hat, norm.weight, norm.bias, out=z)
            z *= 0.5
            h = xp.tanh(z, out=scratch(xp, "h", z.shape, x.dtype))
            dz = xp.subtract(1, h, out=scratch(xp, "dz", z.shape, x.dtype))
            dz *= z
            dz += 1
            h += 1
            dz *= h
            dz *= dy[images]
            dz *= 0.5
            norm.backward(images, x_hat, dz, out=dx[images])
        return norm.like_x(dx), None, *norm.parameter_gradients()

    return norm.like_x(y), group_norm_swish_backward


def _scale_and_shift(x_hat, weight, bias, out):
    if weight is not None:
        x_hat = array_module(x_hat).multiply(x_hat, weight, out=out)
    if bias is not None:
        array_module(x_hat).add(x_hat, bias, out=out)
    elif weight is None and out is not x_hat:
        out[...] = x_hat


class _GroupNorm:
    """The work of group_norm on one chunk of images at a time.

    Images are kept as (N, H, W * C): one row of numbers for each row of pixels. A short loop over the few channels of a group is what NumPy
    is slowest at, so the sum over a group is taken as a product with `members` (W * C, groups), 1 where a number belongs to a group; its
    transpose hands a number per group out to the row.
    """

    def __init__(self, name, x, num_groups, weight, bias, eps):
        xp = array_module(x, weight, bias)
        _check_group_norm(name, x, num_groups, weight, bias)
        N, C = x.shape[:2]
        self.shape, self.row_pixels = x.shape, x.shape[-1] if x.ndim > 2 else 1
        self.eps = eps
        self.x = self.rows(x)
        row = self.x.shape[2]
        channel = xp.arange(row) % C
        self.members = (channel[:, None] // (C // num_groups) == xp.arange(num_groups)).astype(x.dtype)
        self.count = math.prod(x.shape[1:]) // num_groups
        self.ones = xp.ones((1, self.x.shape[1]), x.dtype)
        self.weight = None if weight is None else xp.tile(weight, self.row_pixels)
        self.bias = None if bias is None else xp.tile(bias, self.row_pixels)
        self.mean = xp.empty((N, 1, num_groups), x.dtype)
        self.inverse_std = xp.empty((N, 1, num_groups), x.dtype)
        self.dweight, self.dbias = xp.zeros(row, x.dtype), xp.zeros(row, x.dtype)
        step = max(1, CHUNK * N // max(x.size, 1)) if xp is np else max(N, 1)
        self.chunks = [slice(first, first + step) for first in range(0, N, step)]

    def rows(self, x):
        """(N, C, ..., W) -> (N, H, W * C), channels last."""
        xp = array_module(x)
        return xp.ascontiguousarray(xp.moveaxis(x, 1, -1)).reshape(x.shape[0], -1, self.row_pixels * x.shape[1])

    def like_x(self, rows):
        """The way back."""
        N, C, *rest = self.shape
        return array_module(rows).moveaxis(rows.reshape(N, *rest, C), -1, 1)

    def normalize(self, images):
        """x_hat of these images, in scratch memory; their mean and 1 / std are kept."""
        xp = array_module(self.x)
        x = self.x[images]
        self.mean[images] = (self.ones @ x) @ self.members / self.count
        x_hat = xp.subtract(x, self.mean[images] @ self.members.T, out=scratch(xp, "x_hat", x.shape, x.dtype))
        square = xp.multiply(x_hat, x_hat, out=scratch(xp, "square", x.shape, x.dtype))
        var = (self.ones @ square) @ self.members / self.count
        self.inverse_std[images] = 1 / xp.sqrt(var + self.eps)
        x_hat *= self.inverse_std[images] @ self.members.T
        return x_hat

    def normalize_again(self, images):
        """x_hat once more, from the kept numbers."""
        xp = array_module(self.x)
        x = self.x[images]
        x_hat = xp.subtract(x, self.mean[images] @ self.members.T, out=scratch(xp, "x_hat", x.shape, x.dtype))
        x_hat *= self.inverse_std[images] @ self.members.T
        return x_hat

    def backward(self, images, x_hat, dz, out):
        """From dz, the gradient of x_hat * weight + bias, that of x into `out`; those of weight and bias are added up. x_hat is used up."""
        xp = array_module(x_hat)
        product = xp.multiply(dz, x_hat, out=scratch(xp, "square", x_hat.shape, x_hat.dtype))
        sum_dz, sum_dz_x_hat = self.ones @ dz, self.ones @ product
        self.dbias += sum_dz.sum(axis=(0, 1))
        self.dweight += sum_dz_x_hat.sum(axis=(0, 1))
        weight = 1 if self.weight is None else self.weight
        mean_dx_hat = (sum_dz * weight) @ self.members / self.count
        mean_dx_hat_x_hat = (sum_dz_x_hat * weight) @ self.members / self.count
        inverse_std = self.inverse_std[images]
        xp.multiply(dz, (inverse_std @ self.members.T) * weight, out=out)
        out -= (mean_dx_hat * inverse_std) @ self.members.T
        x_hat *= (mean_dx_hat_x_hat * inverse_std) @ self.members.T
        out -= x_hat

    def parameter_gradients(self):
        """The gradients of weight and bias, None for one that is not there."""
        C = self.shape[1]
        dweight = None if self.weight is None else self.dweight.reshape(-1, C).sum(axis=0)
        dbias = None if self.bias is None else self.dbias.reshape(-1, C).sum(axis=0)
        self.dweight[...] = self.dbias[...] = 0
        return dweight, dbias


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
