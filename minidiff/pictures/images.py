"""Grids of images as a PNG, and frames of them as a GIF.

Every file appears only when it is complete. Figures are built without pyplot, so nothing here
touches the state of a notebook or a window.
"""

import os
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image  # Pillow comes with matplotlib, which needs it

from minidiff.data.atomic import atomic_write
from minidiff.data.scaling import check_range, to_bytes
from minidiff.engine.backend import to_cpu
from minidiff.pictures.figures import Figure

DPI = 100
SMALLEST_CELL = 84  # pixels on the screen; a 28 x 28 digit is shown three times as large
GAP = 6  # pixels between images
TITLE_HEIGHT, LABEL_HEIGHT = 44, 24
TITLE_SIZE, LABEL_SIZE = 18, 14  # points
WRAPPED_SIZE = 12  # points, of labels that need several lines
LINE = 1.6  # pixels from line to line, per point
CHARACTER = 0.85  # pixels that a character is wide, per point; most texts need less
INK, PAPER = "#1a1a1a", "white"

Path = str | os.PathLike[str]
Range = tuple[float, float]


def save_grid(
    path: Path,
    images: Any,
    columns: int | None = None,
    title: str | None = None,
    labels: Sequence[Any] | None = None,
    value_range: Range = (-1, 1),
) -> None:
    """Write images side by side as a PNG, each pixel a crisp square.

    images: (N, C, H, W) in `value_range`, (-1, 1) or (0, 1); C = 1 (grey) or 3 (red, green, blue).
    columns: as square as possible by default. labels: N short texts, one above each image.

    Raises: ValueError if images are outside the range (clip a model's samples first) or of a wrong
    shape.
    """
    picture = _draw_grid(images, columns, title, labels, value_range)
    with atomic_write(path) as part:
        Image.fromarray(picture).save(part, format="PNG")


def image_grid(
    images: Any,
    columns: int | None = None,
    title: str | None = None,
    labels: Sequence[Any] | None = None,
    value_range: Range = (-1, 1),
) -> Image.Image:
    """The picture that `save_grid` writes, for a notebook: noisy values are clipped to the range.

    The arguments are those of `save_grid`.
    """
    images = np.clip(to_cpu(images), *value_range)
    return Image.fromarray(_draw_grid(images, columns, title, labels, value_range))


def save_gif(
    path: Path,
    frames: Sequence[Any],
    columns: int | None = None,
    titles: Sequence[str] | None = None,
    value_range: Range = (-1, 1),
    seconds: float = 4.0,
    hold: float = 2.0,
) -> None:
    """Write a GIF that shows `frames` in `seconds`, then the last one for `hold` seconds, for ever.

    frames: at least one (N, C, H, W), all of one shape, each drawn as `save_grid` does.
    titles: one per frame, like "t = 500".
    """
    if len(frames) == 0:
        raise ValueError("save_gif: frames is empty but at least one frame is wanted")
    if titles is not None and len(titles) != len(frames):
        raise ValueError(
            f"save_gif: titles has {len(titles)} texts but frames has {len(frames)} frames"
        )
    shapes = {tuple(frame.shape) for frame in frames}
    if len(shapes) > 1:
        raise ValueError(f"save_gif: frames must have one shape, got {sorted(shapes)}")
    # all titles get one length, since a long title makes a picture wider
    longest = max(map(len, titles or [""]))
    pictures = []
    for i, frame in enumerate(frames):
        title = None if titles is None else titles[i].center(longest)
        picture = Image.fromarray(_draw_grid(frame, columns, title, None, value_range))
        pictures.append(picture.convert("L") if frame.shape[1] == 1 else picture)
    # milliseconds; viewers slow down a GIF that is faster than 20
    each = max(20, round(1000 * seconds / len(frames)))
    durations = [each] * (len(frames) - 1) + [each + round(1000 * hold)]
    with atomic_write(path) as part:
        pictures[0].save(
            part, format="GIF", save_all=True, append_images=pictures[1:], duration=durations,
            loop=0,
        )  # fmt: skip


