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
from minidiff.nn.stateless import (
    GELU,
    AvgPool2d,
    CrossEntropyLoss,
    Flatten,
    LogSoftmax,
    MaxPool2d,
    MSELoss,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample,
)

SiLU = Swish

__all__ = [
    "AvgPool2d", "Conv2d", "ConvTranspose2d", "CrossEntropyLoss", "Dropout", "Embedding",
    "Flatten", "GELU", "GroupNorm", "GroupNormSwish", "Identity", "LayerNorm", "Linear",
    "LogSoftmax", "MSELoss", "MaxPool2d", "Module", "ModuleList", "MultiHeadAttention",
    "Parameter", "ReLU", "Sequential", "SiLU", "Sigmoid", "Softmax", "Swish", "Tanh", "Upsample",
]  # fmt: skip
