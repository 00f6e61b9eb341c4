"""Multi-head attention (Vaswani et al. 2017): several attentions side by side, each on its own projection of the tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidiff import functional as F
from minidiff.engine.backend import array_module
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn.initialization import default_rng
from minidiff.nn.layers import Linear
from minidiff.nn.module import Module, Parameter


class MultiHeadAttention(Module):
    """softmax(Q K^T / sqrt(d)) V with Q = x W_Q + b, K = context W_K + b, V = context W_V + b, heads joined by a last linear layer.

    query: (N, T, embed_dim), key and value: (N, S, kdim) and (N, S, vdim) -> (N, T, embed_dim).
    Parameter names and initialisation are those of torch.nn.MultiheadAttention(batch_first=True); the slide "Text Conditioning With Cross
    Attention" is the case where key = value = the embedded words.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        rng: RNG | None = None,
    ):
        if num_heads < 1 or embed_dim % num_heads:
            fitting = [h for h in range(1, embed_dim + 1) if embed_dim % h == 0]
            raise ValueError(
                f"MultiHeadAttention: embed_dim = {embed_dim} can't be divided into {num_heads} heads; it allows {fitting}"
            )
        rng = rng or default_rng
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.same_size = self.kdim == self.vdim == embed_dim
        if self.same_size:  # PyTorch stacks the three projections then
            self.in_proj_weight = _xavier_uniform((3 * embed_dim, embed_dim), rng)
        else:
            self.q_proj_weight = _xavier_uniform((embed_dim, embed_dim), rng)
            self.k_proj_weight = _xavier_uniform((embed_dim, self.kdim), rng)
            self.v_proj_weight = _xavier_uniform((embed_dim, self.vdim), rng)
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, np.float32)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng)
        if self.out_proj.bias is not None:
            self.out_proj.bias = Parameter(np.zeros(embed_dim, np.float32))

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, key_padding_mask: Tensor | None = None,
        mask: Tensor | None = None, is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """key: the query itself if not given; value: the key if not given.

        key_padding_mask: (N, S) booleans, True = padding, not attended to (PyTorch's sense). mask: broadcastable to (N, heads, T, S), True
        = may be attended to, or numbers that are added, as in `functional.attention`.
        """
        key = query if key is None else key
        value = key if value is None else value
        sizes = [x.shape[-1] if x.ndim == 3 else None for x in (query, key, value)]
        if sizes != [self.embed_dim, self.kdim, self.vdim]:
            raise ValueError(
                f"MultiHeadAttention: wanted query (N, T, {self.embed_dim}), key (N, S, {self.kdim}), value (N, S, {self.vdim}), "
                f"got {query.shape}, {key.shape}, {value.shape}"
            )
        if key_padding_mask is not None and (
            key_padding_mask.dtype != bool or key_padding_mask.shape != key.shape[:2]
        ):
            raise ValueError(
                f"MultiHeadAttention: key_padding_mask must be bool {key.shape[:2]}, True where there is padding, "
                f"got {key_padding_mask.dtype} {key_padding_mask.shape}"
            )
        Q, K, V = self.projections(query, key, value)
        attended = F.attention(Q, K, V, self._join_masks(mask, key_padding_mask), is_causal)
        N, _, T, _ = attended.shape
        return self.out_proj(attended.transpose(0, 2, 1, 3).reshape(N, T, self.embed_dim))

    def projections(
        self, query: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Q = query W_Q^T + b_Q,  K = key W_K^T + b_K,  V = value W_V^T + b_V, split into heads.

        query: (N, T, embed_dim); key: (N, S, kdim); value: (N, S, vdim)
        -> (N, heads, T or S, embed_dim / heads). Tokens are rows: a matrix of the slide acts
        on a token from the right, transposed (errata 49).
        """
        (W_Q, W_K, W_V), (b_Q, b_K, b_V) = self._weights_and_biases()
        Q = self._split(F.linear(query, W_Q, b_Q))
        K = self._split(F.linear(key, W_K, b_K))
        V = self._split(F.linear(value, W_V, b_V))
        return Q, K, V

    def _weights_and_biases(self) -> tuple[list[Tensor], list[Tensor | None]]:
        E = self.embed_dim
        if self.same_size:
            weights: list[Tensor] = [self.in_proj_weight[i * E : (i + 1) * E] for i in range(3)]
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        biases = [
            None if self.in_proj_bias is None else self.in_proj_bias[i * E : (i + 1) * E]
            for i in range(3)
        ]
        return weights, biases

    def _split(self, x: Tensor) -> Tensor:
        """(N, T, embed_dim) -> (N, heads, T, embed_dim / heads)"""
        N, T, E = x.shape
        return x.reshape(N, T, self.num_heads, E // self.num_heads).transpose(0, 2, 1, 3)

    @staticmethod
    def _join_masks(mask: Any, key_padding_mask: Any) -> Any:
        if key_padding_mask is None:
            return mask
        padding = (
            key_padding_mask.data if isinstance(key_padding_mask, Tensor) else key_padding_mask
        )
        may_attend = ~padding[:, None, None, :]
        if mask is None:
            return may_attend
        mask = mask.data if isinstance(mask, Tensor) else mask
        return (
            mask & may_attend
            if mask.dtype == bool
            else array_module(mask).where(may_attend, mask, mask.dtype.type(-math.inf))
        )

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads} heads, kdim={self.kdim}, vdim={self.vdim}"


def _xavier_uniform(shape: tuple[int, int], rng: RNG) -> Parameter:
    """Glorot & Bengio 2010: uniform in +-sqrt(6 / (fan_in + fan_out))."""
    bound = math.sqrt(6 / (shape[0] + shape[1]))
    return Parameter((rng.uniform(shape) * 2 - 1) * np.float32(bound))
