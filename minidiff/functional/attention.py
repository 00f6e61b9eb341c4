"""Scaled dot-product attention (Vaswani et al. 2017).

Slides "Attention" and "Cross-attention"."""

from __future__ import annotations

import math

from minidiff.engine import registry
from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation
from minidiff.kernels import arguments


@operation(check=arguments.attention)
def attention(query, key, value, mask=None, is_causal=False, scale=None):
    """y = softmax(query key^T / sqrt(d)) value

    query: (..., heads, T, d); key: (..., heads, S, d); value: (..., heads, S, e)
    -> (..., heads, T, e): for each query the mean of the values, weighted by how well it
    matches their keys. A query that may attend to nothing gets zeros and no gradient.
    mask: broadcastable to (..., heads, T, S), booleans, True where a query may attend, or
    numbers to be added to the scores. is_causal: query i attends to the keys 0..i only.
    scale: 1 / sqrt(d) if None.
    Faster forms: kernels/cpu/attention.py, csrc/attention/."""
    xp = array_module(query)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    scores = scale * (query @ key.swapaxes(-1, -2))
    if mask is not None:
        is_bool = mask.dtype.kind == "b"
        scores = xp.where(mask, scores, -xp.inf) if is_bool else scores + mask
    if is_causal:
        past = xp.tri(*scores.shape[-2:], dtype=bool)
        scores = xp.where(past, scores, -xp.inf)
    largest = scores.max(axis=-1, keepdims=True)  # subtracted, so that nothing overflows
    e = xp.exp(scores - xp.where(largest == -xp.inf, 0, largest))
    total = e.sum(axis=-1, keepdims=True)
    p = e / xp.where(total == 0, 1, total)
    y = p @ value

    def attention_backward(dy):
        dvalue = p.swapaxes(-1, -2) @ dy
        dp = dy @ value.swapaxes(-1, -2)
        dscores = p * (dp - (dp * p).sum(axis=-1, keepdims=True))  # of the softmax
        dquery = scale * (dscores @ key)
        dkey = scale * (dscores.swapaxes(-1, -2) @ query)
        dmask = dscores  # of a mask of numbers, which is added to the scores
        return dquery, dkey, dvalue, dmask

    return y, attention_backward


@operation(check=arguments.self_attention)
def self_attention(projected):
    """y = attention(query, key, value) of a projection that holds all three

    projected: (B, T, 3, heads, d) -> (B, heads, T, d)
    As one operation its gradient is one array. That of three slices would be three arrays, zero
    but for a third, and their sum."""
    xp = array_module(projected)
    query, key, value = (projected[:, :, i].swapaxes(1, 2) for i in range(3))
    y, attention_backward = registry.run(
        "attention", attention.reference, [query, key, value], {}
    )

    def self_attention_backward(dy):
        gradients = registry.call_backward(attention_backward, dy)[:3]
        return xp.stack([gradient.swapaxes(1, 2) for gradient in gradients], axis=2)

    return y, self_attention_backward
