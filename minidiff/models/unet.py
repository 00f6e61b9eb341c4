"""The U-Net of the deck: eps_theta(x_t, t), the network that predicts the noise in a noisy image. Slides "Diffusion Model Architecture"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidiff import functional as F
from minidiff.diffusion.targets import Prediction
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.unet_blocks import (
    Context,
    DownBlock,
    Downsample,
    MiddleBlock,
    NearestUpsample,
    ResidualBlock,
    TimeEmbedding,
    UpBlock,
    Upsample,
    fitting_groups,
    from_patches,
    to_patches,
)
from minidiff.nn import Conv2d, GroupNormSwish, Module, ModuleList


def _check_counts(**counts: Any) -> None:
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"UNet: {name} must be an int >= 1, got {count!r}")


class UNet(Module):
    """eps_theta: (B, image_channels, H, W) and t (B,) -> (B, image_channels, H, W).

    n_channels: channels at the full resolution, a multiple of 4. ch_mults: one entry per resolution; level i has n_channels * ch_mults[i]
    channels, as in DDPM. The slide's code multiplies cumulatively: cumulative=True does that, (1, 2, 2) then means 1, 2, 4.
    is_attn: where the blocks have attention (the middle always has). n_blocks: residual blocks per level going down; one more going up.
    upsample: "transposed" (the deck's) or "nearest". n_groups: None takes up to 8 groups that divide the channels.
    zero_init: start the last convolution of each residual block and of the network at zero, as DDPM's code does: each block begins as the
    identity, and the first steps of the training are not spent on undoing random features.
    context_channels: if given, the size of the word vectors tau_theta(y) that every attention is followed by cross-attention to.
    concat_channels: of a picture that is concatenated to x, such as a mask and what it leaves (slide "Latent Diffusion Models").
    patch_size: p > 1 takes each p x p patch of the image as one pixel with p^2 times the channels, and lays them out again at the end: half
    the time for p = 2, as most of it goes into the full resolution.
    learned_variance: the network returns Prediction(eps, v) instead of eps, with a second output of the same shape (improved DDPM).
    image_size: if given, sizes that the levels can't halve are refused here rather than at the first call.    Raises ValueError.
    """

    def __init__(
        self, image_channels: int = 1, n_channels: int = 32, ch_mults: Sequence[int] = (1, 2, 2),
        is_attn: Sequence[bool] = (False, False, True), n_blocks: int = 1, *, cumulative: bool = False, n_heads: int = 4,
        dropout: float = 0.0, upsample: str = "transposed", n_groups: int | None = None, zero_init: bool = False,
        context_channels: int | None = None, concat_channels: int = 0, patch_size: int = 1,
        learned_variance: bool = False, image_size: int | tuple[int, int] | None = None, rng: RNG | None = None,
    ):  # fmt: skip
        _check_counts(
            image_channels=image_channels, n_blocks=n_blocks, n_heads=n_heads, patch_size=patch_size
        )
        if not isinstance(n_channels, int) or n_channels < 4 or n_channels % 4:
            raise ValueError(f"UNet: n_channels must be a multiple of 4, got {n_channels!r}")
        if not ch_mults or any(not isinstance(m, int) or m < 1 for m in ch_mults):
            raise ValueError(
                f"UNet: ch_mults must be ints >= 1, one for each resolution, got {tuple(ch_mults)}"
            )
        if len(ch_mults) != len(is_attn):
            raise ValueError(
                f"UNet: ch_mults and is_attn must be of one length, got {tuple(ch_mults)} and {tuple(is_attn)}"
            )
        if upsample not in ("transposed", "nearest"):
            raise ValueError(f"UNet: upsample must be 'transposed' or 'nearest', got {upsample!r}")
        self.config = {
            "image_channels": image_channels, "n_channels": n_channels, "ch_mults": list(ch_mults), "is_attn": list(is_attn),
            "n_blocks": n_blocks, "cumulative": cumulative, "n_heads": n_heads, "dropout": dropout, "upsample": upsample,
            "n_groups": n_groups, "zero_init": zero_init, "context_channels": context_channels, "concat_channels": concat_channels,
            "patch_size": patch_size,
        }  # fmt: skip
        if learned_variance:  # only then: older checkpoints do not have the entry
            self.config["learned_variance"] = True
        self.learned_variance = learned_variance
        self.image_channels, self.concat_channels, self.levels = (
            image_channels,
            concat_channels,
            len(ch_mults),
        )
        self.context_channels, self.patch_size = context_channels, patch_size
        if image_size is not None:
            self.check_size(
                *((image_size, image_size) if isinstance(image_size, int) else image_size)
            )
        rng = rng or RNG(0)
        Up = Upsample if upsample == "transposed" else NearestUpsample
        time_channels = 4 * n_channels
        channels = [n_channels * int(m) for m in (np.cumprod(ch_mults) if cumulative else ch_mults)]
        common: dict[str, Any] = {
            "n_heads": n_heads, "dropout": dropout, "rng": rng, "n_groups": n_groups, "context_channels": context_channels,
        }  # fmt: skip

        self.image_proj = Conv2d(
            (image_channels + concat_channels) * patch_size**2, n_channels, 3, padding=1, rng=rng
        )
        self.time_emb = TimeEmbedding(time_channels, rng)

        down: list[Module] = []
        in_channels = n_channels
        for i in range(self.levels):
            for _ in range(n_blocks):
                down.append(
                    DownBlock(in_channels, channels[i], time_channels, is_attn[i], **common)
                )
                in_channels = channels[i]
            if i < self.levels - 1:
                down.append(Downsample(in_channels, rng))
        self.down = ModuleList(*down)

        self.middle = MiddleBlock(in_channels, time_channels, **common)

        up: list[Module] = []
        for i in reversed(range(self.levels)):
            below = (
                channels[i - 1] if i > 0 else n_channels
            )  # what the skip connection into this level's last block carries
            for _ in range(n_blocks):
                up.append(
                    UpBlock(
                        channels[i], channels[i], channels[i], time_channels, is_attn[i], **common
                    )
                )
            up.append(UpBlock(channels[i], below, below, time_channels, is_attn[i], **common))
            if i > 0:
                up.append(Up(below, rng))
        self.up = ModuleList(*up)

        self.norm = GroupNormSwish(n_groups or fitting_groups(n_channels), n_channels)
        outputs = 2 if learned_variance else 1
        self.final = Conv2d(
            n_channels, outputs * image_channels * patch_size**2, 3, padding=1, rng=rng
        )
        if zero_init:
            blocks = [
                module for _, module in self.named_modules() if isinstance(module, ResidualBlock)
            ]
            for conv in [block.conv2 for block in blocks] + [self.final]:
                for parameter in conv.parameters():
                    parameter.assign(0 * parameter.data)

    def forward(
        self, x: Tensor, t: Any, context: Context | None = None, concat: Any = None
    ) -> Tensor | Prediction:
        """x: noisy images (B, image_channels, H, W); t: their time steps (B,), 1..T.

        context: the embedded words, if the network has context_channels; concat: (B, concat_channels, H, W), if it has those.
        """
        self._check_input(x, t)
        self._check_condition(x, context, concat)
        t = self.time_emb(t)
        x = x if concat is None else F.concatenate([x, concat], axis=1)
        x = self.image_proj(to_patches(x, self.patch_size))

        h = [x]  # outputs at each resolution for the skip connections
        for m in self.down:
            x = m(x, t, context)
            h.append(x)

        x = self.middle(x, t, context)

        for m in self.up:
            if not isinstance(m, (Upsample, NearestUpsample)):
                s = h.pop()
                x = F.concatenate([x, s], axis=1)
            x = m(x, t, context)

        output = from_patches(self.final(self.norm(x)), self.patch_size)
        if not self.learned_variance:
            return output
        v = 0.5 * (output[:, self.image_channels :] + 1)  # an output of -1..1 is a v of 0..1
        return Prediction(output[:, : self.image_channels], v)

    def check_size(self, height: int, width: int) -> None:
        """Raise ValueError unless images of height x width can be halved levels - 1 times."""
        if min(height, width) < 1 or height % self.patch_size or width % self.patch_size:
            wanted = f"at least 1 and multiples of patch_size = {self.patch_size}"
            raise ValueError(f"UNet: height and width must be {wanted}, got {height}x{width}")
        factor = self.patch_size * 2 ** (self.levels - 1)
        if height % factor == 0 and width % factor == 0 and min(height, width) >= factor:
            return
        levels = 1
        while (
            height % (self.patch_size * 2**levels) == 0
            and width % (self.patch_size * 2**levels) == 0
        ):
            levels += 1
        below = height // factor * factor, width // factor * factor
        above = -(-height // factor) * factor, -(-width // factor) * factor
        sizes = " or ".join(f"{h}x{w}" for h, w in dict.fromkeys([below, above]) if h and w)
        raise ValueError(
            f"UNet: images of {height}x{width} can't be halved {self.levels - 1} times for {self.levels} levels (ch_mults). "
            f"They allow at most {levels}; {self.levels} levels want multiples of {factor}, such as {sizes}"
        )

    def _check_input(self, x: Any, t: Any) -> None:
        shape = getattr(x, "shape", None)
        if shape is None or len(shape) != 4 or shape[1] != self.image_channels:
            got = type(x).__name__ if shape is None else f"shape {shape}"
            raise ValueError(f"UNet: x must be (B, {self.image_channels}, H, W), got {got}")
        if getattr(t, "shape", None) != x.shape[:1]:
            raise ValueError(
                f"UNet: t must hold one time step per image, shape {x.shape[:1]}, got {getattr(t, 'shape', t)}"
            )
        self.check_size(*x.shape[2:])

    def _check_condition(self, x: Any, context: Context | None, concat: Any) -> None:
        if (context is None) != (self.context_channels is None):
            wants = (
                "wants no context"
                if context is not None
                else f"wants a context with {self.context_channels} channels, got None"
            )
            raise ValueError(
                f"UNet: this network (context_channels = {self.context_channels}) {wants}"
            )
        wanted = (x.shape[0], self.concat_channels, *x.shape[2:]) if self.concat_channels else None
        got = None if concat is None else tuple(concat.shape)
        if got != wanted:
            raise ValueError(
                f"UNet: concat must be {wanted} for this network (concat_channels = {self.concat_channels}), got {got}"
            )
