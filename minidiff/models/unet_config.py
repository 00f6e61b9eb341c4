"""Settings of the U-Net. A checkpoint stores them, and makes the same network from them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass

import numpy as np

from minidiff.models.config import (
    check_channels,
    check_counts,
    plain_setting,
    plain_settings,
)


@dataclass(frozen=True)
class UNetConfig:
    """Everything that decides which layers a `UNet` has.

    image_size is no setting of the network. If it is given, an image that can't be halved
    often enough is refused here, and not only at the first call.

    Raises: ValueError if a setting is out of range, or if the settings contradict each other.
    """

    image_channels: int = 1
    n_channels: int = 32  # at the full resolution; a multiple of 4
    ch_mults: Sequence[int] = (1, 2, 2)  # level i has n_channels * ch_mults[i] channels
    is_attn: Sequence[bool] = (False, False, True)  # whether a level has attention
    n_blocks: int = 1  # residual blocks of a level on the way down; one more on the way up
    cumulative: bool = False  # True: 1, 2, 2 means 1, 2, 4, as in the slide's code
    n_heads: int = 4  # of every attention; the middle always has one
    dropout: float = 0.0
    upsample: str = "transposed"  # convolution, as on the slide; or "nearest", as in DDPM's code
    n_groups: int | None = None  # of GroupNorm; None: the most, up to 8, that divide the channels
    zero_init: bool = False  # True: blocks begin as the identity, as in DDPM's code
    context_channels: int | None = None  # size of the word vectors that cross-attention looks at
    concat_channels: int = 0  # of a picture that is concatenated to x, such as a mask
    patch_size: int = 1  # p: each p x p patch is one pixel; p = 2 halves the time of a step
    learned_variance: bool = False  # True: a second output, see diffusion/learned_variance.py
    image_size: InitVar[int | tuple[int, int] | None] = None

    def __post_init__(self, image_size: int | tuple[int, int] | None) -> None:
        plain_settings(self)
        check_counts(
            "UNet", image_channels=self.image_channels, n_blocks=self.n_blocks,
            n_heads=self.n_heads, patch_size=self.patch_size,
        )  # fmt: skip
        check_channels("UNet", self.n_channels, self.ch_mults)
        if len(self.ch_mults) != len(self.is_attn):
            raise ValueError(
                f"UNet: ch_mults and is_attn must be of one length, "
                f"got {tuple(self.ch_mults)} and {tuple(self.is_attn)}"
            )
        if self.upsample not in ("transposed", "nearest"):
            raise ValueError(
                f"UNet: upsample must be 'transposed' or 'nearest', got {self.upsample!r}"
            )
        size = plain_setting(image_size)
        if size is not None:
            self.check_size(*((size, size) if isinstance(size, int) else size))

    @property
    def levels(self) -> int:
        """The number of resolutions."""
        return len(self.ch_mults)

    @property
    def channels(self) -> list[int]:
        """Channels of each level, from the full resolution to the lowest."""
        factors = np.cumprod(self.ch_mults) if self.cumulative else self.ch_mults
        return [self.n_channels * int(factor) for factor in factors]

    def check_size(self, height: int, width: int) -> None:
        """Refuse images that can't be halved levels - 1 times.

        Raises: ValueError, which names sizes that fit.
        """
        p = self.patch_size
        if min(height, width) < 1 or height % p or width % p:
            wanted = f"at least 1 and multiples of patch_size = {p}"
            raise ValueError(f"UNet: height and width must be {wanted}, got {height}x{width}")
        factor = p * 2 ** (self.levels - 1)
        if height % factor == 0 and width % factor == 0 and min(height, width) >= factor:
            return
        levels = 1
        while height % (p * 2**levels) == 0 and width % (p * 2**levels) == 0:
            levels += 1
        below = height // factor * factor, width // factor * factor
        above = -(-height // factor) * factor, -(-width // factor) * factor
        sizes = " or ".join(f"{h}x{w}" for h, w in dict.fromkeys([below, above]) if h and w)
        raise ValueError(
            f"UNet: images of {height}x{width} can't be halved {self.levels - 1} times "
            f"for {self.levels} levels (ch_mults). They allow at most {levels}; "
            f"{self.levels} levels want multiples of {factor}, such as {sizes}"
        )
