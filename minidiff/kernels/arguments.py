"""Checks of the arguments of operations, once, before a kernel or the definition runs.

Each function here has the name and the signature of its operation, which names it:
`@operation(check=arguments.conv2d)`. A kernel can thus accept nothing that the definition refuses.
Those of attention stand in arguments_of_attention.py, and are named in the same way.
"""

from __future__ import annotations

import numpy as np

from minidiff.engine.backend import array_module
from minidiff.engine.checks import check_choice, is_int
from minidiff.kernels.arguments_of_attention import attention, self_attention  # noqa: F401
from minidiff.kernels.geometry import conv2d_geometry, conv_transpose2d_geometry

REDUCTIONS = ("mean", "sum", "none")


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Raises: TypeError for dtypes that differ; ValueError for shapes that do not fit."""
    array_module(x, weight, bias)
    _images("conv2d", x, weight, bias, "(O, C / groups, rows, columns)")
    _groups("conv2d", groups)
    C, per_group = x.shape[1], weight.shape[1]
    if C != per_group * groups:
        wanted = f"{per_group} * groups = {per_group * groups}"
        raise ValueError(f"conv2d: x has C = {C} but weight wants C = {wanted}")
    _divisible("conv2d", weight, groups)
    _bias_of_images("conv2d", bias, weight.shape[0])
    conv2d_geometry(x.shape, weight.shape, stride, padding, dilation)


def conv_transpose2d(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Raises: TypeError for dtypes that differ; ValueError for shapes that do not fit."""
    array_module(x, weight, bias)
    _images("conv_transpose2d", x, weight, bias, "(C, O / groups, rows, columns)")
    _groups("conv_transpose2d", groups)
    C, wanted = x.shape[1], weight.shape[0]
    if C != wanted:
        raise ValueError(f"conv_transpose2d: x has C = {C} but weight wants C = {wanted}")
    _divisible("conv_transpose2d", weight, groups)
    _bias_of_images("conv_transpose2d", bias, weight.shape[1] * groups)
    conv_transpose2d_geometry(x.shape, weight.shape, stride, padding, output_padding, dilation)


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Raises: TypeError for dtypes; ValueError for shapes, or groups that do not divide C."""
    _group_norm("group_norm", x, num_groups, weight, bias)


def group_norm_swish(x, num_groups, weight=None, bias=None, eps=1e-5):
    """As group_norm."""
    _group_norm("group_norm_swish", x, num_groups, weight, bias)


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Raises: TypeError for dtypes; ValueError if x does not end in normalized_shape."""
    array_module(x, weight, bias)
    whole = is_int(normalized_shape)
    shape = (normalized_shape,) if whole else tuple(normalized_shape)
    _floating("layer_norm", x)
    if not shape or 0 in shape or x.shape[-len(shape) :] != shape:
        raise ValueError(
            f"layer_norm: x must end in normalized_shape = {shape}, sizes >= 1, got shape {x.shape}"
        )
    _parameters("layer_norm", x, {"weight": weight, "bias": bias}, shape)


def matmul(x, y):
    """Raises: ValueError if the sizes do not fit; TypeError for arrays of two libraries."""
    array_module(x, y)
    inner = y.shape[-2] if y.ndim > 1 else y.shape[0] if y.ndim else None
    if not x.ndim or not y.ndim or x.shape[-1] != inner:
        raise ValueError(
            "matmul: the last size of x must equal the last but one of y, "
            f"got shapes {x.shape} and {y.shape}"
        )
    try:
        np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        raise ValueError(
            "matmul: leading sizes of x and y must broadcast, "
            f"got shapes {x.shape} and {y.shape}"
        ) from None


def linear(x, weight, bias=None):
    """Raises: ValueError if the sizes do not fit; TypeError for dtypes that differ."""
    array_module(x, weight, bias)
    _floating("linear", x)
    _same_dtype("linear", x, "weight", weight)
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            "linear: weight must be (out, in) with in = x's last size, "
            f"got x {x.shape} and weight {weight.shape}"
        )
    _parameters("linear", x, {"bias": bias}, weight.shape[:1])


def embedding(indices, weight):
    """Raises: TypeError if indices are not ints; ValueError for the shape of weight."""
    array_module(indices, weight)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"embedding: indices must be ints, got {indices.dtype}")
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight must be (K, D), got shape {weight.shape}")


def avg_pool2d(x, kernel_size):
    """Raises: ValueError unless x is images that kernel_size, an int, fits into."""
    k = kernel_size
    _four_axes("avg_pool2d", x)
    H, W = x.shape[2:]
    if not is_int(k) or not 1 <= k <= min(H, W):
        raise ValueError(
            f"avg_pool2d: kernel_size must be an int in 1..{min(H, W)} for images of {H}x{W}, "
            f"got {k!r}"
        )