def _draw_grid(
    images: Any, columns: int | None, title: str | None, labels: Sequence[Any] | None,
    value_range: Range,
) -> np.ndarray:  # fmt: skip
    """The grid as pixels, (height, width, 3) uint8.

    Text is drawn by matplotlib. Images are copied without resampling.
    """
    tiles = _tiles(images, value_range)
    n, height, width, _ = tiles.shape
    columns = int(np.ceil(np.sqrt(n))) if columns is None else min(n, columns)
    if columns < 1:
        raise ValueError(f"save_grid: columns must be >= 1, got {columns}")
    if labels is not None and len(labels) != n:
        raise ValueError(f"save_grid: labels has {len(labels)} texts but images has N = {n}")
    rows = -(-n // columns)
    texts, label_size = _wrap([] if labels is None else [str(label) for label in labels], width)
    lines = 1 + max((text.count("\n") for text in texts), default=0)
    label_height = 0 if labels is None else LABEL_HEIGHT + int((lines - 1) * LINE * label_size)
    row_height, column_width = label_height + height + GAP, width + GAP
    top = TITLE_HEIGHT if title else GAP
    grid_width = columns * column_width + GAP
    full_width = max(grid_width, int(CHARACTER * TITLE_SIZE * len(title or "")))
    left = GAP + (full_width - grid_width) // 2
    corners = [  # x, y of each cell
        (left + (i % columns) * column_width, top + (i // columns) * row_height) for i in range(n)
    ]

    canvas = np.full((top + rows * row_height, full_width, 3), 255, np.uint8)
    if title or texts:
        centres = [(x + width / 2, y + label_height / 2) for x, y in corners]
        _write_text(canvas, title, texts, centres, label_size)
    for tile, (x, y) in zip(tiles, corners, strict=True):
        canvas[y + label_height : y + label_height + height, x : x + width] = tile
    return canvas


def _tiles(images: Any, value_range: Range) -> np.ndarray:
    """(N, C, H, W) in value_range -> (N, H * k, W * k, 3) uint8, each pixel repeated k times."""
    images = to_cpu(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"images has shape {images.shape} but (N, C, H, W) with N >= 1 and C = 1 or 3 is wanted"
        )
    if tuple(value_range) not in ((-1, 1), (0, 1)):
        raise ValueError(f"value_range must be (-1, 1) or (0, 1), got {value_range}")
    low, high = value_range
    check_range("images", images, low, high)
    pixels = to_bytes((images - low) / (high - low)).transpose(0, 2, 3, 1)
    k = max(1, -(-SMALLEST_CELL // max(pixels.shape[1:3])))
    return np.broadcast_to(pixels, (*pixels.shape[:3], 3)).repeat(k, axis=1).repeat(k, axis=2)


def _wrap(texts: list[str], space: int) -> tuple[list[str], float]:
    """Break texts between words into lines of at most `space` pixels.

    -> the texts, the size in points that they fit in
    """
    if max(map(len, texts), default=0) <= space / CHARACTER / LABEL_SIZE:
        return texts, LABEL_SIZE
    longest_word = max((len(word) for text in texts for word in text.split()), default=1)
    size = min(WRAPPED_SIZE, space / CHARACTER / longest_word)
    characters = max(longest_word, int(space / CHARACTER / size))
    return ["\n".join(textwrap.wrap(text, characters)) for text in texts], size


def _write_text(
    canvas: np.ndarray, title: str | None, texts: list[str], where: list[tuple[float, float]],
    size: float,
) -> None:  # fmt: skip
    """Write title and labels on the empty canvas.

    A label is centred at its `where`, x, y from the top left.
    """
    height, width, _ = canvas.shape
    # half a pixel more, as matplotlib rounds down: 57 / 100 * 100 is 56.99999999999999
    figure = Figure(figsize=((width + 0.5) / DPI, (height + 0.5) / DPI), dpi=DPI, facecolor=PAPER)
    centred: dict[str, Any] = {"ha": "center", "va": "center", "color": INK}
    if title:
        figure.text(0.5, 1 - TITLE_HEIGHT / 2 / height, title, fontsize=TITLE_SIZE, **centred)
    for text, (x, y) in zip(texts, where, strict=False):
        figure.text(x / width, 1 - y / height, text, fontsize=size, linespacing=1.1, **centred)
    agg = FigureCanvasAgg(figure)
    agg.draw()
    canvas[:] = np.asarray(agg.buffer_rgba())[..., :3]
