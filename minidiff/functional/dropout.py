"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

from minidiff.engine.checks import check_floating
from minidiff.engine.operation import operation


@operation
def dropout(x, p, rng):
    """y = x * mask, where mask is 0 with probability p, else 1 / (1 - p)

    The expected value stays. x: any shape; p: in [0, 1); rng: the RNG to draw from
    -> x's shape. To be called in training only."""
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p must be in [0, 1), got {p}")
    check_floating("dropout", x)
    mask = (rng.uniform(x.shape) >= p) * x.dtype.type(1 / (1 - p))

    def dropout_backward(dy):
        return dy * mask

    return x * mask, dropout_backward
