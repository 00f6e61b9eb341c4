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

POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)  # and infinity, as in winograd.h
LEAST_CHANNELS = 8


def conv2d_native(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """conv2d with 3x3 kernels and stride 1."""
    module = float32(x=x, weight=weight, bias=bias)
    plain = groups == 1 and pair(stride) == pair(dilation) == (1, 1)
    if weight.shape[2:] != (3, 3) or not plain:
        raise Unsupported("a 3x3 kernel with stride 1, without dilation and groups, is wanted")
    if min(weight.shape[:2]) < LEAST_CHANNELS:
        raise Unsupported(f"fewer than {LEAST_CHANNELS} channels")
    before = pair(padding)
    images, bias = channels_last(x), contiguous(bias)
    taps = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))  # u, v, in, out
    size_out = tuple(size + 2 * p - 2 for size, p in zip(x.shape[2:], before, strict=True))
    y, _ = convolve(module, images, taps, before, size_out, bias)

    def conv2d_native_backward(dy, wanted):
        """dx: dy convolved with the kernels turned round. dweight uses the same transform of dy."""
        want_x, want_weight, want_bias = (*wanted, False, False)[:3]
        dy = channels_last(dy)
        dx = dturned = None
        if want_x or want_weight:
            turned = np.ascontiguousarray(taps[::-1, ::-1].swapaxes(2, 3))
            around = tuple(2 - p for p in before)
            partner = images if want_weight else None
            dx, dturned = convolve(module, dy, turned, around, x.shape[2:], None, partner, want_x)
        return (
            channels_first(dx) if want_x else None,
            dturned[::-1, ::-1].transpose(2, 3, 0, 1) if want_weight else None,
            np.ones(dy.size // dy.shape[3], np.float32) @ dy.reshape(-1, dy.shape[3])
            if want_bias
            else None,
        )

    return channels_first(y), conv2d_native_backward


def convolve(module, images, taps, before, size_out, bias=None, partner=None, want_y=True):
    """images: (N, H, W, in), taps: (3, 3, in, out) -> y (N, *size_out, out), dtaps.

    partner: (N, *size_out, out), the gradient of y; with it dtaps, the gradient of taps, is taken.
    """
    N, (C, O) = len(images), taps.shape[2:]  # noqa: E741
    G = kernel_matrix()
    U = np.matmul(G, (G @ taps.reshape(3, -1)).reshape(6, 3, -1)).reshape(36, C, O)
    y = np.empty((N, *size_out, O), np.float32) if want_y else None
    dU = None
    tiles = math.prod(-(-size // 4) for size in size_out)
    for part in chunks(N, CHUNK // (36 * tiles * max(C, O))):
        count = (part.stop - part.start) * tiles
        V, M = matrices("tiles", count, C), matrices("columns", count, O)
        module.winograd_pixels(images[part], *before, *size_out, V)
        if want_y:
            np.matmul(V, U, out=M)
            module.winograd_interpolate(M, bias, y[part])
        if partner is not None:
            module.winograd_results(partner[part], M)
            product = V.swapaxes(1, 2) @ M
            dU = product if dU is None else np.add(dU, product, out=dU)
    if partner is None:
        return y, None
    halfway = np.matmul(G.T, dU.reshape(6, 6, -1)).reshape(6, -1)
    return y, (G.T @ halfway).reshape(taps.shape)


def matrices(name, count, channels):
    """Scratch memory (36, count, channels): a matrix for each point.

    They do not begin a multiple of 4096 bytes apart, as the processor's first cache keeps only a few
    numbers with such addresses.
    """
    rows = count + 1 if count * channels % 1024 < 64 else count
    return scratch(np, name, (36, rows, channels), np.float32)[:, :count]


@cache
def kernel_matrix():
    """G (6, 3): it evaluates a kernel's three numbers at the points.

    Together with the matrices of winograd.h it makes a convolution, whatever the scale of each
    point: their product fixes it.
    """
    a2, b2 = POINTS[1] ** 2, POINTS[3] ** 2
    at_points = np.vander(POINTS, 3, increasing=True)
    scales = [a2 * b2, 2 * a2 * (a2 - b2), 2 * a2 * (a2 - b2), 2 * b2 * (b2 - a2), 2 * b2 * (b2 - a2)]
    rows = [row / scale for row, scale in zip(at_points, scales, strict=True)]
    return np.array([*rows, [0, 0, 1]], np.float32)


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
