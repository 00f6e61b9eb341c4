"""conv2d and conv_transpose2d by the kernels of csrc/conv2d/, as entries of the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidiff.engine.backend import array_module
from minidiff.engine.registry import Unsupported
from minidiff.kernels.cuda.conv2d_launch import (
    Conv,
    bias_gradient,
    forward,
    has_tensor_cores,
    input_gradient,
    weight_and_bias_gradient,
    weight_gradient,
)
from minidiff.kernels.cuda.library import native, register_versions
from minidiff.kernels.cuda.plan import Plan
from minidiff.kernels.cuda.tf32 import tf32_is_allowed
from minidiff.kernels.geometry import Geometry, conv2d_geometry, conv_transpose2d_geometry


def conv2d(
    version: str, gradient: str | None = None, plan_of: Callable[[Conv, int], Plan] | None = None
) -> Callable:
    """conv2d by the kernels of this version.

    gradient: the version of the backward pass, if it is another one.
    plan_of: (problem, number of multiprocessors) -> how the sums of the forward pass are made, in
    place of the model.
    """

    def conv2d_by_kernels(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        kernel = permitted(version, x)
        conv = conv2d_sizes(x.shape, weight.shape, stride, padding, dilation, groups)
        plan = plan_of(conv, native(x).module.multiprocessors()) if plan_of else None
        y = forward(kernel, conv, x, weight, bias, plan)
        kernel = gradient or kernel

        def conv2d_backward(dy, wanted):
            want_x, want_weight, want_bias = (*wanted, False, False)[:3]
            dy = contiguous(dy)
            dx = input_gradient(kernel, conv, dy, weight) if want_x else None
            return dx, *parameter_gradients(
                kernel, conv, dy, x, want_weight, want_bias and bias is not None
            )

        return y, conv2d_backward

    return conv2d_by_kernels


def conv_transpose2d(version: str) -> Callable:
    """conv_transpose2d as the input gradient of conv2d: what is x there is y here."""

    def conv_transpose2d_by_kernels(
        x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
    ):
        kernel = permitted(version, x)
        conv = conv_transpose2d_sizes(
            x.shape, weight.shape, stride, padding, output_padding, dilation, groups
        )
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


def parameter_gradients(
    kernel: str, conv: Conv, dy: Any, x: Any, want_weight: bool, want_bias: bool
) -> tuple[Any, Any]:
    """(dweight, dbias), None for what is not wanted."""
    if want_weight and want_bias:
        return weight_and_bias_gradient(kernel, conv, dy, x)
    return (
        weight_gradient(kernel, conv, dy, x) if want_weight else None,
        bias_gradient(kernel, conv, dy) if want_bias else None,
    )


def contiguous(dy: Any) -> Any:
    """Once for all kernels that read dy, which may be a part of a concatenation's gradient."""
    return array_module(dy).ascontiguousarray(dy)


def permitted(version: str, x: Any) -> str:
    """The version to run: "tf32" in place of "fast" where it is allowed, and never where it is not.

    Version "tf32x3" multiplies by tensor cores, too, but with the exactness of float32. It is
    always allowed.
    Raises: Unsupported if "tf32" is not allowed, or the GPU has no tensor cores for TF32.
    """
    if version == "tf32" and not tf32_is_allowed():
        raise Unsupported("TF32 keeps 3 decimal digits; allow it with minidiff.allow_tf32(True)")
    on_gpu = array_module(x).__name__ == "cupy"
    if version in ("tf32", "tf32x3") and on_gpu and not has_tensor_cores(x):
        raise Unsupported(f"{version} needs tensor cores: a GPU of compute capability 8.0 or newer")
    if version == "fast" and tf32_is_allowed() and has_tensor_cores(x):
        return "tf32"
    return version


def conv2d_sizes(x_shape, weight_shape, stride, padding, dilation, groups) -> Conv:
    """The convolution of x by weight.

    Raises: Unsupported if a size is 0.
    """
    geometry = conv2d_geometry(x_shape, weight_shape, stride, padding, dilation)
    return _conv(x_shape[0], x_shape[1], weight_shape, geometry, groups)


def conv_transpose2d_sizes(
    x_shape, weight_shape, stride, padding, output_padding, dilation, groups
) -> Conv:
    """The convolution whose input gradient this is: its y is our x, its x our y.

    Raises: Unsupported if a size is 0.
    """
    geometry = conv_transpose2d_geometry(
        x_shape, weight_shape, stride, padding, output_padding, dilation
    )
    return _conv(x_shape[0], weight_shape[1] * groups, weight_shape, geometry, groups)


def _conv(N: int, C: int, weight_shape: tuple[int, ...], geometry: Geometry, groups: int) -> Conv:
    (H, W), (I, J), (O, _, U, V) = geometry.size, geometry.size_out, weight_shape  # noqa: E741
    if 0 in (C, H, W, I, J, *weight_shape):
        raise Unsupported(f"a size is 0: images {C, H, W}, weight {weight_shape}")
    rows, columns = geometry[:2]
    return Conv(
        N=N, C=C, H=H, W=W, O=O, U=U, V=V, I=I, J=J,
        stride_h=rows.stride, stride_w=columns.stride,
        padding_h=rows.before, padding_w=columns.before,
        dilation_h=rows.dilation, dilation_w=columns.dilation,
        groups=groups,
    )  # fmt: skip


VERSIONS = ("naive", "tiled", "tf32", "tf32x3", "fast")
register_versions("conv2d", conv2d, VERSIONS)
register_versions("conv_transpose2d", conv_transpose2d, VERSIONS)
