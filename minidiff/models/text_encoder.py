"""tau_theta of latent diffusion (Rombach et al. 2022): the words of a caption as vectors that know of each other. Slides "LDM Training"."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidiff import functional as F
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn import (
    Embedding,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    MultiHeadAttention,
    Parameter,
)


class TransformerEncoderLayer(Module):
    """x = x + self_attn(norm1(x));  x = x + linear2(swish(linear1(norm2(x))))    (B, L, d) -> same shape

    Each word looks at the others, then thinks for itself. "Pre-norm", normalised inside the branches: it trains without a warm-up.
    Parameter names are those of torch.nn.TransformerEncoderLayer.
    """

    def __init__(self, d: int, n_heads: int, rng: RNG):
        self.norm1 = LayerNorm(d)
        self.self_attn = MultiHeadAttention(d, n_heads, rng=rng)
        self.norm2 = LayerNorm(d)
        self.linear1 = Linear(d, 4 * d, rng=rng)
        self.linear2 = Linear(4 * d, d, rng=rng)

    def forward(self, x: Tensor, padding: Any = None) -> Tensor:
        """padding: bool (B, L), True where there is no word."""
        x = x + self.self_attn(self.norm1(x), key_padding_mask=padding)
        return x + self.linear2(F.swish(self.linear1(self.norm2(x))))


class TextEncoder(Module):
    """tau_theta(y): tokens (B, L) -> (B, L, d), the keys and values of cross-attention.

    n_words: how many ids there are (len(vocabulary)). max_length: the largest L. padding_idx: the id that stands for no word; pass
    `padding(tokens)` to the cross-attention as well.    Raises ValueError for settings and shapes, TypeError for tokens that are no ints,
    IndexError for one outside 0..n_words-1.
    """

    def __init__(
        self,
        n_words: int,
        max_length: int,
        d: int = 64,
        n_heads: int = 4,
        n_layers: int = 2,
        padding_idx: int = 0,
        rng: RNG | None = None,
    ):
        for name, count in (
            ("n_words", n_words),
            ("max_length", max_length),
            ("d", d),
            ("n_heads", n_heads),
            ("n_layers", n_layers),
        ):
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"TextEncoder: {name} must be an int >= 1, got {count!r}")
        if d % n_heads:
            raise ValueError(f"TextEncoder: d must be a multiple of n_heads = {n_heads}, got {d}")
        if not 0 <= padding_idx < n_words:
            raise ValueError(
                f"TextEncoder: padding_idx must be in 0..n_words-1 = 0..{n_words - 1}, got {padding_idx}"
            )
        rng = rng or RNG(0)
        self.config = {
            "n_words": n_words, "max_length": max_length, "d": d, "n_heads": n_heads, "n_layers": n_layers, "padding_idx": padding_idx,
        }  # fmt: skip
        self.n_words, self.max_length, self.padding_idx = n_words, max_length, padding_idx
        self.token_embedding = Embedding(n_words, d, rng=rng)
        self.position_embedding = Parameter(
            rng.normal((max_length, d)) * np.float32(0.1)
        )  # small: where a word is says less than which
        self.layers = ModuleList(
            *(TransformerEncoderLayer(d, n_heads, rng) for _ in range(n_layers))
        )
        self.norm = LayerNorm(d)

    def forward(self, tokens: Any) -> Tensor:
        """tokens: ints (B, L), 1 <= L <= max_length, on the device of the parameters -> (B, L, d)."""
        tokens = tokens.data if isinstance(tokens, Tensor) else tokens
        self._check_shape(tokens)
        try:
            words = self.token_embedding(tokens)
        except IndexError as error:
            raise IndexError(
                f"TextEncoder: tokens must be in 0..n_words-1 = 0..{self.n_words - 1} ({error})"
            ) from error
        x = words + self.position_embedding[: tokens.shape[1]]
        padding = self.padding(tokens)
        for layer in self.layers:
            x = layer(x, padding)
        return self.norm(x)

    def padding(self, tokens: Any) -> Any:
        """True where there is no word.    tokens: ints (B, L) -> bool (B, L)."""
        tokens = tokens.data if isinstance(tokens, Tensor) else tokens
        return tokens == self.padding_idx

    def _check_shape(self, tokens: Any) -> None:
        shape = getattr(tokens, "shape", None)
        if shape is None or len(shape) != 2 or not 1 <= shape[1] <= self.max_length:
            got = type(tokens).__name__ if shape is None else f"shape {shape}"
            raise ValueError(
                f"TextEncoder: tokens must be (B, L) with L in 1..max_length = 1..{self.max_length}, got {got}"
            )
        if tokens.dtype.kind not in "iu":
            raise TypeError(f"TextEncoder: tokens must be ints, got {tokens.dtype}")
