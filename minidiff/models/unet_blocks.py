"""The parts of the U-Net, in the order of the slides "Diffusion Model Architecture".

Everywhere x is (B, C, H, W) and swish_t, the Swish of the time embedding, (B, time_channels).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from minidiff import functional as F
from minidiff.engine.backend import array_module
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn import (
    Conv2d,
    ConvTranspose2d,
    Dropout,
    GroupNorm,
    GroupNormSwish,
    Identity,
    Linear,
    Module,
    MultiHeadAttention,
)  # fmt: skip


class BlockSettings(NamedTuple):
    """Settings that all blocks of a network share."""

    time_channels: int  # of the time embedding
    n_heads: int = 4  # of every attention
    dropout: float = 0.0
    n_groups: int | None = None  # of GroupNorm; None takes `fitting_groups`
    context_channels: int | None = None  # of the word vectors; None is a network without text

    def groups(self, channels: int) -> int:
        """Into how many groups GroupNorm divides so many channels."""
        return self.n_groups or fitting_groups(channels)


def fitting_groups(channels: int, at_most: int = 8) -> int:
    """The largest number of groups, up to `at_most`, that divides the channels.

    Each group has at least two channels. A ResidualBlock adds one number per channel, which comes
    from the time, in front of norm2, and a group of one channel would take it out again.
    """
    return max(g for g in range(1, max(2, min(at_most, channels // 2) + 1)) if channels % g == 0)


def to_patches(x: Any, p: int) -> Any:
    """Make each p x p patch one pixel: (B, C, H, W) -> (B, C p^2, H / p, W / p)."""
    if p == 1:
        return x
    B, C, H, W = x.shape
    x = x if isinstance(x, Tensor) else Tensor(x)
    return (
        x.reshape(B, C, H // p, p, W // p, p)
        .transpose(0, 1, 3, 5, 2, 4)
        .reshape(B, C * p * p, H // p, W // p)
    )


def from_patches(x: Tensor, p: int) -> Tensor:
    """Undo `to_patches`: (B, C p^2, h, w) -> (B, C, p h, p w)."""
    if p == 1:
        return x
    B, C, h, w = x.shape
    return (
        x.reshape(B, C // p**2, p, p, h, w)
        .transpose(0, 1, 4, 2, 5, 3)
        .reshape(B, C // p**2, p * h, p * w)
    )


class TimeEmbedding(Module):
    """Turn the time step into a vector: (B,) -> (B, time_channels).

        PE_{t,i} = sin(t / 10000^(i / (d - 1))),  cos(...)    with d = half_dim = time_channels / 8

    A small network follows. The slide says "same as those from the transformer". In that paper
    sines and cosines alternate, with the exponent 2i / d (Vaswani et al. 2017).
    """

    def __init__(self, time_channels: int, rng: RNG):
        if time_channels % 8 or time_channels < 16:
            raise ValueError(
                f"TimeEmbedding: time_channels must be a multiple of 8 and at least 16, "
                f"got {time_channels}"
            )
        self.time_channels = time_channels
        self.lin1 = Linear(time_channels // 4, time_channels, rng=rng)
        self.lin2 = Linear(time_channels, time_channels, rng=rng)

    def forward(self, t: Any) -> Tensor:
        half_dim = self.time_channels // 8
        weight = self.lin1.weight.data
        xp = array_module(weight)
        t = xp.asarray(t.data if isinstance(t, Tensor) else t, dtype=weight.dtype)
        frequency = xp.exp(
            xp.arange(half_dim, dtype=weight.dtype) * (-math.log(10_000) / (half_dim - 1))
        )
        angle = t[:, None] * frequency[None, :]
        emb = Tensor(xp.concatenate([xp.sin(angle), xp.cos(angle)], axis=1))
        embedding = self.lin2(F.swish(self.lin1(emb)))
        return embedding


class ResidualBlock(Module):
    """Two convolutions, the time between them, and a shortcut around all.

        h = conv1(swish(norm1(x))) + W swish(t)
        y = conv2(dropout(swish(norm2(h)))) + shortcut(x)

    x: (B, in_channels, H, W) -> y: (B, out_channels, H, W)
    """

    def __init__(self, in_channels: int, out_channels: int, settings: BlockSettings, rng: RNG):
        self.norm1 = GroupNormSwish(settings.groups(in_channels), in_channels)
        self.conv1 = Conv2d(in_channels, out_channels, 3, padding=1, rng=rng)
        self.time_emb = Linear(settings.time_channels, out_channels, rng=rng)
        self.norm2 = GroupNormSwish(settings.groups(out_channels), out_channels)
        self.dropout = Dropout(settings.dropout)
        self.conv2 = Conv2d(out_channels, out_channels, 3, padding=1, rng=rng)
        self.shortcut = (
            Conv2d(in_channels, out_channels, 1, rng=rng)
            if in_channels != out_channels
            else Identity()
        )

    def forward(self, x: Tensor, swish_t: Tensor) -> Tensor:
        h = self.conv1(self.norm1(x))
        w_t = self.time_emb(swish_t)
        h = h + w_t.reshape(*w_t.shape, 1, 1)
        h = self.conv2(self.dropout(self.norm2(h)))
        return h + self.shortcut(x)


class AttentionBlock(Module):
    """Self-attention among the H * W pixels, each a token of C numbers, added to x.

    The code that the slide cites makes a norm and never calls it. Here x is normalised in front of
    the projection, as in DDPM.
    """

    def __init__(self, n_channels: int, settings: BlockSettings, rng: RNG):
        n_heads = settings.n_heads
        if n_channels % n_heads:
            fitting = [h for h in range(1, n_channels + 1) if n_channels % h == 0]
            raise ValueError(
                f"AttentionBlock: {n_channels} channels can't be divided into {n_heads} heads "
                f"(n_heads); they allow {fitting}"
            )
        self.n_heads = n_heads
        self.norm = GroupNorm(settings.groups(n_channels), n_channels)
        self.projection = Linear(n_channels, 3 * n_channels, rng=rng)
        self.output = Linear(n_channels, n_channels, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        tokens = self.norm(x).reshape(B, C, H * W).transpose(0, 2, 1)
        QKV = self.projection(tokens).reshape(B, H * W, 3, self.n_heads, C // self.n_heads)
        attended = F.self_attention(QKV)
        res = self.output(attended.transpose(0, 2, 1, 3).reshape(B, H * W, C))
        return x + res.transpose(0, 2, 1).reshape(B, C, H, W)


class Context(NamedTuple):
    """The words that cross-attention looks at."""

    tokens: Tensor  # tau_theta(y), (B, M, context_channels)
    padding: Any = None  # bool (B, M), True where there is no word


class CrossAttentionBlock(Module):
    """Attention from the pixels to the words, added to x.

        Q = W_Q phi(z_t),  K = W_K tau_theta(y),  V = W_V tau_theta(y)

    phi(z_t) is x after the norm, its H * W pixels as tokens (LDM sec. 3.3).
    """

    def __init__(self, n_channels: int, settings: BlockSettings, rng: RNG):
        self.norm = GroupNorm(settings.groups(n_channels), n_channels)
        words = settings.context_channels
        self.attention = MultiHeadAttention(
            n_channels, settings.n_heads, kdim=words, vdim=words, rng=rng
        )

    def forward(self, x: Tensor, context: Context) -> Tensor:
        B, C, H, W = x.shape
        phi = self.norm(x).reshape(B, C, H * W).transpose(0, 2, 1)
        res = self.attention(phi, context.tokens, key_padding_mask=context.padding)
        return x + res.transpose(0, 2, 1).reshape(B, C, H, W)


class DownBlock(Module):
    """A ResidualBlock, attention where has_attn, and cross-attention where there is text, too."""

    def __init__(
        self, in_channels: int, out_channels: int, has_attn: bool, settings: BlockSettings, rng: RNG
    ):
        self.res = ResidualBlock(in_channels, out_channels, settings, rng)
        self.attn = AttentionBlock(out_channels, settings, rng) if has_attn else Identity()
        if has_attn and settings.context_channels:
            self.cross = CrossAttentionBlock(out_channels, settings, rng)

    def forward(self, x: Tensor, swish_t: Tensor, context: Context | None = None) -> Tensor:
        x = self.res(x, swish_t)
        x = self.attn(x)
        if context is not None and hasattr(self, "cross"):
            x = self.cross(x, context)
        return x


class UpBlock(DownBlock):
    """A DownBlock whose input is x with the skip connection of skip_channels concatenated."""

    def __init__(
        self, in_channels: int, skip_channels: int, out_channels: int, has_attn: bool,
        settings: BlockSettings, rng: RNG,
    ):  # fmt: skip
        super().__init__(in_channels + skip_channels, out_channels, has_attn, settings, rng)


class MiddleBlock(Module):
    """ResidualBlock, attention, cross-attention where there is text, ResidualBlock."""

    def __init__(self, n_channels: int, settings: BlockSettings, rng: RNG):
        self.res1 = ResidualBlock(n_channels, n_channels, settings, rng)
        self.attn = AttentionBlock(n_channels, settings, rng)
        if settings.context_channels:
            self.cross = CrossAttentionBlock(n_channels, settings, rng)
        self.res2 = ResidualBlock(n_channels, n_channels, settings, rng)

    def forward(self, x: Tensor, swish_t: Tensor, context: Context | None = None) -> Tensor:
        x = self.res1(x, swish_t)
        x = self.attn(x)
        if context is not None and hasattr(self, "cross"):
            x = self.cross(x, context)
        x = self.res2(x, swish_t)
        return x


class Downsample(Module):
    """Half the height and width, by a 3x3 convolution with stride 2."""

    def __init__(self, n_channels: int, rng: RNG):
        self.conv = Conv2d(n_channels, n_channels, 3, stride=2, padding=1, rng=rng)

    def forward(self, x: Tensor, swish_t: Tensor, context: Context | None = None) -> Tensor:
        return self.conv(x)


class Upsample(Module):
    """Twice the height and width, by a 4x4 transposed convolution with stride 2."""

    def __init__(self, n_channels: int, rng: RNG):
        self.conv = ConvTranspose2d(n_channels, n_channels, 4, stride=2, padding=1, rng=rng)

    def forward(self, x: Tensor, swish_t: Tensor, context: Context | None = None) -> Tensor:
        return self.conv(x)


class NearestUpsample(Module):
    """Twice the height and width: each pixel is repeated, then a 3x3 convolution.

    This is DDPM's own way. It is free of checkerboard patterns.
    """

    def __init__(self, n_channels: int, rng: RNG):
        self.conv = Conv2d(n_channels, n_channels, 3, padding=1, rng=rng)

    def forward(self, x: Tensor, swish_t: Tensor, context: Context | None = None) -> Tensor:
        return self.conv(F.interpolate(x, 2))
