"""A small convolutional classifier. It judges samples, and how far they are from real digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minidiff import functional as F
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models.config import check_counts, own_config, plain_settings
from minidiff.nn import Conv2d, Dropout, GroupNormSwish, Linear, Module


@dataclass(frozen=True)
class ClassifierConfig:
    """Settings of a `Classifier`."""

    image_channels: int = 1
    image_size: int = 28  # a multiple of 4
    n_classes: int = 10
    n_channels: int = 16  # of the first convolution; the others have 2 and 4 times as many
    n_features: int = 64  # in front of the last layer
    dropout: float = 0.25

    def __post_init__(self) -> None:
        plain_settings(self)
        check_counts(
            "Classifier", image_channels=self.image_channels, image_size=self.image_size,
            n_classes=self.n_classes, n_channels=self.n_channels, n_features=self.n_features,
        )  # fmt: skip
        if self.image_size % 4:
            raise ValueError(
                f"Classifier: image_size must be a multiple of 4 (two poolings halve it), "
                f"got {self.image_size}"
            )


class Classifier(Module):
    """Three 3x3 convolutions with two average poolings between them, and two linear layers.

    x: (B, image_channels, image_size, image_size) in [-1, 1] -> logits (B, n_classes).
    """

    Config = ClassifierConfig

    def __init__(self, config: ClassifierConfig | None = None, rng: RNG | None = None):
        self.config = config = own_config("Classifier", config, ClassifierConfig)
        rng = rng or RNG(0)
        n, size = config.n_channels, config.image_size
        self.image_shape = (config.image_channels, size, size)
        self.conv1 = Conv2d(config.image_channels, n, 3, padding=1, rng=rng)
        self.norm1 = GroupNormSwish(4, n)
        self.conv2 = Conv2d(n, 2 * n, 3, padding=1, rng=rng)
        self.norm2 = GroupNormSwish(4, 2 * n)
        self.conv3 = Conv2d(2 * n, 4 * n, 3, padding=1, rng=rng)
        self.norm3 = GroupNormSwish(4, 4 * n)
        self.lin1 = Linear(4 * n * (size // 4) ** 2, config.n_features, rng=rng)
        self.dropout = Dropout(config.dropout)
        self.lin2 = Linear(config.n_features, config.n_classes, rng=rng)

    def features(self, x: Tensor) -> Tensor:
        """The numbers that the last layer sees.    -> (B, n_features)"""
        if tuple(x.shape[1:]) != self.image_shape:
            wanted = f"(B, {', '.join(map(str, self.image_shape))})"
            raise ValueError(f"Classifier: x must be {wanted}, got shape {x.shape}")
        x = F.avg_pool2d(self.norm1(self.conv1(x)), 2)
        x = F.avg_pool2d(self.norm2(self.conv2(x)), 2)
        x = self.norm3(self.conv3(x))
        return F.swish(self.lin1(x.flatten(1)))

    def forward(self, x: Any) -> Tensor:
        return self.lin2(self.dropout(self.features(x)))
