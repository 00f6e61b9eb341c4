"""Products of matrices: `matmul` (batched) and `linear`, the fully connected layer y = x W^T + b."""

from __future__ import annotations

import numpy as np

from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation


@operation
def matmul(x, y):
    """x @ y, batched over the leading axes with broadcasting.    x: (..., M, K), y: (..., K, N) -> (..., M, N); vectors as in NumPy."""
    array_module(x, y)
    inner = y.shape[-2] if y.ndim > 1 else y.shape[0] if y.ndim else None
    if not x.ndim or not y.ndim or x.shape[-1] != inner:
        raise ValueError(f"matmul: the last size of x must equal the last but one of y, got shapes {x.shape} and {y.shape}")
    try:
        np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        raise ValueError(f"matmul: leading sizes of x and y must broadcast, got shapes {x.shape} and {y.shape}") from None
    rows = x if x.ndim > 1 else x[None, :]
    columns = y if y.ndim > 1 else y[:, None]

    def matmul_backward(dz, wanted):
        if x.ndim == 1:
            dz = dz[..., None, :] if y.ndim > 1 else dz[None]
        if y.ndim == 1:
            dz = dz[..., None]
        dx = dz @ columns.swapaxes(-1, -2) if wanted[0] else None  # z = x y  =>  dx = dz y^T,  dy = x^T dz
        dy = rows.swapaxes(-1, -2) @ dz if wanted[1] else None
        if dx is not None and x.ndim == 1:
            dx = dx[..., 0, :]
        if dy is not None and y.ndim == 1:
            dy = dy[..., 0]
        return dx, dy

    return x @ y, matmul_backward


@operation
def linear(x, weight, bias=None):
    """y = x W^T + b.    x: (..., in), weight: (out, in), bias: (out,) -> (..., out)."""
    array_module(x, weight, bias)
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: weight must be (out, in) with in = x's last size, got x {x.shape} and weight {weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias must have shape {weight.shape[:1]}, got {bias.shape}")
    if bias is not None and bias.dtype != x.dtype:
        raise TypeError(f"linear: bias must have x's dtype {x.dtype}, got {bias.dtype}")
    y = x @ weight.T
    if bias is not None:
        y += bias

    def linear_backward(dy, wanted):
        rows_dy = dy.reshape(-1, dy.shape[-1])
        rows_x = x.reshape(-1, x.shape[-1])
        dx = dy @ weight if wanted[0] else None
        dweight = rows_dy.T @ rows_x if wanted[1] else None
        dbias = rows_dy.sum(axis=0) if wanted[2] else None
        return dx, dweight, dbias

    return y, linear_backward
