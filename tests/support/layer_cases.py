"""A call of every layer of minidiff.nn that the gradient check differentiates with respect to its inputs and its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidiff import nn
from minidiff.engine.random import RNG, layers_draw_from


class LayerCase(NamedTuple):
    name: str
    make: Callable[[], nn.Module]
    shapes: list[tuple[int, ...]]  # of the inputs
    call: Callable[..., Any] = lambda layer, *inputs: layer(*inputs)
    has_parameters: bool = True


def _with_generator(layer, x):
    with layers_draw_from(RNG(4)):
        return layer(x)


_indices = np.array([[0, 3], [3, 1]])
_padding = np.array([[False, True, False, False, False], [False, False, False, True, True]])

LAYERS = [
    LayerCase("Linear", lambda: nn.Linear(3, 4), [(2, 3)]),
    LayerCase("Conv2d", lambda: nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=1, dilation=(2, 1), groups=2), [(2, 4, 5, 6)]),
    LayerCase("ConvTranspose2d", lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), [(2, 4, 3, 4)]),
    LayerCase("GroupNorm", lambda: nn.GroupNorm(2, 4), [(2, 4, 3, 3)]),
    LayerCase("GroupNormSwish", lambda: nn.GroupNormSwish(2, 4), [(2, 4, 3, 3)]),
    LayerCase("LayerNorm", lambda: nn.LayerNorm((3, 4)), [(2, 3, 4)]),
    LayerCase("Embedding", lambda: nn.Embedding(4, 3), [], lambda layer: layer(_indices)),
    LayerCase("Swish", nn.Swish, [(2, 3)], has_parameters=False),
    *(LayerCase(name, getattr(nn, name), [(2, 3)], has_parameters=False) for name in ("ReLU", "SiLU", "Sigmoid", "Tanh", "GELU", "Softmax", "LogSoftmax")),
    LayerCase("GELU", lambda: nn.GELU("tanh"), [(2, 3)], has_parameters=False),
    LayerCase("LayerNorm", lambda: nn.LayerNorm(4, elementwise_affine=False), [(3, 4)], has_parameters=False),
    LayerCase("Flatten", nn.Flatten, [(2, 3, 4)], has_parameters=False),
    LayerCase("AvgPool2d", lambda: nn.AvgPool2d(2), [(1, 2, 5, 4)], has_parameters=False),
    LayerCase("MaxPool2d", lambda: nn.MaxPool2d(3, 2, 1), [(1, 2, 5, 4)], has_parameters=False),
    LayerCase("Upsample", lambda: nn.Upsample(2), [(1, 2, 3, 2)], has_parameters=False),
    LayerCase("Upsample", lambda: nn.Upsample(2, "bilinear"), [(1, 2, 3, 2)], has_parameters=False),
    LayerCase("MSELoss", nn.MSELoss, [(2, 3), (2, 3)], has_parameters=False),
    LayerCase("CrossEntropyLoss", lambda: nn.CrossEntropyLoss("sum", 2, 0.1), [(3, 4)], lambda layer, x: layer(x, np.array([0, 2, 3])), has_parameters=False),
    LayerCase("Identity", nn.Identity, [(2, 3)], has_parameters=False),
    LayerCase("Dropout", lambda: nn.Dropout(0.4), [(3, 4)], _with_generator, has_parameters=False),
    LayerCase("Sequential", lambda: nn.Sequential(nn.Linear(3, 5), nn.Swish(), nn.Linear(5, 2)), [(4, 3)]),
    LayerCase("MultiHeadAttention", lambda: nn.MultiHeadAttention(4, 2), [(2, 3, 4)]),
    LayerCase(
        "MultiHeadAttention", lambda: nn.MultiHeadAttention(4, 2, kdim=3, vdim=5), [(2, 3, 4), (2, 5, 3), (2, 5, 5)],
        lambda layer, query, key, value: layer(query, key, value, key_padding_mask=_padding),
    ),
]  # fmt: skip
