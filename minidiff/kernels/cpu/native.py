"""Kernels in C++ for this processor: csrc/cpu, compiled into minidiff._kernels_native.

Each entry of the table takes what its C++ is faster at and raises Unsupported for the rest, which
the NumPy kernels then compute. MINIDIFF_CPU_VARIANT=avx512, avx2 or plain chooses a variant that is
not the processor's best, for tests.
"""

from __future__ import annotations

import importlib
import math
import platform
from functools import cache
from types import ModuleType

import numpy as np

from minidiff.engine.registry import Unsupported, register_kernel
from minidiff.kernels.cpu.im2col import sum_of_pixels
from minidiff.kernels.cpu.scratch import channels_first, channels_last, chunks, scratch

CHUNK = 2**18  # numbers in the tiles of a chunk of images: about what a core's cache holds
MOST_KEYS = 512  # of attention: for more, BLAS multiplies faster


@cache
def load() -> tuple[ModuleType | None, str]:
    """The compiled module, or None and the reason why it cannot be used."""
    try:
        return importlib.import_module("minidiff._kernels_native"), ""
    except ImportError as problem:
        if problem.name == "minidiff._kernels_native":
            return None, "it is not built: installing minidiff with a C++ compiler builds it"
        return None, str(problem)


def is_faster() -> bool:
    """Whether the variant in use beats NumPy: its vectors must be as wide as NumPy's own."""
    module, _ = load()
    return module is not None and (
        module.lanes() > 4 or platform.machine() not in ("x86_64", "AMD64")
    )


def float32(**arrays) -> ModuleType:
    """The module, if all arrays are float32 and none is empty.    Raises: Unsupported if not."""
    module, reason = load()
    if module is None:
        raise Unsupported(reason)
    for name, array in arrays.items():
        if array is not None and array.dtype != np.float32:
            raise Unsupported(f"{name} is {array.dtype}, native kernels compute in float32")
        if array is not None and array.size == 0:
            raise Unsupported(f"{name} is empty")
    return module


# -- GroupNorm -----------------------------------------------------------------------------------


def group_norm_kernel(swish):
    """group_norm, or group_norm_swish."""

    def group_norm_native(x, num_groups, weight=None, bias=None, eps=1e-5):
        module = float32(x=x, weight=weight, bias=bias)
        images, (N, C) = pixels_of(x), x.shape[:2]
        y = np.empty_like(images)
        mean, inverse_std = np.empty((2, N, num_groups), np.float32)
        weight, bias = contiguous(weight), contiguous(bias)
        norm = (num_groups, weight, bias, eps, swish)
        module.group_norm_forward(images, *norm, y, mean, inverse_std)

        def group_norm_native_backward(dy):
            dx = np.empty_like(images)
            dweight, dbias = np.empty((2, C), np.float32)
            norm = (num_groups, weight, bias, swish, mean, inverse_std)
            module.group_norm_backward(images, pixels_of(dy), *norm, dx, dweight, dbias)
            return (
                as_images(dx, x.shape),
                None,
                None if weight is None else dweight,
                None if bias is None else dbias,
            )

        return as_images(y, x.shape), group_norm_native_backward

    return group_norm_native


def pixels_of(x):
    """(N, C, ...) -> (N, pixels, C), contiguous."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).reshape(len(x), -1, x.shape[1])


def as_images(pixels, shape):
    """(N, pixels, C) -> shape (N, C, ...), a view."""
    N, C, *rest = shape
    return np.moveaxis(pixels.reshape(N, *rest, C), -1, 1)


def contiguous(array):
    return None if array is None else np.ascontiguousarray(array)


# -- 3x3 convolution, by Winograd's F(4 x 4, 3 x 3): csrc/cpu/winograd.h --------------------------

LEAST_CHANNELS = 8


def conv2d_native(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """conv2d with 3x3 kernels and stride 1: Winograd's form, or with few channels a direct one."""
    module = float32(x=x, weight=weight, bias=bias)
    plain = groups == 1 and pair(stride) == pair(dilation) == (1, 1)
    if weight.shape[2:] != (3, 3) or not plain:
        raise Unsupported("a 3x3 kernel with stride 1, without dilation and groups, is wanted")
    before = pair(padding)
    if min(weight.shape[:2]) < LEAST_CHANNELS:
        return conv2d_narrow(module, x, weight, bias, before)
    images, weight, bias = channels_last(x), contiguous(weight), contiguous(bias)
    size_out = tuple(size + 2 * p - 2 for size, p in zip(x.shape[2:], before, strict=True))
    y = np.empty((len(x), *size_out, len(weight)), np.float32)
    U = kernels_at_points(module, weight)
    for part in chunks_of(len(x), size_out, U):
        V = pixels_at_points(module, images[part], before, size_out)
        M = np.matmul(V, U, out=matrices("columns", V.shape[1], U.shape[2]))
        module.winograd_interpolate(M, bias, y[part])

    def conv2d_native_backward(dy, wanted):
        """dx: dy convolved with the kernels turned round. dweight uses the same transform of dy."""
        want_x, want_weight, want_bias = (*wanted, False, False)[:3]
        dy = channels_last(dy)
        dx = np.empty(images.shape, np.float32) if want_x else None
        around, size = tuple(2 - p for p in before), x.shape[2:]
        U = kernels_at_points(module, weight, turned=True)
        dU = None
        for part in chunks_of(len(x), size, U) if want_x or want_weight else ():
            V = pixels_at_points(module, dy[part], around, size)
            M = matrices("columns", V.shape[1], U.shape[2])
            if want_x:
                module.winograd_interpolate(np.matmul(V, U, out=M), None, dx[part])
            if want_weight:
                module.winograd_results(images[part], M)
                product = V.swapaxes(1, 2) @ M
                dU = product if dU is None else np.add(dU, product, out=dU)
        dweight = np.empty(weight.shape, np.float32) if want_weight else None
        if want_weight:
            module.winograd_kernel_gradient(dU, True, dweight)
        dbias = sum_of_pixels(dy) if want_bias else None
        return channels_first(dx) if want_x else None, dweight, dbias

    return channels_first(y), conv2d_native_backward


