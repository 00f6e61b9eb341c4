"""Networks. They know layers and, where a formula of the deck is theirs, that formula; no schedule and no sampler."""

from minidiff.models.classifier import Classifier
from minidiff.models.noisy_classifier import NoisyClassifier
from minidiff.models.point_denoiser import PointDenoiser
from minidiff.models.text_encoder import TextEncoder
from minidiff.models.unet import UNet

__all__ = ["Classifier", "NoisyClassifier", "PointDenoiser", "TextEncoder", "UNet"]
