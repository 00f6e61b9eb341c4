"""Pictures of points in the plane: clouds side by side, the ways of points, vector fields.

Every file appears only when it is complete, and no figure touches pyplot's state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm

from minidiff.engine.backend import to_cpu
from minidiff.pictures.figures import Figure, save_figure
from minidiff.pictures.images import DPI, INK, PAPER, Path

LIMIT = 2.7  # standardised data and almost all of N(0, I) are within
PANEL = 2.6  # inches
DATA, CLOUD, BEHIND, START = "tab:orange", "tab:blue", "#d8d8d8", INK


def save_clouds(path: Path, rows: Mapping[str, Sequence[tuple[str, Any]]]) -> None:
    """Write clouds of points as a PNG.

    rows: {label: [(title, points (N, 2)), ...]}, as many clouds in each row
    """
    lengths = {label: len(clouds) for label, clouds in rows.items()}
    if not rows or len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(
            f"save_clouds: rows must have one number of clouds, at least 1, got {lengths}"
        )
    figure, panels = _panels(len(rows), max(lengths.values()))
    for (label, clouds), row in zip(rows.items(), panels, strict=True):
        row[0].set_ylabel(label, fontsize=14, color=INK)
        for (title, points), axes in zip(clouds, row, strict=True):
            x, y = _plane("save_clouds", "points", points).T
            axes.scatter(x, y, s=_dot(len(points)), color=CLOUD, alpha=0.55, linewidths=0)
            axes.set_title(title, fontsize=13, color=INK)
    save_figure(figure, path)


def save_ways(path: Path, ways: Mapping[str, Any], data: Any) -> None:
    """Write the ways of points as a PNG, a panel each, with a legend below.

    A way is pale where it begins, in noise, and dark where it ends. A few points are enough: the
    random walks of many are a tangle.
    ways: {title: points (times, N, 2), ...}; data: (M, 2), drawn behind.
    """
    if not ways:
        raise ValueError("save_ways: ways is empty but at least one is wanted")
    figure, panels = _panels(1, len(ways), size=2 * PANEL)
    for (title, way), axes in zip(ways.items(), panels[0], strict=True):
        way = to_cpu(way)
        if way.ndim != 3 or way.shape[2] != 2 or way.size == 0:
            raise ValueError(
                f"save_ways: the ways of {title!r} must be (times, N, 2), got shape {way.shape}"
            )
        behind = axes.scatter(*_plane("save_ways", "data", data).T, s=9, color=BEHIND, linewidths=0)
        for i in range(way.shape[1]):
            axes.add_collection(_fading(way[:, i], f"C{i % 10}"))
        start = axes.scatter(
            *way[0].T, s=34, facecolor=PAPER, edgecolor=START, linewidths=1.4, zorder=3
        )
        end = axes.scatter(*way[-1].T, s=44, color=START, zorder=3)
        axes.set_title(title, fontsize=14, color=INK)
    names = "x_T, noise", "x_0, where a way ends", "the data"
    figure.legend([start, end, behind], names, loc="outside lower center", ncols=3, fontsize=12)
    save_figure(figure, path)


def _fading(way: np.ndarray, color: str) -> LineCollection:
    """One way as a line that is pale at its beginning.    way: (times, 2)"""
    pieces: Any = np.stack([way[:-1], way[1:]], axis=1)
    alpha = np.linspace(0.15, 1, max(1, len(pieces)))[: len(pieces)]
    return LineCollection(pieces, colors=color, alpha=alpha, linewidths=1.3, capstyle="round")


def _dot(n: int) -> float:
    """The area of a dot in square points: n of them should look like a cloud, and each be seen."""
    return float(np.clip(9000 / n, 3.0, 14.0))


def save_fields(path: Path, fields: Sequence[tuple[str, Any, Any, Any]], unit: str) -> None:
    """Write vector fields as a PNG, a panel each.

    The arrows have one length. They show the direction, and their colour shows how long they are.
    fields: (title, points (N, 2), drawn faintly behind; grid (M, 2), where the arrows are; arrows
    (M, 2)). unit: what the colours mean.
    """
    if len(fields) == 0:
        raise ValueError("save_fields: fields is empty but at least one is wanted")
    lengths = [
        np.linalg.norm(_plane("save_fields", "arrows", arrows), axis=1) for *_, arrows in fields
    ]
    floor = 1e-12
    scale = LogNorm(
        max(floor, min(length.min() for length in lengths)),
        max(2 * floor, max(length.max() for length in lengths)),
    )
    figure, panels = _panels(1, len(fields), size=1.4 * PANEL)
    for (title, points, grid, arrows), length, axes in zip(fields, lengths, panels[0], strict=True):
        grid, arrows = _plane("save_fields", "grid", grid), to_cpu(arrows)
        if grid.shape != arrows.shape:
            raise ValueError(
                f"save_fields: grid has shape {grid.shape} but arrows has {arrows.shape}"
            )
        axes.scatter(
            *_plane("save_fields", "points", points).T, s=5, color=DATA, alpha=0.45, linewidths=0
        )
        direction = arrows / np.maximum(length, floor)[:, None]
        # an arrow is a little shorter than the grid's cells, so that none touches the next
        cell = 2 * LIMIT / max(1.0, np.sqrt(len(grid)))
        arrow, colour = 0.85 * cell * direction, np.maximum(length, floor)
        drawn = axes.quiver(
            *grid.T, *arrow.T, colour, norm=scale, cmap="viridis_r", angles="xy",
            scale_units="xy", scale=1, pivot="mid", width=0.004, headwidth=3.5,
        )  # fmt: skip
        axes.set_title(title, fontsize=14, color=INK)
    bar = figure.colorbar(drawn, ax=list(panels[0]), shrink=0.8, pad=0.01, aspect=16)
    bar.set_label(unit, fontsize=12)
    save_figure(figure, path)


def _plane(function: str, name: str, points: Any) -> np.ndarray:
    points = to_cpu(points)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"{function}: {name} must be (N, 2) with N >= 1, got shape {points.shape}")
    return points


def _panels(rows: int, columns: int, size: float = PANEL) -> tuple[Figure, Any]:
    figure = Figure(
        figsize=(size * columns, (size + 0.35) * rows),
        dpi=DPI,
        facecolor=PAPER,
        layout="constrained",
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), xticks=[], yticks=[], aspect="equal")
    return figure, panels
