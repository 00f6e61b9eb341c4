"""Products: `matmul` (batched) and `linear`, the fully connected layer."""

from __future__ import annotations

import math

from minidiff.engine.operation import operation
from minidiff.kernels import arguments


@operation(check=arguments.matmul)
def matmul(x, y):
    """z = x y, batched over the leading axes with broadcasting; vectors as in NumPy

    x: (..., M, K); y: (..., K, N) -> (..., M, N)."""
    rows = x if x.ndim > 1 else x[None, :]
    columns = y if y.ndim > 1 else y[:, None]

    def matmul_backward(dz, wanted):
        """z = x y  =>  dx = dz y^T,  dy = x^T dz"""
        if x.ndim == 1:
            dz = dz[..., None, :] if y.ndim > 1 else dz[None]
        if y.ndim == 1:
            dz = dz[..., None]
        dx = dz @ columns.swapaxes(-1, -2) if wanted[0] else None
        dy = rows.swapaxes(-1, -2) @ dz if wanted[1] else None
        if dx is not None and x.ndim == 1:
            dx = dx[..., 0, :]
        if dy is not None and y.ndim == 1:
            dy = dy[..., 0]
        return dx, dy

    return x @ y, matmul_backward


@operation(check=arguments.linear)
def linear(x, weight, bias=None):
    """y = x weight^T + bias

    x: (..., in); weight: (out, in); bias: (out,) -> (..., out).
    Faster forms on a GPU: kernels/cuda/linear.py."""
    y = x @ weight.T
    if bias is not None:
        y += bias

    def linear_backward(dy, wanted):
        count = math.prod(x.shape[:-1])
        rows_dy, rows_x = dy.reshape(count, dy.shape[-1]), x.reshape(count, x.shape[-1])
        dx = dy @ weight if wanted[0] else None
        dweight = rows_dy.T @ rows_x if wanted[1] else None
        dbias = rows_dy.sum(axis=0) if wanted[2] else None
        return dx, dweight, dbias

    return y, linear_backward
