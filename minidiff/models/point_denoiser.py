"""The noise predictor eps_theta for points in the plane.

Linear layers take the place of the convolutions. The time is added in each block, as in the U-Net.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minidiff import functional as F
from minidiff.engine.checks import is_int
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.config import check_counts, own_config, plain_settings
from minidiff.models.unet_blocks import TimeEmbedding
from minidiff.nn import Linear, Module, ModuleList


class LinearBlock(Module):
    """A ResidualBlock without pixels: x + lin2(swish(h)) with h = lin1(swish(x)) + W swish(t).

    x: (B, n_hidden); swish_t: (B, time_channels), which is computed once for all blocks.
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


@dataclass(frozen=True)
class PointDenoiserConfig:
    """Settings of a `PointDenoiser`.

    Raises: ValueError if one is out of range.
    """

    n_dims: int = 2  # of a point
    n_hidden: int = 128  # numbers per point in between; a multiple of 8, at least 16
    n_blocks: int = 3

    def __post_init__(self) -> None:
        plain_settings(self)
        check_counts("PointDenoiser", n_dims=self.n_dims, n_blocks=self.n_blocks)
        if not is_int(self.n_hidden) or self.n_hidden < 16 or self.n_hidden % 8:
            raise ValueError(
                f"PointDenoiser: n_hidden must be a multiple of 8 and at least 16, "
                f"got {self.n_hidden!r}"
            )


class PointDenoiser(Module):
    """eps_theta: points (B, n_dims) and t (B,) -> (B, n_dims)."""

    Config = PointDenoiserConfig

    def __init__(self, config: PointDenoiserConfig | None = None, rng: RNG | None = None):
        self.config = config = own_config("PointDenoiser", config, PointDenoiserConfig)
        rng = rng or RNG(0)
        n = config.n_hidden  # also the size of the time embedding
        self.point_proj = Linear(config.n_dims, n, rng=rng)
        self.time_emb = TimeEmbedding(n, rng)
        self.blocks = ModuleList(*(LinearBlock(n, n, rng) for _ in range(config.n_blocks)))
        self.final = Linear(n, config.n_dims, rng=rng)

    def forward(self, x: Any, t: Any) -> Tensor:
        """x: noisy points (B, n_dims); t: their time steps (B,), 1..T."""
        shape, n_dims = getattr(x, "shape", None), self.config.n_dims
        if shape is None or len(shape) != 2 or shape[1] != n_dims:
            got = type(x).__name__ if shape is None else f"shape {shape}"
            raise ValueError(f"PointDenoiser: x must be (B, {n_dims}), got {got}")
        if getattr(t, "shape", None) != shape[:1]:
            raise ValueError(
                f"PointDenoiser: t must hold one time step per point, shape {shape[:1]}, "
                f"got {getattr(t, 'shape', t)}"
            )
        swish_t = F.swish(self.time_emb(t))
        x = self.point_proj(x)
        for block in self.blocks:
            x = block(x, swish_t)
        return self.final(F.swish(x))
