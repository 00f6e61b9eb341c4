"""Normalisation: subtract the mean, divide by the standard deviation, scale and shift.

group_norm          over each group of channels of an image (Wu & He 2018); slide "U-Net"
group_norm_swish    the same followed by Swish, as in every residual block
layer_norm          over the last axes (Ba, Kiros & Hinton 2016)"""

from __future__ import annotations

import math

from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation
from minidiff.functional.activation import swish
from minidiff.kernels import arguments


@operation(check=arguments.group_norm)
def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias

    Mean and variance are those of each of num_groups groups of channels of each image.
    x: (N, C, ...); weight, bias: (C,), one number per channel, or None -> x's shape.
    Faster forms: kernels/cpu/group_norm.py, csrc/group_norm/."""
    xp = array_module(x)
    channel = (-1,) + (1,) * (x.ndim - 2)  # the shape of weight and bias beside x
    x_g = x.reshape(len(x), num_groups, math.prod(x.shape[1:]) // num_groups)
    mean = x_g.mean(axis=2, keepdims=True)
    centred = x_g - mean
    var = (centred * centred).mean(axis=2, keepdims=True)
    inverse_std = 1 / xp.sqrt(var + eps)
    x_hat = centred * inverse_std
    y = x_hat.reshape(x.shape)
    y = y if weight is None else y * weight.reshape(channel)
    y = y if bias is None else y + bias.reshape(channel)

    def group_norm_backward(dy):
        pixels = (0, *range(2, x.ndim))  # all axes but that of the channels
        dweight = (dy * x_hat.reshape(x.shape)).sum(axis=pixels)
        dbias = dy.sum(axis=pixels)
        dz = dy if weight is None else dy * weight.reshape(channel)
        dx_hat = dz.reshape(x_g.shape)
        mean_of_dx_hat = dx_hat.mean(axis=2, keepdims=True)
        mean_with_x_hat = (dx_hat * x_hat).mean(axis=2, keepdims=True)
        dx = (dx_hat - mean_of_dx_hat - x_hat * mean_with_x_hat) * inverse_std
        return dx.reshape(x.shape), None, dweight, dbias

    return y, group_norm_backward


@operation(check=arguments.group_norm_swish)
def group_norm_swish(x, num_groups, weight=None, bias=None, eps=1e-5):
    """y = swish(group_norm(x, num_groups, weight, bias, eps))

    Faster forms, which read x once: kernels/cpu/group_norm.py, csrc/group_norm/."""
    z, group_norm_backward = group_norm.reference(x, num_groups, weight, bias, eps)
    y, swish_backward = swish.reference(z)

    def group_norm_swish_backward(dy):
        dz = swish_backward(dy)
        return group_norm_backward(dz)

    return y, group_norm_swish_backward


@operation(check=arguments.layer_norm)
def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias

    Mean and variance are taken over the last axes, whose sizes are normalized_shape.
    x: (..., *normalized_shape); weight, bias: normalized_shape or None -> x's shape."""
    xp = array_module(x)
    count = len(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else 1
    axes = tuple(range(-count, 0))
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean
    var = (centred * centred).mean(axis=axes, keepdims=True)
    inverse_std = 1 / xp.sqrt(var + eps)
    x_hat = centred * inverse_std
    y = x_hat if weight is None else x_hat * weight
    y = y if bias is None else y + bias

    def layer_norm_backward(dy):
        dx_hat = dy if weight is None else dy * weight
        mean_of_dx_hat = dx_hat.mean(axis=axes, keepdims=True)
        mean_with_x_hat = (dx_hat * x_hat).mean(axis=axes, keepdims=True)
        dx = (dx_hat - mean_of_dx_hat - x_hat * mean_with_x_hat) * inverse_std
        dweight, dbias = dy * x_hat, dy  # the engine sums them over the other axes
        return dx, None, dweight, dbias

    return y, layer_norm_backward
