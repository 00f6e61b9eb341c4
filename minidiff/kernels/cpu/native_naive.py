"""The simplest C++ of conv2d, group_norm and attention: csrc/cpu/*_naive.h.

They say in loops what the fast kernels beside them compute. They run only where `use_kernels` names
"native_naive".
"""

from __future__ import annotations

import math

import numpy as np

from minidiff.engine.registry import Unsupported, register_kernel
from minidiff.kernels.cpu.native import contiguous, float32, load
from minidiff.kernels.geometry import conv2d_geometry


def conv2d_naive(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """conv2d with every option of the definition: csrc/cpu/conv2d_naive.h."""
    module = float32(x=x, weight=weight, bias=bias)
    x, weight, bias = contiguous(x), contiguous(weight), contiguous(bias)
    rows, columns, _, size_out = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation)
    before, steps = (rows.before, columns.before), (rows.stride, columns.stride)
    options = (*size_out, *steps, *before, rows.dilation, columns.dilation, groups)
    y = np.empty((len(x), len(weight), *size_out), np.float32)
    module.conv2d_naive(x, weight, bias, options, y)

    def conv2d_naive_backward(dy, wanted):
        dx, dweight = np.empty_like(x), np.empty_like(weight)
        dbias = np.empty(len(weight), np.float32)
        module.conv2d_backward_naive(x, weight, options, contiguous(dy), dx, dweight, dbias)
        return dx, dweight, None if bias is None else dbias

    return y, conv2d_naive_backward


def group_norm_kernel(swish):
    """group_norm, or group_norm_swish: csrc/cpu/group_norm_naive.h."""

    def group_norm_naive(x, num_groups, weight=None, bias=None, eps=1e-5):
        module = float32(x=x, weight=weight, bias=bias)
        N, C = x.shape[:2]
        images = contiguous(x).reshape(N, C, -1)
        weight, bias = contiguous(weight), contiguous(bias)
        y, (mean, inverse_std) = np.empty_like(images), np.empty((2, N, num_groups), np.float32)
        module.group_norm_naive(
            images, num_groups, weight, bias, eps, swish, y, mean, inverse_std
        )

        def group_norm_naive_backward(dy):
            dy, dx = contiguous(dy).reshape(images.shape), np.empty_like(images)
            dweight, dbias = np.empty((2, C), np.float32)
            norm = (num_groups, weight, bias, swish, mean, inverse_std)
            module.group_norm_backward_naive(images, dy, *norm, dx, dweight, dbias)
            return (
                dx.reshape(x.shape),
                None,
                None if weight is None else dweight,
                None if bias is None else dbias,
            )

        return y.reshape(x.shape), group_norm_naive_backward

    return group_norm_naive


def attention_naive(query, key, value, mask=None, is_causal=False, scale=None):
    """attention without a mask: csrc/cpu/attention_naive.h."""
    module = float32(query=query, key=key, value=value)
    if mask is not None or is_causal:
        raise Unsupported("a mask")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    q, k, v = (contiguous(a).reshape(-1, *a.shape[-2:]) for a in (query, key, value))
    y = np.empty((*q.shape[:2], v.shape[2]), np.float32)
    p = np.empty((*q.shape[:2], k.shape[1]), np.float32)
    module.attention_naive(q, k, v, scale, y, p)

    def attention_naive_backward(dy, wanted):
        dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
        dy = contiguous(dy).reshape(y.shape)
        module.attention_backward_naive(q, k, v, scale, p, dy, dq, dk, dv)
        return dq.reshape(query.shape), dk.reshape(key.shape), dv.reshape(value.shape), None

    return y.reshape(*query.shape[:-1], value.shape[-1]), attention_naive_backward


VERSIONS = {
    "conv2d": conv2d_naive,
    "group_norm": group_norm_kernel(swish=False),
    "group_norm_swish": group_norm_kernel(swish=True),
    "attention": attention_naive,
}
if load()[0] is not None:
    for operation, function in VERSIONS.items():
        register_kernel(operation, "native_naive", function, devices=(), by_name=("cpu",))
