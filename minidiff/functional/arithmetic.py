"""Arithmetic and elementary functions, element by element with broadcasting.

The derivative of a broadcast argument is summed over the repeated axes by the engine
(`node.unbroadcast`), not here."""

from __future__ import annotations

import math

from minidiff.engine.backend import array_module
from minidiff.engine.checks import check_broadcast
from minidiff.engine.operation import operation


@operation
def add(x, y):
    """x + y"""
    check_broadcast("add", x, y)

    def add_backward(dz):
        return dz, dz

    return x + y, add_backward


@operation
def subtract(x, y):
    """x - y"""
    check_broadcast("subtract", x, y)

    def subtract_backward(dz, wanted):
        return dz, -dz if wanted[1] else None

    return x - y, subtract_backward


@operation
def multiply(x, y):
    """x * y"""
    check_broadcast("multiply", x, y)

    def multiply_backward(dz):
        return dz * y, dz * x

    return x * y, multiply_backward


@operation
def divide(x, y):
    """x / y"""
    check_broadcast("divide", x, y)
    z = x / y

    def divide_backward(dz):
        dx = dz / y
        return dx, -dx * z

    return z, divide_backward


@operation
def power(x, exponent):
    """x ** exponent"""
    check_broadcast("power", x, exponent)
    xp = array_module(x, exponent)
    y = x**exponent
    if hasattr(exponent, "dtype"):
        lower = xp.where(exponent == 0, exponent, exponent - 1)
    else:
        lower = exponent - 1 if exponent else 0

    def power_backward(dy, wanted):
        """dy/dx = exponent x^(exponent - 1),  dy/dexponent = y log x"""
        return dy * (exponent * x**lower), dy * y * _log(x, dy) if wanted[1] else None

    return y, power_backward


def _log(x, like):
    """log x, in the dtype of `like`; 0 at x = 0, where x^n is 0 for each n > 0."""
    xp = array_module(like)
    x = xp.asarray(x, like.dtype)
    return xp.log(xp.where(x == 0, xp.ones_like(x), x))


@operation
def negative(x):
    """-x"""

    def negative_backward(dy):
        return -dy

    return -x, negative_backward


@operation
def absolute(x):
    """|x|; the derivative at 0 is taken as 0."""
    xp = array_module(x)

    def absolute_backward(dy):
        return dy * xp.sign(x)

    return xp.abs(x), absolute_backward


@operation
def exp(x):
    """e ** x"""
    xp = array_module(x)
    y = xp.exp(x)

    def exp_backward(dy):
        return dy * y

    return y, exp_backward


@operation
def log(x):
    """The natural logarithm."""
    xp = array_module(x)

    def log_backward(dy):
        return dy / x

    return xp.log(x), log_backward


@operation
def sqrt(x):
    """The square root."""
    xp = array_module(x)
    y = xp.sqrt(x)

    def sqrt_backward(dy):
        return dy / (2 * y)

    return y, sqrt_backward


@operation
def sin(x):
    """sin x"""
    xp = array_module(x)

    def sin_backward(dy):
        return dy * xp.cos(x)

    return xp.sin(x), sin_backward


@operation
def cos(x):
    """cos x"""
    xp = array_module(x)

    def cos_backward(dy):
        return -dy * xp.sin(x)

    return xp.cos(x), cos_backward


@operation
def maximum(x, y):
    """The larger of x and y; where they are equal each takes half of the gradient."""
    xp = check_broadcast("maximum", x, y)

    def maximum_backward(dz):
        half = 0.5 * dz * (x == y)
        return dz * (x > y) + half, dz * (x < y) + half

    return xp.maximum(x, y), maximum_backward


@operation
def minimum(x, y):
    """The smaller of x and y; where they are equal each takes half of the gradient."""
    xp = check_broadcast("minimum", x, y)

    def minimum_backward(dz):
        half = 0.5 * dz * (x == y)
        return dz * (x < y) + half, dz * (x > y) + half

    return xp.minimum(x, y), minimum_backward


@operation
def clip(x, min=None, max=None):
    """x limited to min..max; where a limit acts, the gradient is that limit's."""
    check_broadcast("clip", x, min, max)
    xp = array_module(x, min, max)
    y = xp.clip(x, min, max)

    def clip_backward(dy):
        low, high = -math.inf if min is None else min, math.inf if max is None else max
        above = xp.maximum(x, low) > high
        below = (x < low) & ~above
        return dy * ((x == y) & ~above), dy * below, dy * above

    return y, clip_backward


@operation
def where(condition, x, y):
    """x where the condition holds, y elsewhere."""
    xp = check_broadcast("where", condition, x, y)

    def where_backward(dz):
        return None, xp.where(condition, dz, 0), xp.where(condition, 0, dz)

    return xp.where(condition, x, y), where_backward


@operation
def equal(x, y):
    """x == y, as booleans."""
    xp = check_broadcast("equal", x, y)
    return xp.equal(x, y), None


@operation
def not_equal(x, y):
    """x != y, as booleans."""
    xp = check_broadcast("not_equal", x, y)
    return xp.not_equal(x, y), None


@operation
def less(x, y):
    """x < y, as booleans."""
    xp = check_broadcast("less", x, y)
    return xp.less(x, y), None


@operation
def less_equal(x, y):
    """x <= y, as booleans."""
    xp = check_broadcast("less_equal", x, y)
    return xp.less_equal(x, y), None


@operation
def greater(x, y):
    """x > y, as booleans."""
    xp = check_broadcast("greater", x, y)
    return xp.greater(x, y), None


@operation
def greater_equal(x, y):
    """x >= y, as booleans."""
    xp = check_broadcast("greater_equal", x, y)
    return xp.greater_equal(x, y), None
