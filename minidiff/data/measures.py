"""Measures of a picture of a digit or of a piece of clothing. Captions turn them into adjectives.

None has a threshold, so that a faint scan and a dark one of the same digit measure alike.
images: (N, 1, H, W) uint8 -> (N,) float32
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CHUNK = 2048  # images measured at once: the temporaries of all of MNIST would take gigabytes


def stroke_thickness(images: np.ndarray) -> np.ndarray:
    """The mean width of the pen's line, in pixels: 2 * area / perimeter.

    A line of length L and width w has the area w L and a perimeter of about 2 L. The perimeter is
    the sum of the gradient's length (the co-area formula: an edge of any softness, from 0 to 1,
    counts its own length), so no outline has to be traced. A line thinner than its blur measures as
    its blur, about 1.5 pixels.
    """
    ink = _ink(images)
    padded = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    # forward differences: central ones step over a line one pixel wide
    dx = np.diff(padded, axis=2)[:, :-1]
    dy = np.diff(padded, axis=1)[:, :, :-1]
    area = ink.sum(axis=(1, 2))
    perimeter = np.sqrt(dx**2 + dy**2).sum(axis=(1, 2))
    return 2 * area / np.maximum(perimeter, 1e-6)


def slant(images: np.ndarray) -> np.ndarray:
    """The slant of the writing to the right, dx / dy, 0 for upright.

    It is the slope sigma_xy / sigma_yy of the line x(y) that fits the ink best. Shearing by minus
    this number is what deskews MNIST.
    """
    _, sigma_xy, sigma_yy = _second_moments(_ink(images))
    return -sigma_xy / sigma_yy  # rows count downwards


def width(images: np.ndarray) -> np.ndarray:
    """Width over height, each as the standard deviation of the ink along its axis."""
    sigma_xx, _, sigma_yy = _second_moments(_ink(images))
    return np.sqrt(sigma_xx / sigma_yy)


def brightness(images: np.ndarray) -> np.ndarray:
    """The brightness of the object on the black ground, 0..1.

    It is the mean grey, each pixel weighted by its own grey.
    """
    ink = _ink(images)
    return (ink**2).sum(axis=(1, 2)) / np.maximum(ink.sum(axis=(1, 2)), 1e-6)


MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "thickness": stroke_thickness, "slant": slant, "width": width, "brightness": brightness,
}  # fmt: skip


def measure(name: str, images: np.ndarray) -> np.ndarray:
    """The measure called `name`, chunk by chunk.

    Raises: ValueError for an unknown name or images that are not (N, 1, H, W) uint8.
    """
    if name not in MEASURES:
        raise ValueError(f"measure: name must be one of {', '.join(MEASURES)}, got {name!r}")
    if (
        not isinstance(images, np.ndarray)
        or images.ndim != 4
        or images.shape[1] != 1
        or images.dtype != np.uint8
    ):
        got = (
            f"{images.shape} {images.dtype}" if hasattr(images, "shape") else type(images).__name__
        )
        raise ValueError(f"measure: images must be a NumPy array (N, 1, H, W) uint8, got {got}")
    chunks = [
        MEASURES[name](images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)
    ]
    return np.concatenate([np.empty(0, np.float32), *chunks])


def _ink(images: np.ndarray) -> np.ndarray:
    """0..1, (N, H, W) float32."""
    return images[:, 0].astype(np.float32) / 255


def _second_moments(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sigma_xx, sigma_xy, sigma_yy of the ink.

    A pixel is a square with a variance of 1/12 of its own, so neither variance is ever 0.
    """
    _, height, width = ink.shape
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    area = np.maximum(ink.sum(axis=(1, 2)), 1e-6)
    columns, rows = ink.sum(axis=1) / area[:, None], ink.sum(axis=2) / area[:, None]
    dx, dy = x - (columns @ x)[:, None], y - (rows @ y)[:, None]
    sigma_xx = (columns * dx**2).sum(axis=1) + np.float32(1 / 12)
    sigma_yy = (rows * dy**2).sum(axis=1) + np.float32(1 / 12)
    sigma_xy = ((ink @ dx[:, :, None])[:, :, 0] * dy).sum(axis=1) / area
    return sigma_xx, sigma_xy, sigma_yy
