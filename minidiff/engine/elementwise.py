"""sqrt, exp, log and their like for a Python float, an array of any library, or a Tensor.

A schedule hands out Python floats for one t and arrays for a batch of t. Both must leave
float32 images float32, and a NumPy scalar would not: np.sqrt(0.5) * float32_array is
float64. Hence one place that keeps floats floats."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidiff.engine.backend import array_module, is_array
from minidiff.engine.tensor import Tensor


def sqrt(x: Any) -> Any:
    """Square root of a float, array or Tensor."""
    if isinstance(x, (int, float)):
        return math.sqrt(x)
    return array_module(x).sqrt(x) if is_array(x) else x.sqrt()


def exp(x: Any) -> Any:
    """e to the power x, for a float, array or Tensor."""
    if isinstance(x, (int, float)):
        return math.exp(x)
    return array_module(x).exp(x) if is_array(x) else x.exp()


def log(x: Any) -> Any:
    """Natural logarithm of a float, array or Tensor."""
    if isinstance(x, (int, float)):
        return math.log(x)
    return array_module(x).log(x) if is_array(x) else x.log()


def erfc(x: Any) -> Any:
    """Complementary error function of an array or Tensor, accurate in the tails."""
    return Tensor(x).erfc().data if is_array(x) else x.erfc()


def number(x: Any) -> Any:
    """A NumPy scalar, or an array of no axis, as a Python number.

    That leaves float32 arrays float32."""
    scalar = isinstance(x, np.generic) or (isinstance(x, np.ndarray) and x.ndim == 0)
    return x.item() if scalar else x


def plain(x: Any) -> Any:
    """The array inside a Tensor; anything else as it is."""
    return x if is_array(x) or isinstance(x, (int, float)) else getattr(x, "data", x)


def detach(x: Any) -> Any:
    """sg[x], the stop-gradient: the same values, with no way back for a gradient."""
    return x if is_array(x) else x.detach()


def per_image(values: Any, like: Any) -> Any:
    """One value per image, in the shape that multiplies images.   (B,) -> (B, 1, ...)."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def sum_per_image(x: Any) -> Any:
    """Sum over every axis but the first.    x: (B, ...) -> (B,)."""
    return x.reshape(x.shape[0], -1).sum(axis=1)
