"""group_norm and group_norm_swish by the kernels of csrc/group_norm/.

Forward and backward are one pass over memory each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from minidiff.engine.registry import Unsupported
from minidiff.kernels.cuda.library import Native, float32, native, register_versions

VERSIONS = ("naive", "fast")
MAX_CHANNELS_PER_GROUP = 4096  # the fast version keeps two sums for each in shared memory


def group_norm(version: str, swish: bool, gradient: str | None = None) -> Callable:
    """group_norm, or group_norm_swish, by the kernels of this version.

    gradient: the version of the backward pass, if it is another one.
    """

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
                gradient or version,
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
    if x.size == 0:
        raise Unsupported(f"x must be (N, C, ...) with no size 0, got {x.shape}")
    if x.shape[1] // num_groups > MAX_CHANNELS_PER_GROUP:
        raise Unsupported(
            f"groups of {x.shape[1] // num_groups} channels; "
            f"the kernels take {MAX_CHANNELS_PER_GROUP} at most"
        )
    return lib


register_versions("group_norm", partial(group_norm, swish=False), VERSIONS)
register_versions("group_norm_swish", partial(group_norm, swish=True), VERSIONS)
