"""p_phi(y | x_t, t): a classifier of noisy images, for guidance (slide "Guided Diffusion Models", Dhariwal & Nichol sec. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.unet_blocks import DownBlock, Downsample, TimeEmbedding, fitting_groups
from minidiff.nn import Conv2d, GroupNormSwish, Linear, Module, ModuleList


class NoisyClassifier(Module):
    """The first half of a U-Net, then a linear layer that sees all of its pixels: the time goes into every block, as in eps_theta.

    The mean over the pixels in front of that layer would forget where a stroke is: digits were then told apart much later in the training.
    x: (B, image_channels, image_size, image_size); t: (B,) in 1..T -> logits (B, n_classes). image_size: a multiple of 2^(levels - 1).
    n_channels: at the full resolution, a multiple of 4; level i has n_channels * ch_mults[i], the last one has attention.
    Raises ValueError.
    """

    def __init__(
        self, image_channels: int = 1, n_channels: int = 16, ch_mults: Sequence[int] = (1, 2, 4), n_classes: int = 10, *,
        image_size: int = 28, n_heads: int = 4, dropout: float = 0.1, rng: RNG | None = None,
    ):  # fmt: skip
        for name, count in (
            ("image_channels", image_channels),
            ("n_classes", n_classes),
            ("n_heads", n_heads),
        ):
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"NoisyClassifier: {name} must be an int >= 1, got {count!r}")
        if not isinstance(n_channels, int) or n_channels < 4 or n_channels % 4:
            raise ValueError(
                f"NoisyClassifier: n_channels must be a multiple of 4, got {n_channels!r}"
            )
        if not ch_mults or any(not isinstance(m, int) or m < 1 for m in ch_mults):
            raise ValueError(
                f"NoisyClassifier: ch_mults must be ints >= 1, one for each resolution, got {tuple(ch_mults)}"
            )
        factor = 2 ** (len(ch_mults) - 1)
        if not isinstance(image_size, int) or image_size < 1 or image_size % factor:
            raise ValueError(
                f"NoisyClassifier: image_size must be a multiple of {factor} for {len(ch_mults)} levels, got {image_size!r}"
            )
        rng = rng or RNG(0)
        self.config = {
            "image_channels": image_channels, "n_channels": n_channels, "ch_mults": list(ch_mults), "n_classes": n_classes,
            "image_size": image_size, "n_heads": n_heads, "dropout": dropout,
        }  # fmt: skip
        self.image_shape = (image_channels, image_size, image_size)
        time_channels = 4 * n_channels
        self.image_proj = Conv2d(image_channels, n_channels, 3, padding=1, rng=rng)
        self.time_emb = TimeEmbedding(time_channels, rng)
        down: list[Module] = []
        in_channels = n_channels
        for i, m in enumerate(ch_mults):
            last = i == len(ch_mults) - 1
            down.append(
                DownBlock(
                    in_channels,
                    n_channels * m,
                    time_channels,
                    has_attn=last,
                    n_heads=n_heads,
                    dropout=dropout,
                    rng=rng,
                )
            )
            in_channels = n_channels * m
            if not last:
                down.append(Downsample(in_channels, rng))
        self.down = ModuleList(*down)
        self.norm = GroupNormSwish(fitting_groups(in_channels), in_channels)
        self.final = Linear(in_channels * (image_size // factor) ** 2, n_classes, rng=rng)

    def forward(self, x: Any, t: Any) -> Tensor:
        self._check_input(x, t)
        t = self.time_emb(t)
        x = self.image_proj(x)
        for m in self.down:
            x = m(x, t)
        return self.final(self.norm(x).reshape(x.shape[0], -1))

    def _check_input(self, x: Any, t: Any) -> None:
        shape = tuple(getattr(x, "shape", ()))
        if len(shape) != 4 or shape[1:] != self.image_shape:
            raise ValueError(
                f"NoisyClassifier: x must be (B, {', '.join(map(str, self.image_shape))}), got shape {shape}"
            )
        if getattr(t, "shape", None) != shape[:1]:
            raise ValueError(
                f"NoisyClassifier: t must hold one time step per image, shape {shape[:1]}, got {getattr(t, 'shape', t)}"
            )
