"""eps_theta(z_t, t, tau_theta(y)): a U-Net, and the text encoder that is trained with it.

Slide "LDM Training (Phase 2)".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.config import own_config
from minidiff.models.text_encoder import TextEncoder, TextEncoderConfig
from minidiff.models.unet import UNet
from minidiff.models.unet_blocks import Context
from minidiff.models.unet_config import UNetConfig
from minidiff.nn import Module


@dataclass(frozen=True)
class TextUNetConfig:
    """Settings of a `TextUNet`.

    The U-Net's context_channels become the text encoder's d.

    Raises: ValueError if they are given and differ from d.
    """

    unet: UNetConfig
    text: TextEncoderConfig

    def __post_init__(self) -> None:
        unet = UNetConfig(**self.unet) if isinstance(self.unet, dict) else self.unet
        text = TextEncoderConfig(**self.text) if isinstance(self.text, dict) else self.text
        if unet.context_channels not in (None, text.d):
            raise ValueError(
                f"TextUNet: unet's context_channels must be the text encoder's d = {text.d}, "
                f"got {unet.context_channels}"
            )
        object.__setattr__(self, "unet", replace(unet, context_channels=text.d))
        object.__setattr__(self, "text", text)  # a checkpoint has dicts


class TextUNet(Module):
    """z_t: (B, C, H, W), t: (B,), tokens: ints (B, L) -> (B, C, H, W)."""

    Config = TextUNetConfig

    def __init__(self, config: TextUNetConfig, rng: RNG | None = None):
        self.config = config = own_config("TextUNet", config, TextUNetConfig)
        rng = rng or RNG(0)
        self.text_encoder = TextEncoder(config.text, rng)
        self.unet = UNet(config.unet, rng)

    def forward(self, z_t: Any, t: Any, tokens: Any) -> Tensor:
        tau = self.text_encoder(tokens)
        padding = self.text_encoder.padding(tokens)
        return self.unet(z_t, t, Context(tau, padding))
