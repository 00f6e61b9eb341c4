"""PyTorch's default initialisation: uniform in +-1/sqrt(fan_in) for the weights and biases of linear and convolutional layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minidiff.engine.random import RNG
from minidiff.nn.module import Parameter

default_rng = RNG(0)
"""What layers that are made without an RNG draw from, one after another: two of one shape do not start alike."""


def uniform_fan_in(shape: Sequence[int], fan_in: int, rng: RNG) -> Parameter:
    """Uniform in [-b, b] with b = 1 / sqrt(fan_in): what He et al.'s formula gives with PyTorch's default a = sqrt(5)."""
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return Parameter((rng.uniform(tuple(shape)) * 2 - 1) * np.float32(bound))
