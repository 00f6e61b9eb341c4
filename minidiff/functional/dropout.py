"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

from minidiff.engine.operation import operation


@operation
def dropout(x, p, rng):
    """Set each element to 0 with probability p and scale the others by 1 / (1 - p), so that the expected value stays.

    x: any shape; p: in [0, 1); rng: the RNG to draw from.    -> same shape.    Call it in training only.
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p must be in [0, 1), got {p}")
    mask = (rng.uniform(x.shape) >= p) * x.dtype.type(1 / (1 - p))

    def dropout_backward(dy):
        return dy * mask

    return x * mask, dropout_backward
