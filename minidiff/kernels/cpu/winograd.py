"""Winograd's convolution (Lavin & Gray 2016) for 3x3 kernels.

Along each column of pixels, 4 outputs need 6 products instead of 12.

Two polynomials with 4 and 3 coefficients d and g have a product with 6 coefficients, and 6 values
of it fix them. Let V_k evaluate a polynomial of k coefficients at 6 points: then the product is
V_6^-1 [(V_3 g) * (V_4 d)],  with 6 multiplications. That is the convolution of 4 numbers with 3
that yields 6. Ours, from 6 numbers to 4, is its transpose as a map of d:

    y = A^T [(G g) * (B^T d)]    with    A = V_4,   G = V_3,   B^T = V_6^-T

The left matrices act on rows of pixels, with all their columns and channels at once. Along the row
the three taps are columns as in im2col.py. So each of the 6 products is one product of matrices,
and half as many multiplications are left of a 3x3 convolution.
All this is linear, and its transpose is the gradient of the kernel:  dg = G^T [(B^T d) * (A dy)].
"""

from __future__ import annotations

import functools

import numpy as np

from minidiff.engine.backend import array_module
from minidiff.kernels.cpu.scratch import chunks, scratch

# Small numbers, which keep float32's rounding small; and infinity, where the value of a polynomial
# is its highest coefficient
POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
TILE, TAPS = 4, 3
READ = TILE + TAPS - 1
# numbers in the columns of a chunk of images: with all other arrays, what the cache of a core holds
CHUNK = 5 * 2**15
ROWS = 128  # of the matrices of a chunk at least, so that their products are worth it


def suits(x, kernel, windows):
    """Whether this is 3x3 with stride 1, and has so many channels that products are most of it."""
    plain = all(
        w.taps == TAPS and w.stride == 1 and w.dilation == 1 and min(w.before, w.after) >= 0
        for w in windows
    )
    return plain and kernel.shape[0] == 1 and min(kernel.shape[3:]) >= 16 and array_module(x) is np


def convolve_3x3(x, kernel, windows, bias=None, partner=None):
    """As `im2col.convolve`, for what `suits`.

    x: (N, H, W, in); kernel: (1, 3, 3, in, out) -> y (N, H_out, W_out, out), dkernel
    """
    n, _, _, c_in = x.shape
    c_out = kernel.shape[4]
    A, G, B_T = _matrices(x.dtype)
    size_out = windows[0].size_out(x.shape[1]), windows[1].size_out(x.shape[2])
    y = np.empty((n, *size_out, c_out), x.dtype)
    U = (G @ kernel.reshape(TAPS, -1)).reshape(READ, TAPS * c_in, c_out)
    bias_row = None if bias is None else np.tile(bias, size_out[1])
    dU = None
    rows = -(-size_out[0] // TILE) * size_out[1]
    most = max(CHUNK // (READ * rows * TAPS * c_in), -(-ROWS // rows))
    tiles = None
    for images in chunks(n, most):
        if tiles is None or tiles.n != images.stop - images.start:
            tiles = _Tiles(images.stop - images.start, x, windows, size_out, c_out)
        tiles.inside[...] = x[images]
        np.matmul(B_T, tiles.d, out=tiles.V)
        tiles.columns[...] = tiles.covered
        np.matmul(tiles.matrix, U, out=tiles.M)
        if bias is not None:
            # at the point 1 all powers are 1, so that the bias goes into all four outputs
            tiles.M_rows[:, 1] += bias_row
        np.matmul(A.T, tiles.M_rows, out=tiles.rows_of(y[images]))
        tiles.finish(y[images])
        if partner is not None:
            np.matmul(A, tiles.rows_from(partner[images]), out=tiles.M_rows)
            product = tiles.matrix.swapaxes(1, 2) @ tiles.M
            dU = product if dU is None else np.add(dU, product, out=dU)
    if partner is None:
        return y, None
    return y, (G.T @ dU.reshape(READ, -1)).reshape(kernel.shape)


class _Tiles:
    """The arrays for a chunk of n images, views of scratch memory.

    They are made once, so that the loop over chunks has little Python in it.
    """

    def __init__(self, n, x, windows, size_out, c_out):
        _, h, w, c = x.shape
        h_out, w_out = size_out
        tall, wide = -(-h_out // TILE), w_out + TAPS - 1
        self.n, self.size_out = n, size_out
        padded = scratch(np, "padded", (n, tall * TILE + TAPS - 1, wide, c), x.dtype)
        padded.fill(0)
        before_h, before_w = windows[0].before, windows[1].before
        self.inside = padded[:, before_h : before_h + h, before_w : before_w + w]
        # d: for each tile the 6 rows that its 4 outputs read, as a (6, columns * channels) matrix
        rows = np.lib.stride_tricks.sliding_window_view(
            padded.reshape(n, -1, wide * c), READ, axis=1
        )
        self.d = rows[:, ::TILE].transpose(0, 1, 3, 2)
        self.V = scratch(np, "tiles", (n, tall, READ, wide * c), x.dtype)
        covered = np.lib.stride_tricks.sliding_window_view(
            self.V.reshape(n, tall, READ, wide, c), TAPS, axis=3
        )
        self.covered = covered.transpose(2, 0, 1, 3, 5, 4)
        self.columns = scratch(np, "columns", self.covered.shape, x.dtype)
        self.matrix = self.columns.reshape(READ, n * tall * w_out, TAPS * c)
        # M, the six products, in V's memory: V is used up then
        self.M = scratch(np, "tiles", (READ, n * tall * w_out, c_out), x.dtype)
        self.M_rows = self.M.reshape(READ, n * tall, w_out * c_out).transpose(1, 0, 2)
        self.whole = h_out % TILE == 0
        self.rows = (
            None if self.whole else scratch(np, "rows", (n, tall * TILE, w_out, c_out), x.dtype)
        )

    def rows_of(self, y):
        """Where to write the outputs: y itself if it is made of whole tiles, else scratch."""
        return (y if self.whole else self.rows).reshape(-1, TILE, y.shape[2] * y.shape[3])

    def finish(self, y):
        if not self.whole:
            y[...] = self.rows[:, : self.size_out[0]]

    def rows_from(self, dy):
        """dy in whole tiles, filled up with zeros."""
        if not self.whole:
            self.rows[:, : self.size_out[0]] = dy
            self.rows[:, self.size_out[0] :] = 0
        return self.rows_of(dy)


@functools.cache
def _matrices(dtype):
    """A, G and B^T."""

    def evaluate(coefficients):
        at_points = np.vander(POINTS, coefficients, increasing=True)
        at_infinity = np.eye(coefficients)[-1:]
        return np.concatenate([at_points, at_infinity])

    return tuple(
        np.ascontiguousarray(m, dtype)
        for m in (evaluate(TILE), evaluate(TAPS), np.linalg.inv(evaluate(READ)).T)
    )
