"""3x3 convolution in C++: Winograd's F(4 x 4, 3 x 3), csrc/cpu/winograd.h, around products of BLAS.

Few channels on one side are convolved directly, by csrc/cpu/narrow.h.
"""

from __future__ import annotations

import math

import numpy as np

from minidiff.engine.registry import Unsupported, register_kernel
from minidiff.kernels.cpu.im2col import sum_of_pixels
from minidiff.kernels.cpu.native import contiguous, float32, is_faster
from minidiff.kernels.cpu.scratch import channels_first, channels_last, chunks, scratch

CHUNK = 2**18  # numbers in the tiles of a chunk of images: about what a core's cache holds
LEAST_CHANNELS = 8  # for Winograd's form


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

    They do not begin a multiple of 4096 bytes apart, as the processor's first cache keeps only a
    few numbers with such addresses.
    """
    rows = count + 1 if count * channels % 1024 < 64 else count
    return scratch(np, name, (36, rows, channels), np.float32)[:, :count]


def pair(value):
    """(rows, columns) of an option. The checks of the definition have refused what is neither."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


if is_faster():
    register_kernel("conv2d", "native", conv2d_native, devices=("cpu",))
