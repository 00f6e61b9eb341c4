"""A small convolutional classifier: the judge of samples, and of how far they are from real digits."""

from __future__ import annotations

from typing import Any

from minidiff import functional as F
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn import Conv2d, Dropout, GroupNormSwish, Linear, Module


class Classifier(Module):
    """Three 3x3 convolutions with two average poolings between them, and two linear layers.

    x: (B, image_channels, H, W) in [-1, 1], H and W multiples of 4 -> logits (B, n_classes).
    """

    def __init__(
        self, image_channels: int = 1, image_size: int = 28, n_classes: int = 10, n_channels: int = 16, n_features: int = 64,
        dropout: float = 0.25, rng: RNG | None = None,
    ):  # fmt: skip
        if image_size % 4:
            raise ValueError(
                f"Classifier: image_size must be a multiple of 4 (two poolings halve it), got {image_size}"
            )
        rng = rng or RNG(0)
        self.config = {
            "image_channels": image_channels, "image_size": image_size, "n_classes": n_classes, "n_channels": n_channels,
            "n_features": n_features, "dropout": dropout,
        }  # fmt: skip
        self.conv1 = Conv2d(image_channels, n_channels, 3, padding=1, rng=rng)
        self.norm1 = GroupNormSwish(4, n_channels)
        self.conv2 = Conv2d(n_channels, 2 * n_channels, 3, padding=1, rng=rng)
        self.norm2 = GroupNormSwish(4, 2 * n_channels)
        self.conv3 = Conv2d(2 * n_channels, 4 * n_channels, 3, padding=1, rng=rng)
        self.norm3 = GroupNormSwish(4, 4 * n_channels)
        self.lin1 = Linear(4 * n_channels * (image_size // 4) ** 2, n_features, rng=rng)
        self.dropout = Dropout(dropout)
        self.lin2 = Linear(n_features, n_classes, rng=rng)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees.    -> (B, n_features)"""
        if (
            x.ndim != 4
            or x.shape[1] != self.config["image_channels"]
            or x.shape[2:] != (self.config["image_size"],) * 2
        ):
            wanted = f"(B, {self.config['image_channels']}, {self.config['image_size']}, {self.config['image_size']})"
            raise ValueError(f"Classifier: x must be {wanted}, got shape {x.shape}")
        x = F.avg_pool2d(self.norm1(self.conv1(x)), 2)
        x = F.avg_pool2d(self.norm2(self.conv2(x)), 2)
        x = self.norm3(self.conv3(x))
        return F.swish(self.lin1(x.reshape(x.shape[0], -1)))

    def forward(self, x: Any) -> Tensor:
        return self.lin2(self.dropout(self.features(x)))
