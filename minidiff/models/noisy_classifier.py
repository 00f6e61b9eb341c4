"""A classifier of noisy images, p_phi(y | x_t, t), for classifier guidance.

Slide "Guided Diffusion Models", Dhariwal & Nichol sec. 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minidiff import functional as F
from minidiff.engine.checks import is_int
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.config import check_channels, check_counts, own_config, plain_settings
from minidiff.models.unet_blocks import (
    BlockSettings,
    DownBlock,
    Downsample,
    TimeEmbedding,
    fitting_groups,
)  # fmt: skip
from minidiff.nn import Conv2d, GroupNormSwish, Linear, Module, ModuleList


@dataclass(frozen=True)
class NoisyClassifierConfig:
    """Settings of a `NoisyClassifier`.

    Raises: ValueError if one is out of range.
    """

    image_channels: int = 1
    n_channels: int = 16  # at the full resolution; a multiple of 4
    ch_mults: Sequence[int] = (1, 2, 4)  # level i has n_channels * ch_mults[i] channels
    n_classes: int = 10
    image_size: int = 28  # a multiple of 2^(levels - 1)
    n_heads: int = 4  # of the attention on the last level
    dropout: float = 0.1

    def __post_init__(self) -> None:
        plain_settings(self)
        check_counts(
            "NoisyClassifier", image_channels=self.image_channels, n_classes=self.n_classes,
            n_heads=self.n_heads,
        )  # fmt: skip
        check_channels("NoisyClassifier", self.n_channels, self.ch_mults)
        size, factor = self.image_size, self.factor
        if not is_int(size) or size < 1 or size % factor:
            raise ValueError(
                f"NoisyClassifier: image_size must be a multiple of {factor} "
                f"for {len(self.ch_mults)} levels, got {size!r}"
            )

    @property
    def factor(self) -> int:
        """The factor by which images are smaller on the last level."""
        return 2 ** (len(self.ch_mults) - 1)


class NoisyClassifier(Module):
    """The first half of a U-Net, then a linear layer that sees all of its pixels.

    x: (B, image_channels, image_size, image_size); t: (B,) in 1..T -> logits (B, n_classes).
    The time goes into every block, as in eps_theta. A mean over the pixels in front of the last
    layer would forget where a stroke is; digits were then told apart much later in the training.
    """

    Config = NoisyClassifierConfig

    def __init__(self, config: NoisyClassifierConfig | None = None, rng: RNG | None = None):
        self.config = config = own_config("NoisyClassifier", config, NoisyClassifierConfig)
        rng = rng or RNG(0)
        size = config.image_size
        self.image_shape = (config.image_channels, size, size)
        blocks = BlockSettings(4 * config.n_channels, config.n_heads, config.dropout)
        self.image_proj = Conv2d(config.image_channels, config.n_channels, 3, padding=1, rng=rng)
        self.time_emb = TimeEmbedding(blocks.time_channels, rng)
        down: list[Module] = []
        in_channels = config.n_channels
        for i, factor in enumerate(config.ch_mults):
            channels, last = config.n_channels * factor, i == len(config.ch_mults) - 1
            down.append(DownBlock(in_channels, channels, last, blocks, rng))
            in_channels = channels
            if not last:
                down.append(Downsample(channels, rng))
        self.down = ModuleList(*down)
        self.norm = GroupNormSwish(fitting_groups(in_channels), in_channels)
        pixels = (size // config.factor) ** 2
        self.final = Linear(in_channels * pixels, config.n_classes, rng=rng)

    def forward(self, x: Any, t: Any) -> Tensor:
        self._check_input(x, t)
        swish_t = F.swish(self.time_emb(t))
        x = self.image_proj(x)
        for m in self.down:
            x = m(x, swish_t)
        return self.final(self.norm(x).flatten(1))

    def _check_input(self, x: Any, t: Any) -> None:
        shape = tuple(getattr(x, "shape", ()))
        if len(shape) != 4 or shape[1:] != self.image_shape:
            raise ValueError(
                f"NoisyClassifier: x must be (B, {', '.join(map(str, self.image_shape))}), "
                f"got shape {shape}"
            )
        if getattr(t, "shape", None) != shape[:1]:
            raise ValueError(
                f"NoisyClassifier: t must hold one time step per image, shape {shape[:1]}, "
                f"got {getattr(t, 'shape', t)}"
            )
