"""The operations conv2d and conv_transpose2d by kernels: the functions that minidiff.engine.registry chooses among.

They have the signatures of the operations in minidiff.functional and return the same `(y, backward)`. Arguments that do not fit raise
Unsupported: the reference then computes them, or says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidiff.engine.backend import array_module
from minidiff.engine.registry import Unsupported, register_kernel
from minidiff.kernels.cuda.conv2d_launch import (
    Conv,
    bias_gradient,
    forward,
    has_tensor_cores,
    input_gradient,
    weight_gradient,
)
from minidiff.kernels.cuda.tf32 import tf32_is_allowed


def conv2d(version: str) -> Callable:
    """conv2d by the kernels of this version."""

    def conv2d_by_kernels(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        kernel = permitted(version, x)
        conv = conv2d_sizes(x.shape, weight.shape, stride, padding, dilation, groups)
        want_shapes(conv.O, bias, x=(x, conv.x_shape), weight=(weight, conv.weight_shape))
        y = forward(kernel, conv, x, weight, bias)

        def conv2d_backward(dy, wanted):
            want_x, want_weight, want_bias = (*wanted, False, False)[:3]
            dy = contiguous(dy)
            return (
                input_gradient(kernel, conv, dy, weight) if want_x else None,
                weight_gradient(kernel, conv, dy, x) if want_weight else None,
                bias_gradient(kernel, conv, dy) if want_bias and bias is not None else None,
            )

        return y, conv2d_backward

    return conv2d_by_kernels


def conv_transpose2d(version: str) -> Callable:
    """conv_transpose2d by the kernels of conv2d: what is x there is y here, and the forward pass is conv2d's input gradient."""

    def conv_transpose2d_by_kernels(
        x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
    ):
        kernel = permitted(version, x)
        conv = conv_transpose2d_sizes(
            x.shape, weight.shape, stride, padding, output_padding, dilation, groups
        )
        want_shapes(conv.C, bias, x=(x, conv.y_shape), weight=(weight, conv.weight_shape))
        y = input_gradient(kernel, conv, x, weight, bias)

        def conv_transpose2d_backward(dy, wanted):
            want_x, want_weight, want_bias = (*wanted, False, False)[:3]
            dy, db = contiguous(dy), None
            if want_bias and bias is not None:
                db = bias_gradient(
                    kernel, conv._replace(N=dy.shape[0], O=conv.C, I=conv.H, J=conv.W), dy
                )
            return (
                forward(kernel, conv, dy, weight) if want_x else None,
                weight_gradient(kernel, conv, x, dy) if want_weight else None,
                db,
            )

        return y, conv_transpose2d_backward

    return conv_transpose2d_by_kernels


def contiguous(dy: Any) -> Any:
    """Once for all the kernels that read dy, which may be a part of the gradient of a concatenation."""
    return array_module(dy).ascontiguousarray(dy)


def permitted(version: str, x: Any) -> str:
    """The version to run: "tf32" in place of "fast" where it is allowed, and never where it is not.

    Version "tf32x3" multiplies by tensor cores, too, but with the exactness of float32: it is always allowed.
    Raises: Unsupported if "tf32" is not allowed, or the GPU has no tensor cores for TF32.
    """
    if version == "tf32" and not tf32_is_allowed():
        raise Unsupported("TF32 keeps 3 decimal digits; allow it with minidiff.allow_tf32(True)")
    if version in ("tf32", "tf32x3") and array_module(x).__name__ == "cupy" and not has_tensor_cores(x):
        raise Unsupported(f"{version} needs tensor cores: a GPU of compute capability 8.0 or newer")
    if version == "fast" and tf32_is_allowed() and has_tensor_cores(x):
        return "tf32"
    return version


def conv2d_sizes(x_shape, weight_shape, stride, padding, dilation, groups) -> Conv:
    """The convolution of x by weight.    Raises Unsupported for arguments that are none."""
    (s, p, d) = pairs(stride=stride, padding=padding, dilation=dilation)
    n, c, h, w, o, u, v = sizes(x_shape, weight_shape, groups)
    i = (h + 2 * p[0] - d[0] * (u - 1) - 1) // s[0] + 1
    j = (w + 2 * p[1] - d[1] * (v - 1) - 1) // s[1] + 1
    if i < 1 or j < 1:
        raise Unsupported(f"the kernel is larger than x, the result would be {i} x {j}")
    return Conv(n, c, h, w, o, u, v, i, j, *s, *p, *d, groups)


def conv_transpose2d_sizes(
    x_shape, weight_shape, stride, padding, output_padding, dilation, groups
) -> Conv:
    """The convolution whose input gradient this is: its y is our x, its x our y.    Raises Unsupported for arguments that are none."""
    (s, p, d, extra) = pairs(
        stride=stride, padding=padding, dilation=dilation, output_padding=output_padding
    )
    n, channels, i, j, o, u, v = sizes(x_shape, weight_shape, groups)
    if channels != o:
        raise Unsupported(f"x has C = {channels} but weight wants C = {o}")
    if any(e >= max(a, b) for e, a, b in zip(extra, s, d, strict=True)):
        raise Unsupported("output_padding must be smaller than stride or dilation")
    h = (i - 1) * s[0] - 2 * p[0] + d[0] * (u - 1) + extra[0] + 1
    w = (j - 1) * s[1] - 2 * p[1] + d[1] * (v - 1) + extra[1] + 1
    if h < 1 or w < 1:
        raise Unsupported(f"the padding leaves nothing, the result would be {h} x {w}")
    return Conv(n, weight_shape[1] * groups, h, w, o, u, v, i, j, *s, *p, *d, groups)


def sizes(x_shape, weight_shape, groups) -> tuple[int, ...]:
    """N, C, H, W of x, then O, U, V of weight."""
    if len(x_shape) != 4 or len(weight_shape) != 4:
        raise Unsupported(
            f"x and weight must have 4 axes, got {tuple(x_shape)} and {tuple(weight_shape)}"
        )
    if not isinstance(groups, int) or groups < 1 or x_shape[1] % groups or weight_shape[0] % groups:
        raise Unsupported(
            f"groups = {groups} does not divide the channels of x {tuple(x_shape)} and weight {tuple(weight_shape)}"
        )
    if 0 in x_shape[1:] or 0 in weight_shape:
        raise Unsupported(f"a size is 0: x {tuple(x_shape)}, weight {tuple(weight_shape)}")
    return (*x_shape, weight_shape[0], *weight_shape[2:])


def pairs(**options) -> list[tuple[int, int]]:
    """Each option as (rows, columns)."""
    result = []
    for name, value in options.items():
        both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
        least = 1 if name in ("stride", "dilation") else 0
        if len(both) != 2 or not all(isinstance(n, int) and n >= least for n in both):
            raise Unsupported(f"{name} must be an int >= {least} or a pair of them, got {value!r}")
        result.append(both)
    return result


def want_shapes(channels_out: int, bias: Any, **arrays: tuple[Any, tuple[int, ...]]) -> None:
    for name, (array, shape) in arrays.items():
        if tuple(array.shape) != shape:
            raise Unsupported(f"{name} must have shape {shape}, got {tuple(array.shape)}")
    if bias is not None and tuple(bias.shape) != (channels_out,):
        raise Unsupported(f"bias must have shape ({channels_out},), got {tuple(bias.shape)}")


for name in ("naive", "tiled", "tf32", "tf32x3", "fast"):
    register_kernel("conv2d", name, conv2d(name))
    register_kernel("conv_transpose2d", name, conv_transpose2d(name))