def conv2d_narrow(module, x, weight, bias, before):
    """A convolution with few channels on one side: csrc/cpu/narrow.h."""
    O, C, *size = weight.shape  # noqa: E741
    if any(p >= n for n, p in zip(size, before, strict=True)):
        raise Unsupported("few channels, and a padding as large as the kernel")
    few_in = C <= O
    images, bias = channels_last(x), contiguous(bias)
    padded = pad(images, before)
    size_out = (a - b + 1 for a, b in zip(padded.shape[1:3], size, strict=True))
    y = np.empty((len(x), *size_out, O), np.float32)
    if few_in:
        module.few_channels_in(padded, contiguous(weight.transpose(2, 3, 1, 0)), bias, y)
    else:
        module.few_channels_out(padded, contiguous(weight.transpose(0, 2, 3, 1)), bias, y)

    def conv2d_narrow_backward(dy, wanted):
        """dx is dy convolved with the kernels turned round, few channels on the other side."""
        want_x, want_weight, want_bias = (*wanted, False, False)[:3]
        dy = channels_last(dy)
        around = tuple(n - 1 - p for n, p in zip(size, before, strict=True))
        turned = weight[:, :, ::-1, ::-1]
        dx = dweight = None
        if want_x:
            dx = np.empty(images.shape, np.float32)
            if few_in:
                kernel = contiguous(turned.transpose(1, 2, 3, 0))
                module.few_channels_out(pad(dy, around), kernel, None, dx)
            else:
                kernel = contiguous(turned.transpose(2, 3, 0, 1))
                module.few_channels_in(pad(dy, around), kernel, None, dx)
        if want_weight and few_in:
            dtaps = np.empty((*size, C, O), np.float32)
            module.few_channels_in_gradient(padded, dy, dtaps)
            dweight = dtaps.transpose(3, 2, 0, 1)
        elif want_weight:
            dtaps = np.empty((*size, O, C), np.float32)
            module.few_channels_in_gradient(pad(dy, around), images, dtaps)
            dweight = dtaps[::-1, ::-1].transpose(2, 3, 0, 1)
        return (
            channels_first(dx) if want_x else None,
            dweight,
            sum_of_pixels(dy) if want_bias else None,
        )

    return channels_first(y), conv2d_narrow_backward


def pad(images, before):
    """Zeros around (N, H, W, C), as many rows and columns on either side."""
    (h, w), (N, H, W, C) = before, images.shape
    padded = np.zeros((N, H + 2 * h, W + 2 * w, C), np.float32)
    padded[:, h : h + H, w : w + W] = images
    return padded


def kernels_at_points(module, weight, turned=False):
    """U (36, in, out) of weight (out, in, 3, 3); turned: (36, out, in), for the input gradient."""
    O, C = weight.shape[:2]  # noqa: E741
    U = np.empty((36, O, C) if turned else (36, C, O), np.float32)
    module.winograd_kernels(weight, turned, U)
    return U


def pixels_at_points(module, images, before, size_out):
    """V (36, tiles, C) of images (n, H, W, C), whose tiles make `size_out` results."""
    V = matrices("tiles", len(images) * tiles_of(size_out), images.shape[3])
    module.winograd_pixels(images, *before, *size_out, V)
    return V


def chunks_of(count, size_out, U):
    """Slices of so many images that their tiles fit a core's cache."""
    return chunks(count, CHUNK // (36 * tiles_of(size_out) * max(U.shape[1:])))


def tiles_of(size_out):
    return math.prod(-(-size // 4) for size in size_out)


def matrices(name, count, channels):
    """Scratch memory (36, count, channels): a matrix for each point.

    They do not begin a multiple of 4096 bytes apart, as the processor's first cache keeps only a few
    numbers with such addresses.
    """
    rows = count + 1 if count * channels % 1024 < 64 else count
    return scratch(np, name, (36, rows, channels), np.float32)[:, :count]


def pair(value):
    """(rows, columns) of an option; numbers that are none are refused by the definition's checks."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


# -- attention -----------------------------------------------------------------------------------


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
    """(..., heads, tokens, size) -> (images, heads, tokens, size), a token's numbers side by side."""
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
    register_kernel("group_norm", "native", group_norm_kernel(swish=False), devices=("cpu",))
    register_kernel("group_norm_swish", "native", group_norm_kernel(swish=True), devices=("cpu",))
    register_kernel("conv2d", "native", conv2d_native, devices=("cpu",))
    register_kernel("attention", "native", attention_native, devices=("cpu",))
