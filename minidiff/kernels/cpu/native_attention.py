"""attention in C++, for short sequences: csrc/cpu/attention.h."""

from __future__ import annotations

import math

import numpy as np

from minidiff.engine.registry import Unsupported, register_kernel
from minidiff.kernels.cpu.native import float32, is_faster

MOST_KEYS = 512  # for more, BLAS multiplies faster


def attention_native(query, key, value, mask=None, is_causal=False, scale=None):
    """attention without a mask, for short sequences."""
    module = float32(query=query, key=key, value=value)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    if mask is not None or is_causal or scale <= 0:
        raise Unsupported("a mask, or a scale that is not positive")
    if key.shape[-2] > MOST_KEYS:
        raise Unsupported(f"{key.shape[-2]} keys: BLAS is faster at more than {MOST_KEYS}")
    q, k, v = (heads_of(array) for array in (query, key, value))
    y = like_tokens(*q.shape[:3], v.shape[3])
    padded = -(-k.shape[2] // module.lanes()) * module.lanes()
    p = np.empty((*q.shape[:3], padded), np.float32)
    module.attention_forward(q, k, v, scale, y, p)

    def attention_native_backward(dy, wanted):
        dq, dk, dv = (like_tokens(*array.shape) for array in (q, k, v))
        module.attention_backward(q, k, v, scale, p, heads_of(dy), dq, dk, dv)
        return dq.reshape(query.shape), dk.reshape(key.shape), dv.reshape(value.shape), None

    return y.reshape(*query.shape[:-1], value.shape[-1]), attention_native_backward


def heads_of(array):
    """(..., heads, tokens, size) -> (images, heads, tokens, size).

    A token's numbers are to lie side by side: if they do not, it is a copy.
    """
    if array.ndim != 4:
        heads = array.shape[-3] if array.ndim > 2 else 1
        array = array.reshape(-1, heads, *array.shape[-2:])
    return array if array.strides[-1] == array.itemsize else np.ascontiguousarray(array)


def like_tokens(images, heads, tokens, size):
    """An array (images, heads, tokens, size) that lies in memory as (images, tokens, heads, size).

    So do the outputs of linear layers, which are cut into heads; then nothing has to be copied.
    """
    return np.empty((images, tokens, heads, size), np.float32).transpose(0, 2, 1, 3)


if is_faster():
    register_kernel("attention", "native", attention_native, devices=("cpu",))
