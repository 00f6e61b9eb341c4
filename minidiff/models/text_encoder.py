"""The text encoder of latent diffusion, tau_theta (Rombach et al. 2022). Slides "LDM Training".

It turns the words of a caption into vectors that know of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidiff import functional as F
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.config import check_counts, own_config, plain_settings
from minidiff.nn import (
    Embedding,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    MultiHeadAttention,
    Parameter,
)  # fmt: skip


class TransformerEncoderLayer(Module):
    """Let each word look at the others, then think for itself.    (B, L, d) -> the same shape

        x = x + self_attn(norm1(x))
        x = x + linear2(swish(linear1(norm2(x))))

    The norms are inside the branches ("pre-norm"), so that it trains without a warm-up.
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


@dataclass(frozen=True)
class TextEncoderConfig:
    """Settings of a `TextEncoder`.

    Raises: ValueError if one is out of range.
    """

    n_words: int  # how many ids there are, len(vocabulary)
    max_length: int  # the largest L, in words
    d: int = 64  # size of a word's vector
    n_heads: int = 4
    n_layers: int = 2
    padding_idx: int = 0  # the id that stands for "no word"

    def __post_init__(self) -> None:
        plain_settings(self)
        check_counts(
            "TextEncoder", n_words=self.n_words, max_length=self.max_length, d=self.d,
            n_heads=self.n_heads, n_layers=self.n_layers,
        )  # fmt: skip
        if self.d % self.n_heads:
            raise ValueError(
                f"TextEncoder: d must be a multiple of n_heads = {self.n_heads}, got {self.d}"
            )
        if not 0 <= self.padding_idx < self.n_words:
            raise ValueError(
                f"TextEncoder: padding_idx must be in 0..n_words-1 = 0..{self.n_words - 1}, "
                f"got {self.padding_idx}"
            )


class TextEncoder(Module):
    """tau_theta(y): tokens (B, L) -> (B, L, d), the keys and values of cross-attention.

    Pass `padding(tokens)` to the cross-attention as well.

    Raises: ValueError if the shape doesn't fit; TypeError if tokens are not integers; IndexError if
    one is outside 0..n_words-1.
    """

    Config = TextEncoderConfig

    def __init__(self, config: TextEncoderConfig, rng: RNG | None = None):
        self.config = config = own_config("TextEncoder", config, TextEncoderConfig)
        rng = rng or RNG(0)
        d = config.d
        self.token_embedding = Embedding(config.n_words, d, rng=rng)
        # small at first, since where a word is says less than which word it is
        self.position_embedding = Parameter(
            rng.normal((config.max_length, d)) * np.float32(0.1)
        )
        self.layers = ModuleList(
            *(TransformerEncoderLayer(d, config.n_heads, rng) for _ in range(config.n_layers))
        )
        self.norm = LayerNorm(d)

    def forward(self, tokens: Any) -> Tensor:
        """tokens: ints (B, L) with L in 1..max_length, on the parameters' device -> (B, L, d)."""
        tokens = tokens.data if isinstance(tokens, Tensor) else tokens
        self._check_shape(tokens)
        try:
            words = self.token_embedding(tokens)
        except IndexError as error:
            raise IndexError(
                f"TextEncoder: tokens must be in 0..n_words-1 = 0..{self.config.n_words - 1} "
                f"({error})"
            ) from error
        x = words + self.position_embedding[: tokens.shape[1]]
        padding = self.padding(tokens)
        for layer in self.layers:
            x = layer(x, padding)
        return self.norm(x)

    def padding(self, tokens: Any) -> Any:
        """True where there is no word.    tokens: ints (B, L) -> bool (B, L)."""
        tokens = tokens.data if isinstance(tokens, Tensor) else tokens
        return tokens == self.config.padding_idx

    def _check_shape(self, tokens: Any) -> None:
        shape, longest = getattr(tokens, "shape", None), self.config.max_length
        if shape is None or len(shape) != 2 or not 1 <= shape[1] <= longest:
            got = type(tokens).__name__ if shape is None else f"shape {shape}"
            raise ValueError(
                f"TextEncoder: tokens must be (B, L) with L in 1..max_length = 1..{longest}, "
                f"got {got}"
            )
        if tokens.dtype.kind not in "iu":
            raise TypeError(f"TextEncoder: tokens must be ints, got {tokens.dtype}")
