"""Networks. They know layers and, where a formula of the slides is theirs, that formula.

They know no schedule and no sampler. The settings of each are a dataclass, such as `UNetConfig`.
"""

from minidiff.models.autoencoder import (
    AUTOENCODERS,
    Autoencoder,
    KLAutoencoder,
    KLConfig,
    VQAutoencoder,
    VQConfig,
)  # fmt: skip
from minidiff.models.classifier import Classifier, ClassifierConfig
from minidiff.models.noisy_classifier import NoisyClassifier, NoisyClassifierConfig
from minidiff.models.point_denoiser import PointDenoiser, PointDenoiserConfig
from minidiff.models.text_encoder import TextEncoder, TextEncoderConfig
from minidiff.models.text_unet import TextUNet, TextUNetConfig
from minidiff.models.unet import UNet
from minidiff.models.unet_config import UNetConfig

__all__ = [
    "AUTOENCODERS", "Autoencoder", "Classifier", "ClassifierConfig", "KLAutoencoder", "KLConfig",
    "NoisyClassifier", "NoisyClassifierConfig", "PointDenoiser", "PointDenoiserConfig",
    "TextEncoder", "TextEncoderConfig", "TextUNet", "TextUNetConfig", "UNet", "UNetConfig",
    "VQAutoencoder", "VQConfig",
]  # fmt: skip
