"""Encoder and decoder of latent diffusion's first phase: 28x28 pixels <-> 7x7 latents.

Slide "LDM Training (Phase 1)".
"""

from __future__ import annotations

from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.unet_blocks import fitting_groups
from minidiff.nn import Conv2d, ConvTranspose2d, GroupNormSwish, Module

FACTOR = 4  # two halvings of height and width


class ResidualConv(Module):
    """x + conv2(swish(norm2(conv1(swish(norm1(x))))))    (B, C, H, W) -> the same shape"""

    def __init__(self, channels: int, rng: RNG):
        self.norm1 = GroupNormSwish(fitting_groups(channels), channels)
        self.conv1 = Conv2d(channels, channels, 3, padding=1, rng=rng)
        self.norm2 = GroupNormSwish(fitting_groups(channels), channels)
        self.conv2 = Conv2d(channels, channels, 3, padding=1, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(self.norm1(x))
        h = self.conv2(self.norm2(h))
        return x + h


class Encoder(Module):
    """Two 4x4 convolutions with stride 2, and residual blocks between them.

    (B, image_channels, H, W) -> (B, z_channels, H / 4, W / 4)
    """

    def __init__(self, image_channels: int, n_channels: int, z_channels: int, rng: RNG):
        n = n_channels
        self.down1 = Conv2d(image_channels, n, 4, stride=2, padding=1, rng=rng)
        self.res1 = ResidualConv(n, rng)
        self.down2 = Conv2d(n, 2 * n, 4, stride=2, padding=1, rng=rng)
        self.res2 = ResidualConv(2 * n, rng)
        self.res3 = ResidualConv(2 * n, rng)
        self.norm = GroupNormSwish(fitting_groups(2 * n), 2 * n)
        self.conv_out = Conv2d(2 * n, z_channels, 1, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        x = self.res1(self.down1(x))
        x = self.res3(self.res2(self.down2(x)))
        return self.conv_out(self.norm(x))


class Decoder(Module):
    """The encoder's mirror image, with transposed convolutions.

    (B, z_channels, h, w) -> (B, image_channels, 4 h, 4 w)
    """

    def __init__(self, image_channels: int, n_channels: int, z_channels: int, rng: RNG):
        n = n_channels
        self.conv_in = Conv2d(z_channels, 2 * n, 3, padding=1, rng=rng)
        self.res1 = ResidualConv(2 * n, rng)
        self.res2 = ResidualConv(2 * n, rng)
        self.up1 = ConvTranspose2d(2 * n, n, 4, stride=2, padding=1, rng=rng)
        self.res3 = ResidualConv(n, rng)
        self.up2 = ConvTranspose2d(n, n // 2, 4, stride=2, padding=1, rng=rng)
        self.norm = GroupNormSwish(fitting_groups(n // 2), n // 2)
        self.conv_out = Conv2d(n // 2, image_channels, 3, padding=1, rng=rng)

    def forward(self, z: Tensor) -> Tensor:
        x = self.res2(self.res1(self.conv_in(z)))
        x = self.res3(self.up1(x))
        return self.conv_out(self.norm(self.up2(x)))