def interpolate(x, scale_factor):
    """Raises: ValueError unless x is images and scale_factor a positive int."""
    s = scale_factor
    _four_axes("interpolate", x)
    if not is_int(s) or s < 1:
        raise ValueError(f"interpolate: scale_factor must be an int >= 1, got {s!r}")


def mse_loss(prediction, target, reduction="mean"):
    """Raises: ValueError if the shapes differ, or for another reduction than the known ones."""
    array_module(prediction, target)
    check_choice("mse_loss", "reduction", reduction, REDUCTIONS)
    _floating("mse_loss", prediction, "prediction")
    if prediction.shape != target.shape:
        raise ValueError(
            "mse_loss: prediction and target must have one shape, "
            f"got {prediction.shape} and {target.shape}"
        )
    if reduction == "mean" and not prediction.size:
        raise ValueError(
            f"mse_loss: there is nothing to take the mean of in shape {prediction.shape}"
        )


def cross_entropy(logits, labels, reduction="mean", ignore_index=-100, label_smoothing=0.0):
    """Raises: ValueError for shapes and reduction; TypeError if labels are not ints."""
    array_module(logits, labels)
    check_choice("cross_entropy", "reduction", reduction, REDUCTIONS)
    if logits.ndim < 2 or labels.shape != logits.shape[:1] + logits.shape[2:]:
        raise ValueError(
            "cross_entropy: wanted logits (B, K, ...) and labels (B, ...), "
            f"got {logits.shape} and {labels.shape}"
        )
    _floating("cross_entropy", logits, "logits")
    if not is_int(ignore_index) or not 0 <= label_smoothing <= 1:
        raise ValueError(
            "cross_entropy: ignore_index must be an int and label_smoothing in 0..1, "
            f"got {ignore_index!r} and {label_smoothing!r}"
        )
    if labels.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: labels must be ints, got {labels.dtype}")
    if not logits.size:
        raise ValueError(f"cross_entropy: logits of shape {logits.shape} are empty")


def _images(name, x, weight, bias, layout):
    """layout: the shape of weight in words."""
    _floating(name, x)
    for parameter, array in (("weight", weight), ("bias", bias)):
        _same_dtype(name, x, parameter, array)
    _four_axes(name, x)
    if weight.ndim != 4:
        raise ValueError(f"{name}: weight must be {layout}, got shape {weight.shape}")


def _four_axes(name, x):
    if x.ndim != 4:
        raise ValueError(f"{name}: x must be (N, C, H, W), got shape {x.shape}")


def _groups(name, groups):
    if not is_int(groups) or groups < 1:
        raise ValueError(f"{name}: groups must be an int >= 1, got {groups!r}")


def _divisible(name, weight, groups):
    if weight.shape[0] % groups:
        raise ValueError(
            f"{name}: weight.shape[0] = {weight.shape[0]} must be a multiple of groups = {groups}"
        )


def _bias_of_images(name, bias, channels):
    if bias is not None and bias.shape != (channels,):
        raise ValueError(
            f"{name}: bias must have shape ({channels},), one number per output channel, "
            f"got {bias.shape}"
        )


def _group_norm(name, x, num_groups, weight, bias):
    array_module(x, weight, bias)
    _floating(name, x)
    if x.ndim < 2:
        raise ValueError(f"{name}: x must be (N, C, ...), got shape {x.shape}")
    if x.shape[0] and not x.size:
        raise ValueError(f"{name}: there are no pixels to normalise in shape {x.shape}")
    C = x.shape[1]
    if not is_int(num_groups) or num_groups < 1 or C % num_groups:
        raise ValueError(f"{name}: x has C = {C}, which num_groups = {num_groups!r} must divide")
    _parameters(name, x, {"weight": weight, "bias": bias}, (C,))


def _parameters(name, x, parameters, shape):
    for parameter, array in parameters.items():
        if array is not None and array.shape != shape:
            raise ValueError(f"{name}: {parameter} must have shape {shape}, got {array.shape}")
        _same_dtype(name, x, parameter, array)


def _same_dtype(name, x, parameter, array):
    if array is not None and array.dtype != x.dtype:
        got = f"{array.dtype} and {x.dtype}"
        raise TypeError(f"{name}: {parameter} and x must have one dtype, got {got}")


def _floating(name, x, parameter="x"):
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: {parameter} must be floating-point, got {x.dtype}")
