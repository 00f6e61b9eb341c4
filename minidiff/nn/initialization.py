"""PyTorch's default initialisation of linear and convolutional layers.

Weights and biases are uniform in +-1 / sqrt(fan_in).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minidiff.engine.random import RNG
from minidiff.nn.module import Parameter

# all layers that are made without an RNG draw from this one, so that no two start alike
default_rng = RNG(0)


def uniform_fan_in(shape: Sequence[int], fan_in: int, rng: RNG) -> Parameter:
    """Uniform in [-b, b] with b = 1 / sqrt(fan_in).

    The formula of He et al. gives this b with PyTorch's default a = sqrt(5).
    """
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return Parameter((rng.uniform(tuple(shape)) * 2 - 1) * np.float32(bound))
