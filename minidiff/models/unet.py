"""The U-Net of the slides "Diffusion Model Architecture": it predicts the noise in an image."""

from __future__ import annotations

from typing import Any

from minidiff import functional as F
from minidiff.diffusion.targets import Prediction
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.config import own_config
from minidiff.models.unet_blocks import (
    BlockSettings,
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
)  # fmt: skip
from minidiff.models.unet_config import UNetConfig
from minidiff.nn import Conv2d, GroupNormSwish, Module, ModuleList


class UNet(Module):
    """eps_theta: (B, image_channels, H, W) and t (B,) -> (B, image_channels, H, W).

    config: which layers there are, see `UNetConfig`. rng: draws the initial parameters.
    With a learned variance the network returns Prediction(eps, v) instead.
    """

    Config = UNetConfig

    def __init__(self, config: UNetConfig | None = None, rng: RNG | None = None):
        self.config = config = own_config("UNet", config, UNetConfig)
        rng = rng or RNG(0)
        n_channels, patch_area = config.n_channels, config.patch_size**2
        blocks = BlockSettings(
            4 * n_channels, config.n_heads, config.dropout, config.n_groups, config.context_channels
        )
        in_channels = (config.image_channels + config.concat_channels) * patch_area
        self.image_proj = Conv2d(in_channels, n_channels, 3, padding=1, rng=rng)
        self.time_emb = TimeEmbedding(blocks.time_channels, rng)
        self.down = self._way_down(config, blocks, rng)
        self.middle = MiddleBlock(config.channels[-1], blocks, rng)
        self.up = self._way_up(config, blocks, rng)
        self.norm = GroupNormSwish(config.n_groups or fitting_groups(n_channels), n_channels)
        outputs = 2 if config.learned_variance else 1
        out_channels = outputs * config.image_channels * patch_area
        self.final = Conv2d(n_channels, out_channels, 3, padding=1, rng=rng)
        if config.zero_init:
            self._start_at_zero()

    def _way_down(self, config: UNetConfig, blocks: BlockSettings, rng: RNG) -> ModuleList:
        down: list[Module] = []
        in_channels = config.n_channels
        for i, channels in enumerate(config.channels):
            for _ in range(config.n_blocks):
                down.append(DownBlock(in_channels, channels, config.is_attn[i], blocks, rng))
                in_channels = channels
            if i < config.levels - 1:
                down.append(Downsample(channels, rng))
        return ModuleList(*down)

    def _way_up(self, config: UNetConfig, blocks: BlockSettings, rng: RNG) -> ModuleList:
        Up = Upsample if config.upsample == "transposed" else NearestUpsample
        up: list[Module] = []
        for i in reversed(range(config.levels)):
            here, attention = config.channels[i], config.is_attn[i]
            # the skip connection into the level's last block comes from the level above
            above = config.channels[i - 1] if i > 0 else config.n_channels
            for _ in range(config.n_blocks):
                up.append(UpBlock(here, here, here, attention, blocks, rng))
            up.append(UpBlock(here, above, above, attention, blocks, rng))
            if i > 0:
                up.append(Up(above, rng))
        return ModuleList(*up)

    def _start_at_zero(self) -> None:
        """Let each residual block begin as the identity, so that no step undoes random features."""
        blocks = [module for _, module in self.named_modules() if isinstance(module, ResidualBlock)]
        for conv in [block.conv2 for block in blocks] + [self.final]:
            for parameter in conv.parameters():
                parameter.assign(0 * parameter.data)

    def forward(
        self, x: Tensor, t: Any, context: Context | None = None, concat: Any = None
    ) -> Tensor | Prediction:
        """x: noisy images (B, image_channels, H, W); t: their time steps (B,), 1..T.

        context: the embedded words, for a network with context_channels.
        concat: (B, concat_channels, H, W), for a network with those.
        """
        self._check_input(x, t)
        self._check_condition(x, context, concat)
        swish_t = F.swish(self.time_emb(t))  # once, for all blocks
        x = x if concat is None else F.concatenate([x, concat], axis=1)
        x = self.image_proj(to_patches(x, self.config.patch_size))

        h = [x]  # outputs at each resolution for the skip connections
        for m in self.down:
            x = m(x, swish_t, context)
            h.append(x)

        x = self.middle(x, swish_t, context)

        for m in self.up:
            if not isinstance(m, (Upsample, NearestUpsample)):
                s = h.pop()
                x = F.concatenate([x, s], axis=1)
            x = m(x, swish_t, context)

        output = from_patches(self.final(self.norm(x)), self.config.patch_size)
        if not self.config.learned_variance:
            return output
        eps = output[:, : self.config.image_channels]
        v = 0.5 * (output[:, self.config.image_channels :] + 1)  # -1..1 is a v of 0..1
        return Prediction(eps, v)

    def check_size(self, height: int, width: int) -> None:
        """Refuse images of a size that this network can't halve often enough.

        Raises: ValueError, which names sizes that fit.
        """
        self.config.check_size(height, width)

    def _check_input(self, x: Any, t: Any) -> None:
        shape = getattr(x, "shape", None)
        channels = self.config.image_channels
        if shape is None or len(shape) != 4 or shape[1] != channels:
            got = type(x).__name__ if shape is None else f"shape {shape}"
            raise ValueError(f"UNet: x must be (B, {channels}, H, W), got {got}")
        if getattr(t, "shape", None) != x.shape[:1]:
            raise ValueError(
                f"UNet: t must hold one time step per image, shape {x.shape[:1]}, "
                f"got {getattr(t, 'shape', t)}"
            )
        self.check_size(*x.shape[2:])

    def _check_condition(self, x: Any, context: Context | None, concat: Any) -> None:
        context_channels, channels = self.config.context_channels, self.config.concat_channels
        if (context is None) != (context_channels is None):
            wants = (
                "wants no context"
                if context is not None
                else f"wants a context with {context_channels} channels, got None"
            )
            raise ValueError(f"UNet: this network (context_channels = {context_channels}) {wants}")
        wanted = (x.shape[0], channels, *x.shape[2:]) if channels else None
        got = None if concat is None else tuple(concat.shape)
        if got != wanted:
            raise ValueError(
                f"UNet: concat must be {wanted} for this network (concat_channels = {channels}), "
                f"got {got}"
            )
