"""The dropout layer."""

from __future__ import annotations

from minidiff import functional as F
from minidiff.engine.random import rng_of_layers
from minidiff.engine.tensor import Tensor
from minidiff.nn.module import Module


class Dropout(Module):
    """In training mode, drop each element with probability p; in evaluation mode, nothing.

    It draws from the RNG of `with minidiff.engine.random.layers_draw_from(rng):`, so that each
    process of a training step has its own.
    """

    def __init__(self, p: float = 0.5):
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p must be in [0, 1), got {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return F.dropout(x, self.p, rng_of_layers(f"Dropout(p={self.p})"))

    def extra_repr(self) -> str:
        return f"p={self.p}"
