"""Networks. They know layers, not diffusion."""

from minidiff.models.classifier import Classifier
from minidiff.models.unet import UNet

__all__ = ["Classifier", "UNet"]
