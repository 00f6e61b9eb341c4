"""Activation functions, element by element, and the softmax family along an axis."""

from __future__ import annotations

import math

from minidiff.engine.backend import array_module
from minidiff.engine.checks import check_filled_axes, check_floating
from minidiff.engine.operation import operation
from minidiff.functional.error_function import erfc


def logistic(x):
    """sigma(x) = 1 / (1 + e^-x) of an array, by tanh, so that nothing overflows."""
    return 0.5 * (1 + array_module(x).tanh(0.5 * x))


@operation
def sigmoid(x):
    """sigma = 1 / (1 + e^-x)"""
    sigma = logistic(x)

    def sigmoid_backward(dy):
        """dsigma/dx = sigma (1 - sigma)"""
        return dy * (sigma * (1 - sigma))

    return sigma, sigmoid_backward


@operation
def swish(x):
    """y = x * sigmoid(x)

    Slide "Diffusion Model Architecture"; PyTorch calls it SiLU."""
    sigma = logistic(x)
    y = x * sigma

    def swish_backward(dy):
        """dy/dx = sigma + y (1 - sigma)"""
        return dy * (sigma + y * (1 - sigma))

    return y, swish_backward


silu = swish


@operation
def relu(x):
    """y = max(x, 0)"""
    y = array_module(x).maximum(x, 0)

    def relu_backward(dy):
        return dy * (x > 0)

    return y, relu_backward


@operation
def tanh(x):
    """y = tanh(x)"""
    y = array_module(x).tanh(x)

    def tanh_backward(dy):
        """dy/dx = 1 - y^2"""
        return dy * (1 - y * y)

    return y, tanh_backward


@operation
def gelu(x, approximate="none"):
    """y = x Phi(x), Phi the distribution function of N(0, 1) (Hendrycks & Gimpel 2016)

    approximate: "none", or "tanh", which is faster and less than 5e-4 off."""
    if approximate not in ("none", "tanh"):
        wanted = "approximate must be 'none' or 'tanh'"
        raise ValueError(f"gelu: {wanted}, got {approximate!r}")
    xp, exact, c = array_module(x), approximate == "none", math.sqrt(2 / math.pi)
    if exact:
        phi = 0.5 * erfc.reference(-math.sqrt(0.5) * x)[0]
    else:
        phi = 0.5 * (1 + xp.tanh(c * (x + 0.044715 * x**3)))
    y = x * phi

    def gelu_backward(dy):
        """dy/dx = Phi + x Phi'"""
        if exact:
            dphi = 0.5 * c * xp.exp(-0.5 * x * x)
        else:
            dphi = 2 * phi * (1 - phi) * c * (1 + 3 * 0.044715 * x * x)
        return dy * (phi + x * dphi)

    return y, gelu_backward


@operation
def softmax(x, axis=-1):
    """y = e^x / sum(e^x) along `axis`

    The largest x is subtracted first: the result is the same and nothing overflows."""
    check_floating("softmax", x)
    xp = array_module(x)
    axis = check_filled_axes("softmax", axis, x.shape)
    e = xp.exp(x - x.max(axis=axis, keepdims=True))
    y = e / e.sum(axis=axis, keepdims=True)

    def softmax_backward(dy):
        """dx = y (dy - sum(dy y))"""
        return y * (dy - (dy * y).sum(axis=axis, keepdims=True))

    return y, softmax_backward


@operation
def log_softmax(x, axis=-1):
    """y = log(softmax(x)) along `axis`, without the softmax's small numbers"""
    check_floating("log_softmax", x)
    xp = array_module(x)
    axis = check_filled_axes("log_softmax", axis, x.shape)
    shifted = x - x.max(axis=axis, keepdims=True)
    y = shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))

    def log_softmax_backward(dy):
        """dx = dy - softmax(x) sum(dy)"""
        return dy - xp.exp(y) * dy.sum(axis=axis, keepdims=True)

    return y, log_softmax_backward
