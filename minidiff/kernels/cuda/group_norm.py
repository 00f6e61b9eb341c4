"""The operations group_norm and group_norm_swish by the kernels of csrc/group_norm/: one pass over memory forward, one backward.

Arguments that do not fit raise Unsupported: the reference then computes them, or says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidiff.engine.registry import Unsupported, register_kernel
from minidiff.kernels.cuda.library import Native, float32, native

VERSIONS = ("naive", "fast")
MAX_CHANNELS_PER_GROUP = 4096  # the fast version keeps two sums for each in shared memory


def group_norm(version: str, swish: bool) -> Callable:
    """group_norm, or group_norm_swish, by the kernels of this version."""

    def group_norm_by_kernels(x, num_groups, weight=None, bias=None, eps=1e-5):
        lib = prepared(x, num_groups, weight, bias)
        xp, shape = lib.xp, x.shape
        x = xp.ascontiguousarray(x).reshape(*shape[:2], -1)  # (images, channels, pixels)
        weight, bias = (None if a is None else xp.ascontiguousarray(a) for a in (weight, bias))
        y, mean, inverse_std = (
            xp.empty_like(x),
            xp.empty((len(x), num_groups), "float32"),
            xp.empty((len(x), num_groups), "float32"),
        )
        lib.module.group_norm_forward(
            version, x, num_groups, weight, bias, eps, swish, y, mean, inverse_std, lib.stream
        )

        def group_norm_backward(dy):
            dy = xp.ascontiguousarray(dy).reshape(x.shape)
            dx, dweight, dbias = (
                xp.empty_like(x),
                xp.empty(shape[1], "float32"),
                xp.empty(shape[1], "float32"),
            )
            sums = xp.empty((2, *shape[:2]), "float32")  # dweight and dbias of each image
            stream, gradients = native(x).stream, (dx, dweight, dbias, *sums)
            lib.module.group_norm_backward(
                version,
                x,
                num_groups,
                weight,
                bias,
                eps,
                swish,
                mean,
                inverse_std,
                dy,
                *gradients,
                stream,
            )
            return (
                dx.reshape(shape),
                None,
                None if weight is None else dweight,
                None if bias is None else dbias,
            )

        return y.reshape(shape), group_norm_backward

    return group_norm_by_kernels


def prepared(x: Any, num_groups: Any, weight: Any, bias: Any) -> Native:
    """The module for these arrays.    Raises Unsupported if the kernels do not take them."""
    lib = native(x, weight, bias)
    float32(x=x, weight=weight, bias=bias)
    if x.ndim < 2 or x.size == 0:
        raise Unsupported(f"x must be (N, C, ...) with no size 0, got {x.shape}")
    if not isinstance(num_groups, int) or num_groups < 1 or x.shape[1] % num_groups:
        raise Unsupported(f"x has C = {x.shape[1]}, which num_groups = {num_groups!r} must divide")
    for name, array in (("weight", weight), ("bias", bias)):
        if array is not None and array.shape != x.shape[1:2]:
            raise Unsupported(f"{name} must have shape {x.shape[1:2]}, got {array.shape}")
    if x.shape[1] // num_groups > MAX_CHANNELS_PER_GROUP:
        raise Unsupported(
            f"groups of {x.shape[1] // num_groups} channels; the kernels take {MAX_CHANNELS_PER_GROUP} at most"
        )
    return lib


for name in VERSIONS:
    register_kernel("group_norm", name, group_norm(name, swish=False))
    register_kernel("group_norm_swish", name, group_norm(name, swish=True))
