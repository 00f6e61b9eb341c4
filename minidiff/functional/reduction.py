"""Reductions: sum, mean, variance, maximum, minimum, argmax.

axis: an int, a tuple of ints, or None for all. keepdims as in NumPy."""

from __future__ import annotations

import math

from minidiff.engine.backend import array_module
from minidiff.engine.checks import check_axes, check_axis, check_filled_axes
from minidiff.engine.operation import operation


def _count(x, axes):
    return math.prod(x.shape[a] for a in axes)


@operation
def sum(x, axis=None, keepdims=False):
    """The sum over `axis`."""
    xp = array_module(x)
    axes = check_axes("sum", axis, x.ndim)
    y = x.sum(axis=axes, keepdims=True)
    shape_x, shape_y = x.shape, y.shape

    def sum_backward(dy):
        return xp.broadcast_to(dy.reshape(shape_y), shape_x)

    return (y if keepdims else y.squeeze(axes)), sum_backward


@operation
def mean(x, axis=None, keepdims=False):
    """The arithmetic mean over `axis`."""
    xp = array_module(x)
    axes = check_filled_axes("mean", axis, x.shape)
    y = x.mean(axis=axes, keepdims=True)
    shape_x, shape_y, count = x.shape, y.shape, _count(x, axes)

    def mean_backward(dy):
        return xp.broadcast_to(dy.reshape(shape_y) / count, shape_x)

    return (y if keepdims else y.squeeze(axes)), mean_backward


@operation
def var(x, axis=None, keepdims=False):
    """The variance over `axis`, divided by the count N as in NumPy (PyTorch: N - 1)."""
    axes = check_filled_axes("var", axis, x.shape)
    deviation = x - x.mean(axis=axes, keepdims=True)
    y = (deviation * deviation).mean(axis=axes, keepdims=True)

    def var_backward(dy):
        return dy.reshape(y.shape) * (2 / _count(x, axes)) * deviation

    return (y if keepdims else y.squeeze(axes)), var_backward


@operation
def max(x, axis=None, keepdims=False):
    """The largest value over `axis`; equal ones share the gradient equally."""
    axes = check_filled_axes("max", axis, x.shape)
    y = x.max(axis=axes, keepdims=True)
    return (y if keepdims else y.squeeze(axes)), _extremum_backward(x, y, axes)


@operation
def min(x, axis=None, keepdims=False):
    """The smallest value over `axis`; equal ones share the gradient equally."""
    axes = check_filled_axes("min", axis, x.shape)
    y = x.min(axis=axes, keepdims=True)
    return (y if keepdims else y.squeeze(axes)), _extremum_backward(x, y, axes)


def _extremum_backward(x, y, axes):
    def extremum_backward(dy):
        chosen = (x == y).astype(x.dtype)
        return dy.reshape(y.shape) * chosen / chosen.sum(axis=axes, keepdims=True)

    return extremum_backward


@operation
def argmax(x, axis=None):
    """The index of the first largest value, over all elements or along one axis."""
    if axis is not None:
        axis = check_axis("argmax", axis, x.ndim)
    return x.argmax(axis=axis), None
