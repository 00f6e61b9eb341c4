"""Layers: `Module`, and the building blocks with PyTorch's names and default initialisation."""

from minidiff.nn.attention import MultiHeadAttention
from minidiff.nn.dropout import Dropout
from minidiff.nn.layers import (
    Conv2d,
    ConvTranspose2d,
    Embedding,
    GroupNorm,
    GroupNormSwish,
    Identity,
    LayerNorm,
    Linear,
    ModuleList,
    Sequential,
    Swish,
)
from minidiff.nn.module import Module, Parameter

__all__ = [
    "Conv2d", "ConvTranspose2d", "Dropout", "Embedding", "GroupNorm", "GroupNormSwish", "Identity",
    "LayerNorm", "Linear", "Module", "ModuleList", "MultiHeadAttention", "Parameter", "Sequential",
    "Swish",
]  # fmt: skip
