"""Scaled dot-product attention, softmax(Q K^T / sqrt(d)) V (Vaswani et al. 2017).    Slides "Attention" and "Cross-attention"."""

from __future__ import annotations

import math

from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation


@operation
def attention(query, key, value, mask=None, is_causal=False, scale=None):
    """Each query takes the mean of the values, weighted by how well it matches their keys.

    query: (..., heads, T, d), key: (..., heads, S, d), value: (..., heads, S, e) -> (..., heads, T, e).
    mask: broadcastable to (..., heads, T, S); booleans, True where a query may attend, or numbers to be added to the scores.
    is_causal: query i attends to the keys 0..i only. scale: 1 / sqrt(d) if None.
    A query that may attend to nothing gets zeros and passes no gradient on.    Raises ValueError for shapes, TypeError for dtypes.
    """
    xp = array_module(query, key, value, mask)
    _check(query, key, value, mask)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    scaled_query = query * scale
    scores = xp.matmul(scaled_query, key.swapaxes(-1, -2))
    if mask is not None:
        scores = xp.where(mask, scores, -xp.inf) if mask.dtype.kind == "b" else scores + mask
    if is_causal:
        scores = xp.where(xp.tri(*scores.shape[-2:], dtype=bool), scores, -xp.inf)
    p = _softmax(scores)
    y = p @ value

    def attention_backward(dy, wanted):
        """Of the softmax: dscores = p * (dp - sum_s dp p), where the sum is dy . y because y = p v and dp = dy v^T"""
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


def _softmax(scores):
    """Along the last axis, in place; a row of -inf, where nothing may be attended to, becomes zeros."""
    xp = array_module(scores)
    largest = scores.max(axis=-1, keepdims=True)
    scores -= xp.where(largest == -xp.inf, 0, largest)
    p = xp.exp(scores, out=scores)
    total = p @ xp.ones((p.shape[-1], 1), p.dtype)
    p /= xp.where(total == 0, 1, total)
    return p


def _check(query, key, value, mask):
    for name, array in (("query", query), ("key", key), ("value", value)):
        if array.ndim < 2:
            raise ValueError(f"attention: {name} must be (..., heads, tokens, size), got shape {array.shape}")
        if array.dtype.kind != "f" or array.dtype != query.dtype:
            raise TypeError(f"attention: {name} must be floating-point like query ({query.dtype}), got {array.dtype}")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"attention: query and key must agree in their last size, got {query.shape[-1]} and {key.shape[-1]}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"attention: key and value must have as many tokens, got {key.shape[-2]} and {value.shape[-2]}")
    if key.shape[-2] == 0:
        raise ValueError("attention: key must have at least one token, got none")
    if key.shape[:-2] != query.shape[:-2] or value.shape[:-2] != query.shape[:-2]:
        raise ValueError(
            f"attention: query, key and value must agree in all but the last two sizes, got {query.shape}, {key.shape} and {value.shape}"
        )
    if mask is None:
        return
    if mask.dtype.kind != "b" and mask.dtype != query.dtype:
        raise TypeError(f"attention: mask must be bool (True: may attend) or {query.dtype} (added to the scores), got {mask.dtype}")
    scores = query.shape[:-1] + key.shape[-2:-1]
    extra = mask.ndim - len(scores)
    if extra > 0 or any(m not in (1, s) for m, s in zip(mask.shape, scores[-mask.ndim :] if mask.ndim else (), strict=True)):
        raise ValueError(f"attention: mask must broadcast to (..., heads, T, S) = {scores}, got shape {mask.shape}")
