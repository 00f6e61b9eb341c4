"""What a training run shows: grids of images, the denoising as a GIF, loss curves. Every file appears only when it is complete.

Figures are built without pyplot, so nothing here touches a notebook's or a window's state.
"""

import os
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image  # Pillow comes with matplotlib, which needs it

from minidiff.data.atomic import atomic_write
from minidiff.data.scaling import check_range, to_bytes
from minidiff.engine.backend import to_cpu

DPI = 100
SMALLEST_CELL = 84  # pixels on the screen; a 28 x 28 digit is shown three times as large
GAP = 6  # pixels between images
TITLE_HEIGHT, LABEL_HEIGHT = 44, 24
TITLE_SIZE, LABEL_SIZE, WRAPPED_SIZE = (
    18,
    14,
    12,
)  # points; labels that need several lines are written in the last size
LINE = 1.6  # pixels from line to line, per point
CHARACTER = 0.85  # pixels that a character is wide, per point: not less than most texts need
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
    columns: as square as possible by default.    labels: N short texts, one above each image, in several lines if need be.
    ValueError where images are outside the range (clip a model's samples first) or the shape does not fit.
    """
    picture = _draw_grid(images, columns, title, labels, value_range)
    with atomic_write(path) as part:
        Image.fromarray(picture).save(part, format="PNG")


def save_gif(
    path: Path,
    frames: Sequence[Any],
    columns: int | None = None,
    titles: Sequence[str] | None = None,
    value_range: Range = (-1, 1),
    seconds: float = 4.0,
    hold: float = 2.0,
) -> None:
    """Write a GIF that repeats for ever: `frames`, each a grid as `save_grid` draws it, in `seconds`, then the last one for `hold` seconds.

    frames: at least one of (N, C, H, W), all of one shape.    titles: one per frame, like "t = 500".
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
    longest = max(
        map(len, titles or [""])
    )  # titles of one length, since a long title makes a picture wider
    pictures = []
    for i, frame in enumerate(frames):
        title = None if titles is None else titles[i].center(longest)
        picture = Image.fromarray(_draw_grid(frame, columns, title, None, value_range))
        pictures.append(picture.convert("L") if frame.shape[1] == 1 else picture)
    each = max(
        20, round(1000 * seconds / len(frames))
    )  # milliseconds; viewers slow down what is faster than 20
    durations = [each] * (len(frames) - 1) + [each + round(1000 * hold)]
    with atomic_write(path) as part:
        pictures[0].save(
            part,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=durations,
            loop=0,
        )


def save_loss_curve(
    path: Path, steps: Any, losses: Any, smoothed: Any = None, title: str = "Training loss"
) -> None:
    """Write the loss over the training steps as a PNG, on a logarithmic axis if it is positive.

    steps, losses, and smoothed where given: (M,) each, M >= 1; `smoothed` is drawn over a paler `losses`.
    """
    curves = {"losses": losses} if smoothed is None else {"losses": losses, "smoothed": smoothed}
    steps, curves = _matching("save_loss_curve", "steps", steps, curves)
    figure, axes = _axes(title, "training step", "loss")
    style = "." if len(steps) == 1 else "-"
    axes.plot(
        steps,
        curves["losses"],
        style,
        color="C0",
        alpha=1 if smoothed is None else 0.35,
        label="each step",
    )
    if smoothed is not None:
        axes.plot(steps, curves["smoothed"], style, color="C0", linewidth=3, label="smoothed")
        axes.legend(fontsize=15, frameon=False)
    if min(curve.min() for curve in curves.values()) > 0:
        _log_scale(axes)
    _save(figure, path)


def save_loss_per_t(
    path: Path, t: Any, loss: Any, bins: int = 40, title: str = "Loss at each step of the diffusion"
) -> None:
    """Write the loss over t as a PNG: single losses as dots, and the mean of each of `bins` equal parts of t's range as a line.

    t, loss: (M,) each, M >= 1; a value of t may come more than once.
    """
    t, curves = _matching("save_loss_per_t", "t", t, {"loss": loss})
    loss = curves["loss"]
    edges = np.linspace(t.min(), t.max() + 1, bins + 1)
    part = np.digitize(t, edges) - 1
    filled = np.unique(part)
    middle = [t[part == i].mean() for i in filled]
    mean = [loss[part == i].mean() for i in filled]
    figure, axes = _axes(title, "t   (1: almost clean, T: noise)", "loss")
    axes.plot(t, loss, ".", color="C0", alpha=0.25, markersize=5, label="one image")
    axes.plot(middle, mean, ".-", color="C1", linewidth=3, label="mean")
    axes.legend(fontsize=15, frameon=False)
    if loss.min() > 0:
        _log_scale(axes)
    _save(figure, path)


def save_code_usage(path: Path, counts: Any, title: str = "How often each code is chosen") -> None:
    """Bars, the commonest code first: a codebook in good use falls gently, a collapsed one is a cliff.    counts: (K,) ints."""
    counts = to_cpu(counts)
    if counts.ndim != 1 or len(counts) == 0:
        raise ValueError(
            f"save_code_usage: counts has shape {counts.shape} but (K,) with K >= 1 is wanted"
        )
    figure, axes = _axes(title, "code, by rank", "share of all latents")
    share = np.sort(counts)[::-1] / max(1, counts.sum())
    axes.bar(np.arange(1, len(share) + 1), share, width=1.0, color="C0")
    axes.axhline(1 / len(share), color=INK, linestyle="--", label="all codes equally")
    axes.legend(fontsize=15)
    _save(figure, path)


def save_perplexity(
    path: Path, perplexities: Any, n_codes: int, title: str = "Perplexity of the codebook"
) -> None:
    """How many codes are in use, effectively, step by step.    perplexities: (steps,)."""
    steps, curves = _matching(
        "save_perplexity",
        "perplexities",
        np.arange(1, len(perplexities) + 1),
        {"y": np.asarray(perplexities)},
    )
    figure, axes = _axes(title, "training step", "codes in use, effectively")
    axes.plot(steps, curves["y"], "." if len(steps) == 1 else "-", color="C0")
    axes.axhline(n_codes, color=INK, linestyle="--", label=f"K = {n_codes}")
    axes.set_ylim(0, 1.05 * n_codes)
    axes.legend(fontsize=15)
    _save(figure, path)


def _draw_grid(
    images: Any,
    columns: int | None,
    title: str | None,
    labels: Sequence[Any] | None,
    value_range: Range,
) -> np.ndarray:
    """The grid as pixels, (height, width, 3) uint8. Text is drawn by matplotlib, images are copied without resampling."""
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
    corners = [
        (left + (i % columns) * column_width, top + (i // columns) * row_height) for i in range(n)
    ]  # x, y of each cell

    canvas = np.full((top + rows * row_height, full_width, 3), 255, np.uint8)
    if title or texts:
        _write_text(
            canvas,
            title,
            texts,
            [(x + width / 2, y + label_height / 2) for x, y in corners],
            label_size,
        )
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
    """Break texts between words into lines of at most `space` pixels.    -> the texts, the size that they fit in, in points"""
    if max(map(len, texts), default=0) <= space / CHARACTER / LABEL_SIZE:
        return texts, LABEL_SIZE
    longest_word = max((len(word) for text in texts for word in text.split()), default=1)
    size = min(WRAPPED_SIZE, space / CHARACTER / longest_word)
    characters = max(longest_word, int(space / CHARACTER / size))
    return ["\n".join(textwrap.wrap(text, characters)) for text in texts], size


def _write_text(
    canvas: np.ndarray,
    title: str | None,
    texts: list[str],
    where: list[tuple[float, float]],
    size: float,
) -> None:
    """Write title and labels on the empty canvas; a label is centred at its `where`, x, y from the top left."""
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


def _axes(title: str, x_label: str, y_label: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(10, 6), dpi=DPI, facecolor=PAPER, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=20, color=INK, pad=12)
    axes.set_xlabel(x_label, fontsize=17, color=INK)
    axes.set_ylabel(y_label, fontsize=17, color=INK)
    axes.tick_params(labelsize=15, which="both")
    axes.grid(True, which="both", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _log_scale(axes: Any) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(
        lambda value, _: f"{value:g}"
    )  # 0.05 reads better on a wall than 5 x 10^-2
    axes.yaxis.set_minor_locator(NullLocator())


def _matching(
    function: str, x_name: str, x: Any, curves: dict[str, Any]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """x and the curves as (M,) arrays, refused unless they are of one length."""
    x = to_cpu(x)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"{function}: {x_name} has shape {x.shape} but (M,) with M >= 1 is wanted")
    arrays = {name: to_cpu(curve).astype(np.float64) for name, curve in curves.items()}
    for name, array in arrays.items():
        if array.shape != x.shape:
            raise ValueError(
                f"{function}: {name} has shape {array.shape} but {x_name} has {x.shape}"
            )
    return x, arrays


def _save(figure: Figure, path: Path) -> None:
    with atomic_write(path) as part:
        figure.savefig(part, format="png")
