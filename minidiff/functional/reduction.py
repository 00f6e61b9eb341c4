"""Reductions: sum, product, mean, variance, maximum, minimum, argmax; and running sums.

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
def prod(x, axis=None, keepdims=False):
    """The product over `axis`."""
    xp = array_module(x)
    axes = check_axes("prod", axis, x.ndim)
    y = x.prod(axis=axes, keepdims=True)

    def prod_backward(dy):
        """dy/dx_i = the product of the numbers before x_i and of those behind it"""
        moved = xp.moveaxis(x, axes, range(-len(axes), 0))
        rows = moved.reshape(*moved.shape[: x.ndim - len(axes)], _count(x, axes))
        ones = xp.ones_like(rows[..., :1])
        before = xp.concatenate([ones, rows[..., :-1]], -1)
        behind = xp.concatenate([ones, rows[..., :0:-1]], -1)
        before, behind = xp.cumprod(before, -1), xp.cumprod(behind, -1)[..., ::-1]
        others = (before * behind)[..., : rows.shape[-1]].reshape(moved.shape)
        return dy.reshape(y.shape) * xp.moveaxis(others, range(-len(axes), 0), axes)

    return (y if keepdims else y.squeeze(axes)), prod_backward


@operation
def cumsum(x, axis):
    """y_i = x_0 + ... + x_i along one axis."""
    xp = array_module(x)
    axis = check_axis("cumsum", axis, x.ndim)

    def cumsum_backward(dy):
        return xp.flip(xp.flip(dy, axis).cumsum(axis), axis)

    return x.cumsum(axis), cumsum_backward


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
