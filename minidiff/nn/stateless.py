"""Layers without parameters: activations, pooling, reshaping and losses, with PyTorch's names."""

from __future__ import annotations

from typing import Any

from minidiff import functional as F
from minidiff.engine.tensor import Tensor
from minidiff.nn.module import Module


class ReLU(Module):
    """max(x, 0)"""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class Sigmoid(Module):
    """1 / (1 + e^-x)"""

    def forward(self, x: Tensor) -> Tensor:
        return F.sigmoid(x)


class Tanh(Module):
    """tanh(x)"""

    def forward(self, x: Tensor) -> Tensor:
        return F.tanh(x)


class GELU(Module):
    """x Phi(x).    approximate: "none", or "tanh", which is faster and less than 5e-4 off"""

    def __init__(self, approximate: str = "none"):
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x, self.approximate)


class Softmax(Module):
    """e^x / sum(e^x) along `axis`"""

    def __init__(self, axis: int = -1):
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(x, self.axis)


class LogSoftmax(Softmax):
    """log(softmax(x)) along `axis`"""

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(x, self.axis)


class Flatten(Module):
    """All axes from `start` to `end` as one; that of the batch stays."""

    def __init__(self, start: int = 1, end: int = -1):
        self.start, self.end = start, end

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x, self.start, self.end)


class AvgPool2d(Module):
    """The mean of each square of pixels.    (N, C, H, W) -> (N, C, H // k, W // k)"""

    def __init__(self, kernel_size: int):
        self.kernel_size = kernel_size

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.kernel_size)


class MaxPool2d(Module):
    """The largest number of each square of pixels, `stride` apart (kernel_size if None)."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class Upsample(Module):
    """Images scale_factor times as large.    mode: "nearest" or "bilinear" """

    def __init__(self, scale_factor: int, mode: str = "nearest"):
        self.scale_factor, self.mode = scale_factor, mode

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "nearest":
            return F.interpolate(x, self.scale_factor)
        height, width = (n * self.scale_factor for n in x.shape[2:])
        return F.resize(x, (height, width), self.mode)


class MSELoss(Module):
    """The mean of (prediction - target)^2.    reduction: "mean", "sum" or "none" """

    def __init__(self, reduction: str = "mean"):
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Any) -> Tensor:
        return F.mse_loss(prediction, target, self.reduction)


class CrossEntropyLoss(Module):
    """The mean of -log softmax(logits)[label]; the options are those of F.cross_entropy."""

    def __init__(
        self, reduction: str = "mean", ignore_index: int = -100, label_smoothing: float = 0.0
    ):
        self.reduction, self.ignore_index = reduction, ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Any) -> Tensor:
        return F.cross_entropy(
            logits, labels, self.reduction, self.ignore_index, self.label_smoothing
        )
