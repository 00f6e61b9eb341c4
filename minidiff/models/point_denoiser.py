"""eps_theta for points rather than images: linear layers in place of convolutions, the time added in each block as in the U-Net."""

from __future__ import annotations

from typing import Any

from minidiff import functional as F
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.unet_blocks import TimeEmbedding
from minidiff.nn import Linear, Module, ModuleList


class LinearBlock(Module):
    """h = lin1(swish(x)) + W swish(t);  x + lin2(swish(h)): a ResidualBlock without pixels.    x: (B, n_hidden)

    swish_t: (B, time_channels), computed once for all blocks.
    """

    def __init__(self, n_hidden: int, time_channels: int, rng: RNG):
        self.lin1 = Linear(n_hidden, n_hidden, rng=rng)
        self.time_emb = Linear(time_channels, n_hidden, rng=rng)
        self.lin2 = Linear(n_hidden, n_hidden, rng=rng)

    def forward(self, x: Tensor, swish_t: Tensor) -> Tensor:
        h = self.lin1(F.swish(x))
        h = h + self.time_emb(swish_t)
        h = self.lin2(F.swish(h))
        return x + h


class PointDenoiser(Module):
    """eps_theta: points (B, n_dims) and t (B,) -> (B, n_dims).

    n_hidden: numbers per point in between, which are also the size of the time embedding: a multiple of 8, at least 16.
    n_blocks: how many residual blocks.    Raises ValueError.
    """

    def __init__(
        self, n_dims: int = 2, n_hidden: int = 128, n_blocks: int = 3, rng: RNG | None = None
    ):
        for name, count in (("n_dims", n_dims), ("n_blocks", n_blocks)):
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"PointDenoiser: {name} must be an int >= 1, got {count!r}")
        if not isinstance(n_hidden, int) or n_hidden < 16 or n_hidden % 8:
            raise ValueError(
                f"PointDenoiser: n_hidden must be a multiple of 8 and at least 16, got {n_hidden!r}"
            )
        rng = rng or RNG(0)
        self.config = {"n_dims": n_dims, "n_hidden": n_hidden, "n_blocks": n_blocks}
        self.n_dims = n_dims
        self.point_proj = Linear(n_dims, n_hidden, rng=rng)
        self.time_emb = TimeEmbedding(n_hidden, rng)
        self.blocks = ModuleList(*(LinearBlock(n_hidden, n_hidden, rng) for _ in range(n_blocks)))
        self.final = Linear(n_hidden, n_dims, rng=rng)

    def forward(self, x: Any, t: Any) -> Tensor:
        """x: noisy points (B, n_dims); t: their time steps (B,), 1..T."""
        shape = getattr(x, "shape", None)
        if shape is None or len(shape) != 2 or shape[1] != self.n_dims:
            got = type(x).__name__ if shape is None else f"shape {shape}"
            raise ValueError(f"PointDenoiser: x must be (B, {self.n_dims}), got {got}")
        if getattr(t, "shape", None) != shape[:1]:
            raise ValueError(
                f"PointDenoiser: t must hold one time step per point, shape {shape[:1]}, got {getattr(t, 'shape', t)}"
            )
        swish_t = F.swish(self.time_emb(t))
        x = self.point_proj(x)
        for block in self.blocks:
            x = block(x, swish_t)
        return self.final(F.swish(x))
