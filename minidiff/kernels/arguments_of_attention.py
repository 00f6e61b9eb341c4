"""Checks of the arguments of attention and self_attention.

Operations name them by arguments.py, which imports them: `@operation(check=arguments.attention)`.
"""

from __future__ import annotations

from minidiff.engine.backend import array_module


def attention(query, key, value, mask=None, is_causal=False, scale=None):
    """Raises: TypeError for dtypes that differ; ValueError for shapes that do not fit."""
    array_module(query, key, value, mask)
    q, k, v = query.shape, key.shape, value.shape
    for name, array in (("query", query), ("key", key), ("value", value)):
        if array.ndim < 2:
            raise ValueError(
                f"attention: {name} must be (..., heads, tokens, size), got shape {array.shape}"
            )
        if array.dtype.kind != "f" or array.dtype != query.dtype:
            raise TypeError(
                f"attention: {name} must be floating-point like query ({query.dtype}), "
                f"got {array.dtype}"
            )
    if q[-1] != k[-1]:
        raise ValueError(
            f"attention: query and key must agree in their last size, got {q[-1]} and {k[-1]}"
        )
    if k[-2] != v[-2]:
        raise ValueError(
            f"attention: key and value must have as many tokens, got {k[-2]} and {v[-2]}"
        )
    if k[-2] == 0:
        raise ValueError("attention: key must have at least one token, got none")
    if not q[:-2] == k[:-2] == v[:-2]:
        raise ValueError(
            "attention: query, key and value must agree in all but the last two sizes, "
            f"got {q}, {k} and {v}"
        )
    if mask is not None:
        _mask(mask, query.dtype, scores=(*q[:-1], k[-2]))


def self_attention(projected):
    """Raises: TypeError for a dtype, ValueError for a shape that does not fit."""
    array_module(projected)
    shape = projected.shape
    if len(shape) != 5 or shape[2] != 3:
        raise ValueError(
            f"self_attention: projected must be (B, T, 3, heads, size), got shape {shape}"
        )
    query, key, value = (projected[:, :, i].swapaxes(1, 2) for i in range(3))
    attention(query, key, value)


def _mask(mask, dtype, scores):
    """scores: the shape that the mask is for."""
    if mask.dtype.kind != "b" and mask.dtype != dtype:
        raise TypeError(
            f"attention: mask must be bool (True: may attend) or {dtype} (added to the scores), "
            f"got {mask.dtype}"
        )
    fits = all(m in (1, s) for m, s in zip(mask.shape[::-1], scores[::-1], strict=False))
    if mask.ndim > len(scores) or not fits:
        raise ValueError(
            f"attention: mask must broadcast to (..., heads, T, S) = {scores}, "
            f"got shape {mask.shape}"
        )
