"""Handwritten digits that the program draws itself. They need no network and have no end.

A digit is drawn as MNIST's were prepared: its box is scaled to 20 pixels and its centre of mass put
in the middle of 28 x 28. These vary: the way of writing, the points of the strokes, slant,
rotation, width and the thickness of the pen.
"""

from functools import cache

import numpy as np

from minidiff.engine.random import RNG

from .dataset import Dataset
from .scaling import as_int, check_labels, to_bytes
from .strokes import WAYS_OF_WRITING

SIZE, BOX = 28, 20
MOST = 10_000_000  # images: 8 GB
VERSION = 1  # counts the changes of this file that draw other digits from a seed
N_SAMPLES = 112  # points along a digit, about half a pixel apart
CHUNK = 64  # images drawn at once: their distances stay in the CPU's cache

POINT_JITTER = 3.5  # standard deviations; a digit is 100 high
SLANT = (0.14, 0.23)  # mean, standard deviation: dx / dy
ROTATION = 0.09  # radians
LOG_WIDTH = (0.20, 0.18)
PEN_RADIUS = (1.32, 0.38)  # pixels
EDGE = 0.6  # pixels over which ink fades to paper, as in MNIST's scans


def make_digits(n: int, seed: int = 0) -> Dataset:
    """A data set of n drawn digits, the classes equally likely.    n >= 1; 10,000 take seconds.

    Raises: TypeError if n or seed is no integer; ValueError if n is outside of 1..10 million, seed
    below 0.
    """
    n, seed = as_int("make_digits: n", n), as_int("make_digits: seed", seed)
    if n < 1:
        raise ValueError(f"make_digits: n must be >= 1, got {n}")
    if n > MOST:
        raise ValueError(f"make_digits: n must be <= {MOST:,}, got {n:,}")
    rng = RNG(seed)
    labels = rng.integers(0, len(WAYS_OF_WRITING), (n,))
    images = draw_digits(labels, rng)
    return Dataset(
        images,
        labels,
        "digits",
        f"digits: {n:,} images of digits drawn by the program, seed {seed}.",
        source="drawn by the program",
        recipe=f"make_digits({n}, seed={seed}), version {VERSION}",
    )


def draw_digits(labels: np.ndarray, rng: RNG) -> np.ndarray:
    """Draw one picture per label, white ink on black.

    labels: (N,) integers in 0..9 -> (N, 1, 28, 28) uint8
    """
    labels = np.asarray(labels)
    check_labels("draw_digits: labels", labels, len(WAYS_OF_WRITING))
    points = _write(labels, rng)
    points = _transform(points, rng)
    radius = np.clip(PEN_RADIUS[0] + PEN_RADIUS[1] * rng.normal((len(labels),)), 0.65, 2.6)
    points = _place(points, radius)
    return to_bytes(_ink(points, radius))[:, None]


def _write(labels: np.ndarray, rng: RNG) -> np.ndarray:
    """The path of the pen. The way of writing is drawn at random, its points are moved a little.

    -> (N, N_SAMPLES, 2) as (x, y)
    """
    n_ways = np.array([len(ways) for ways in WAYS_OF_WRITING])
    way = (rng.uniform((len(labels),)) * n_ways[labels]).astype(int)
    points = np.empty((len(labels), N_SAMPLES, 2), np.float32)
    for digit, ways in enumerate(WAYS_OF_WRITING):
        for i in range(len(ways)):
            mine = np.flatnonzero((labels == digit) & (way == i))
            controls, weights = _curve(digit, i)
            moved = controls + POINT_JITTER * rng.normal((len(mine), *controls.shape))
            points[mine] = weights @ moved
    return points


@cache
def _curve(digit: int, way: int) -> tuple[np.ndarray, np.ndarray]:
    """The smooth curve of a way of writing: its distinct points, and weights.

    -> points (K, 2), weights (N_SAMPLES, K) that make the curve from them
    """
    strokes = [
        np.array([point.split(",") for point in stroke.split()], np.float32)
        for stroke in WAYS_OF_WRITING[digit][way]
    ]
    controls, which = np.unique(np.concatenate(strokes), axis=0, return_inverse=True)
    lengths = np.array(
        [np.linalg.norm(np.diff(stroke, axis=0), axis=1).sum() for stroke in strokes]
    )
    ends = np.rint(N_SAMPLES * np.cumsum(lengths) / lengths.sum()).astype(int)

    weights = np.zeros((N_SAMPLES, len(controls)), np.float32)
    start, first = 0, 0
    for stroke, end in zip(strokes, ends, strict=True):
        row = np.arange(start, end)[:, None]
        passed = which.reshape(-1)[first : first + len(stroke)]
        columns, values = _catmull_rom(stroke, end - start)
        np.add.at(weights, (row, passed[columns]), values)
        start, first = end, first + len(stroke)
    return controls, weights


def _catmull_rom(stroke: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """n points along the Catmull-Rom spline through `stroke` (K, 2).

    -> the indices of the four points of each, and their weights, (n, 4) both
    """
    spans = np.linalg.norm(np.diff(stroke, axis=0), axis=1)
    along = np.linspace(0, spans.sum(), n)
    span = np.clip(np.searchsorted(np.cumsum(spans), along), 0, len(spans) - 1)
    u = (along - (np.cumsum(spans) - spans)[span]) / spans[span]
    indices = np.clip(span[:, None] + np.arange(-1, 3), 0, len(stroke) - 1)
    weights = [
        -u + 2 * u**2 - u**3,
        2 - 5 * u**2 + 3 * u**3,
        u + 4 * u**2 - 3 * u**3,
        -(u**2) + u**3,
    ]
    return indices, np.stack(weights, axis=1).astype(np.float32) / 2


def _transform(points: np.ndarray, rng: RNG) -> np.ndarray:
    """Make each digit narrower or wider, slant it, rotate it."""
    n = len(points)
    width = np.exp(LOG_WIDTH[0] + LOG_WIDTH[1] * rng.normal((n,)))
    slant = SLANT[0] + SLANT[1] * rng.normal((n,))
    angle = ROTATION * rng.normal((n,))
    x, y = points[..., 0].T * width, points[..., 1].T
    x = x - slant * y
    rotated = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    return np.stack(rotated, axis=-1).transpose(1, 0, 2)


def _place(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Scale the box of the ink to BOX pixels and centre its mass on pixel 14, 14, as MNIST does."""
    extent = np.ptp(points, axis=1).max(axis=1)
    scale = (BOX - EDGE - 2 * radius) / extent
    return (points - points.mean(axis=1, keepdims=True)) * scale[:, None, None] + SIZE / 2


def _ink(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The ink on each pixel, by its distance from the path of the pen.

    -> (N, SIZE, SIZE) float32 in [0, 1]
    """
    grid = np.arange(SIZE, dtype=np.float32)
    ink = np.empty((len(points), SIZE, SIZE), np.float32)
    for start in range(0, len(points), CHUNK):
        chunk = points[start : start + CHUNK]
        dx2 = (grid - chunk[:, :, 0, None]) ** 2
        dy2 = (grid - chunk[:, :, 1, None]) ** 2
        distance2 = np.full((len(chunk), SIZE, SIZE), np.inf, np.float32)
        for k in range(N_SAMPLES):  # squared distances are sums of a row's and a column's part
            np.minimum(distance2, dy2[:, k, :, None] + dx2[:, k, None, :], out=distance2)
        inside = radius[start : start + CHUNK, None, None] - np.sqrt(distance2)
        ink[start : start + CHUNK] = np.clip(0.5 + inside / (2 * EDGE), 0, 1)
    return ink
