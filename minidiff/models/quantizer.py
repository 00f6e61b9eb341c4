"""The VQ layer: it replaces each vector of the encoder by the nearest of K learned codes.

Slide "LDM Training (Phase 1)".
"""

from __future__ import annotations

from typing import Any, NamedTuple

from minidiff.diffusion.latent import nearest_code, straight_through
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn import Module, Parameter


class Quantized(NamedTuple):
    """Result of the VQ layer."""

    z_q: Tensor  # (B, D, h, w), the decoder's input
    z_e: Tensor  # (B h w, D), the encoder's vectors
    e: Tensor  # (B h w, D), their codes
    k: Any  # (B h w,), the numbers of these codes


class VectorQuantizer(Module):
    """z_e: (B, D, h, w) -> Quantized.

    n_codes: K, the size of the codebook. code_size: D.
    ema: the codes are running means of the vectors that chose them, which the training loop keeps
    (training/codebook.py). Without it they follow the gradient of the codebook loss.
    """

    def __init__(self, n_codes: int, code_size: int, *, ema: bool = False, rng: RNG | None = None):
        if n_codes < 2 or code_size < 1:
            raise ValueError(
                f"VectorQuantizer: n_codes must be >= 2 and code_size >= 1, "
                f"got {n_codes} and {code_size}"
            )
        rng = rng or RNG(0)
        self.n_codes, self.code_size = n_codes, code_size
        self.codebook = Parameter(rng.normal((n_codes, code_size)))
        self.codebook.requires_grad = not ema

    def forward(self, z_e: Tensor) -> Quantized:
        if z_e.ndim != 4 or z_e.shape[1] != self.code_size:
            raise ValueError(
                f"VectorQuantizer: z_e must be (B, {self.code_size}, h, w), got shape {z_e.shape}"
            )
        B, D, h, w = z_e.shape
        vectors = z_e.transpose(0, 2, 3, 1).reshape(B * h * w, D)
        k = nearest_code(vectors, self.codebook)
        e = self.codebook[k]
        z_q = straight_through(vectors, e)
        return Quantized(z_q.reshape(B, h, w, D).transpose(0, 3, 1, 2), vectors, e, k)

    def extra_repr(self) -> str:
        return f"{self.n_codes} codes of {self.code_size}"
