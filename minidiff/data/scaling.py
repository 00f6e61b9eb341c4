"""Between the bytes of a picture, 0..255, and the floats in [-1, 1] that diffusion works on."""

import operator
from typing import Any

import numpy as np

from minidiff.engine.backend import array_module


def to_float(images: Any) -> Any:
    """0..255 -> [-1, 1], the x_0 of the equations (DDPM sec. 3.3).    images: uint8, any shape -> float32. TypeError for other types."""
    if images.dtype != np.uint8:
        raise TypeError(f"to_float: images has dtype {images.dtype} but uint8 (0..255) is wanted")
    return images.astype(np.float32) / 127.5 - 1


def to_unit(x: Any, clip: bool = False) -> Any:
    """[-1, 1] -> [0, 1], to be shown or saved.    x: float, any shape -> the same dtype.

    `clip=True` for samples, which a model may put slightly outside; else ValueError names what is outside.
    """
    if clip:
        x = array_module(x).clip(x, -1, 1)
    check_range("to_unit: x", x, -1, 1)
    return (x + 1) / 2


def to_bytes(images: Any) -> Any:
    """[0, 1] -> 0..255, rounded.    images: float, any shape -> uint8. ValueError where something is outside."""
    check_range("to_bytes: images", images, 0, 1)
    return array_module(images).rint(images * 255).astype(np.uint8)


def check_range(name: str, array: Any, low: float, high: float) -> None:
    """ValueError, beginning with `name`, unless low <= every number <= high. NaN is outside."""
    smallest, largest = float(array.min()), float(array.max())
    if not (low <= smallest and largest <= high):
        raise ValueError(
            f"{name} must be in [{low:g}, {high:g}] but lies in [{smallest:g}, {largest:g}]"
        )


def check_labels(name: str, labels: Any, n_classes: int) -> None:
    """TypeError unless labels are integers, ValueError unless all are in 0..n_classes-1. The message begins with `name`."""
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {labels.dtype}")
    smallest, largest = int(labels.min()), int(labels.max())
    if smallest < 0 or largest >= n_classes:
        raise ValueError(
            f"{name} must be in 0..{n_classes - 1} for {n_classes} classes but lie in {smallest}..{largest}"
        )


def as_int(name: str, value: Any) -> int:
    """`value` as Python's int: NumPy's integers are as good as Python's, 2.0 and "2" are not.

    Raises: TypeError that begins with `name`.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
