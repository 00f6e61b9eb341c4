"""attention with few passes over its scores: they become the softmax in place."""

from __future__ import annotations

import math

from minidiff.engine.backend import array_module
from minidiff.engine.registry import register_kernel


def in_place(query, key, value, mask=None, is_causal=False, scale=None):
    """attention, for all arguments that it takes."""
    xp = array_module(query, key, value, mask)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    scaled_query = query * scale
    scores = xp.matmul(scaled_query, key.swapaxes(-1, -2))
    if mask is not None:
        scores = xp.where(mask, scores, -xp.inf) if mask.dtype.kind == "b" else scores + mask
    if is_causal:
        scores = xp.where(xp.tri(*scores.shape[-2:], dtype=bool), scores, -xp.inf)
    p = softmax_in_place(scores)
    y = p @ value

    def attention_backward(dy, wanted):
        """dscores = p (dp - sum_s dp p); the sum is dy . y, because y = p v and dp = dy v^T"""
        dp = dy @ value.swapaxes(-1, -2)
        dp -= (dy * y).sum(axis=-1, keepdims=True)
        dscores = xp.multiply(p, dp, out=dp)
        return (
            (dscores @ key) * scale if wanted[0] else None,
            dscores.swapaxes(-1, -2) @ scaled_query if wanted[1] else None,
            p.swapaxes(-1, -2) @ dy if wanted[2] else None,
            dscores if wanted[3] else None,
        )

    return y, attention_backward


def softmax_in_place(scores):
    """Along the last axis; a row of -inf, where nothing may be attended to, becomes zeros."""
    xp = array_module(scores)
    largest = scores.max(axis=-1, keepdims=True)
    scores -= xp.where(largest == -xp.inf, 0, largest)
    p = xp.exp(scores, out=scores)
    total = p @ xp.ones((p.shape[-1], 1), p.dtype)
    p /= xp.where(total == 0, 1, total)
    return p


register_kernel("attention", "in_place", in_place)
