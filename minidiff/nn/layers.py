"""The layers: a few parameters each, and a call to an operation of `minidiff.functional`.

Arguments and parameter names are PyTorch's. Each layer draws its initial weights from `rng`, or
from one that all such layers share, seeded with 0.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from minidiff import functional as F
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.kernels.geometry import pair
from minidiff.nn.initialization import default_rng, uniform_fan_in
from minidiff.nn.module import Module, Parameter

Pair = int | tuple[int, int]


def _pair(layer: str, value: Pair) -> tuple[int, int]:
    rows, columns = pair(layer, "kernel_size", value, 1)
    return rows, columns


class Linear(Module):
    """y = x W^T + b.    (..., in_features) -> (..., out_features)"""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, rng: RNG | None = None
    ):
        rng = rng or default_rng
        self.weight = uniform_fan_in((out_features, in_features), in_features, rng)
        self.bias = uniform_fan_in((out_features,), in_features, rng) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, bias={self.bias is not None}"


class Conv2d(Module):
    """Convolution.    (N, in_channels, H, W) -> (N, out_channels, H', W')"""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1,
        padding: Pair = 0, dilation: Pair = 1, groups: int = 1, bias: bool = True,
        rng: RNG | None = None,
    ):  # fmt: skip
        rng = rng or default_rng
        _check_groups("Conv2d", groups, in_channels=in_channels, out_channels=out_channels)
        height, width = _pair("Conv2d", kernel_size)
        fan_in = in_channels // groups * height * width
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.weight = uniform_fan_in(
            (out_channels, in_channels // groups, height, width), fan_in, rng
        )
        self.bias = uniform_fan_in((out_channels,), fan_in, rng) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        out_channels, in_channels, height, width = self.weight.shape
        size = f"{in_channels * self.groups}, {out_channels}, ({height}, {width})"
        return f"{size}, stride={self.stride}, padding={self.padding}"


class ConvTranspose2d(Module):
    """Transposed convolution.    (N, in_channels, H, W) -> (N, out_channels, H', W')"""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1,
        padding: Pair = 0, output_padding: Pair = 0, groups: int = 1, bias: bool = True,
        dilation: Pair = 1, rng: RNG | None = None,
    ):  # fmt: skip
        rng = rng or default_rng
        _check_groups("ConvTranspose2d", groups, in_channels=in_channels, out_channels=out_channels)
        height, width = _pair("ConvTranspose2d", kernel_size)
        # PyTorch takes it from weight.shape[1], which is out_channels here
        fan_in = out_channels // groups * height * width
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.groups, self.dilation = groups, dilation
        self.weight = uniform_fan_in(
            (in_channels, out_channels // groups, height, width), fan_in, rng
        )
        self.bias = uniform_fan_in((out_channels,), fan_in, rng) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding,
            self.groups, self.dilation,
        )  # fmt: skip

    def extra_repr(self) -> str:
        in_channels, out_channels, height, width = self.weight.shape
        size = f"{in_channels}, {out_channels * self.groups}, ({height}, {width})"
        return f"{size}, stride={self.stride}, padding={self.padding}"


class GroupNorm(Module):
    """Normalise each group of channels of each image to mean 0, variance 1, then scale and shift.

    (N, C, ...) -> the same shape
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True):
        _check_groups("GroupNorm", num_groups, num_channels=num_channels)
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = Parameter(np.ones(num_channels, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, np.float32)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}"


class GroupNormSwish(GroupNorm):
    """Swish(GroupNorm(x)) as one operation.

    The pair is in front of every convolution of the U-Net, and one pass over memory is cheaper.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm_swish(x, self.num_groups, self.weight, self.bias, self.eps)


class LayerNorm(Module):
    """Normalise over the last axes, then scale and shift.

    (..., *normalized_shape) -> the same shape
    """

    def __init__(
        self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5,
        elementwise_affine: bool = True,
    ):  # fmt: skip
        several = isinstance(normalized_shape, (tuple, list))
        sizes: Any = normalized_shape if several else (normalized_shape,)
        shape = tuple(operator.index(size) for size in sizes)
        self.normalized_shape, self.eps = shape, eps
        self.weight = Parameter(np.ones(shape, np.float32)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, np.float32)) if elementwise_affine else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class Embedding(Module):
    """A trained vector for each of num_embeddings indices.    ints (...) -> (..., embedding_dim)"""

    def __init__(self, num_embeddings: int, embedding_dim: int, rng: RNG | None = None):
        self.weight = Parameter((rng or default_rng).normal((num_embeddings, embedding_dim)))

    def forward(self, indices: Any) -> Tensor:
        return F.embedding(indices, self.weight)


class Swish(Module):
    """x * sigmoid(x)"""

    def forward(self, x: Tensor) -> Tensor:
        return F.swish(x)


class Identity(Module):
    """x"""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Function(Module):
    """A function as a layer, such as `functional.relu` in a Sequential."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)

    def extra_repr(self) -> str:
        return getattr(self.function, "name", getattr(self.function, "__name__", "a function"))


class Sequential(Module):
    """The layers one after another; they are named "0", "1", ...

    layers: modules or functions, as arguments or in one list.
    Raises: TypeError for anything else.
    """

    def __init__(self, *layers: Any):
        for i, layer in enumerate(_listed(layers)):
            setattr(self, str(i), _as_module(type(self).__name__, i, layer))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return (layer for _, layer in self.named_children())

    def __len__(self) -> int:
        return len(list(self.named_children()))

    def __getitem__(self, index: int) -> Module:
        return list(self)[index]


class ModuleList(Sequential):
    """Modules in a list, named "0", "1", ...; a forward that uses them is the owner's affair.

    layers: the list, as in PyTorch, or the modules as arguments.
    """

    def forward(self, x: Tensor) -> Tensor:
        raise TypeError("a ModuleList is a list; call its modules")


def _listed(layers: tuple[Any, ...]) -> list[Any]:
    """The layers, given as arguments or in one list or generator."""
    alone = layers[0] if len(layers) == 1 else None
    if isinstance(alone, Iterable) and not isinstance(alone, (Module, Tensor, str, Mapping)):
        return list(alone)
    return list(layers)


def _as_module(owner: str, i: int, layer: Any) -> Module:
    if isinstance(layer, Module):
        return layer
    if not callable(layer) or isinstance(layer, type):
        hint = ": write its brackets, too" if isinstance(layer, type) else ""
        raise TypeError(f"{owner}: layer {i} must be a Module or a function, got {layer!r}{hint}")
    return Function(layer)


def _check_groups(layer: str, groups: int, **channels: int) -> None:
    for name, count in channels.items():
        if groups < 1 or count % groups:
            fitting = [g for g in range(1, count + 1) if count % g == 0]
            raise ValueError(
                f"{layer}: {name} = {count} can't be divided into {groups} groups; {count} "
                f"channels allow {fitting}"
            )
