"""eps_theta(z_t, t, tau_theta(y)): the U-Net and the text encoder that is trained with it. Slide "LDM Training (Phase 2)"."""

from __future__ import annotations

from typing import Any

from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.text_encoder import TextEncoder
from minidiff.models.unet import UNet
from minidiff.models.unet_blocks import Context
from minidiff.nn import Module


class TextUNet(Module):
    """z_t: (B, C, H, W), t: (B,), tokens: ints (B, L) -> (B, C, H, W).

    unet, text: the arguments of `UNet` and of `TextEncoder`; the U-Net's context_channels are the text encoder's d.
    """

    def __init__(self, unet: dict[str, Any], text: dict[str, Any], rng: RNG | None = None):
        rng = rng or RNG(0)
        self.text_encoder = TextEncoder(**text, rng=rng)
        d = self.text_encoder.config["d"]
        if unet.get("context_channels") not in (None, d):
            raise ValueError(
                f"TextUNet: unet's context_channels must be the text encoder's d = {d}, got {unet['context_channels']}"
            )
        self.unet = UNet(**{**unet, "context_channels": d}, rng=rng)
        self.config = {"unet": self.unet.config, "text": self.text_encoder.config}

    def forward(self, z_t: Any, t: Any, tokens: Any) -> Tensor:
        tau = self.text_encoder(tokens)
        padding = self.text_encoder.padding(tokens)
        return self.unet(z_t, t, Context(tau, padding))
