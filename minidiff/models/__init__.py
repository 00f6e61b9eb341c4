"""Networks. They know layers, not diffusion."""

from minidiff.models.unet import UNet

__all__ = ["UNet"]
