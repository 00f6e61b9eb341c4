"""The complementary error function, for probabilities of intervals under a Gaussian."""

from __future__ import annotations

import math

import numpy as np

from minidiff.engine.backend import array_module, to_cpu
from minidiff.engine.operation import operation


@operation
def erfc(x):
    """erfc(x) = 2 / sqrt(pi) * integral of exp(-u^2) from x to infinity

    NumPy has none: Python's own, applied per element, keeps the digits of small tails."""
    xp = array_module(x)
    if xp.__name__ == "cupy":
        from cupyx.scipy import special  # type: ignore[import-not-found]

        y = special.erfc(x)
    else:
        dtype = x.dtype if x.dtype.kind == "f" else np.float64
        y = xp.asarray(np.asarray(np.frompyfunc(math.erfc, 1, 1)(to_cpu(x)), dtype))

    def erfc_backward(dy):
        return dy * (-2 / math.sqrt(math.pi)) * xp.exp(-(x**2))

    return y, erfc_backward
