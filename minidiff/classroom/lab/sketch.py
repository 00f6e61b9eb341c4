"""Pictures as text for a terminal: clouds by density, curves by points. Only ASCII."""

from __future__ import annotations

import numpy as np

from minidiff.classroom.lab.symptom import Picture
from minidiff.classroom.page.points import LIMIT

WIDTH, HEIGHT = 46, 15
DENSITY = " .:+*#"
MARKS = "o+x*"


def sketch(picture: Picture) -> list[str]:
    """The lines of a picture, with its title above."""
    if picture.kind == "cloud":
        return [picture.title, *cloud(picture.data)]
    return [picture.title, *curves(picture.data, picture.log)]


def cloud(points: np.ndarray) -> list[str]:
    """Points of the plane in -LIMIT..LIMIT; what is outside lies on the border."""
    inside = np.nan_to_num(np.asarray(points, np.float64), nan=0.0, posinf=9.0, neginf=-9.0)
    inside = inside.clip(-LIMIT, LIMIT)
    columns = ((inside[:, 0] / LIMIT + 1) / 2 * (WIDTH - 1)).round().astype(int)
    rows = ((1 - inside[:, 1] / LIMIT) / 2 * (HEIGHT - 1)).round().astype(int)
    counts = np.zeros((HEIGHT, WIDTH))
    np.add.at(counts, (rows, columns), 1)
    level = np.ceil(np.log2(counts + 1)).clip(0, len(DENSITY) - 1).astype(int)
    return ["|" + "".join(DENSITY[i] for i in row) + "|" for row in level]


def curves(data: dict[str, tuple[np.ndarray, np.ndarray]], log: bool) -> list[str]:
    """Curves over a common x, each with its own mark."""
    known = [(np.asarray(x, float), _scaled(y, log)) for x, y in data.values()]
    finite = [y[np.isfinite(y)] for _, y in known]
    every = np.concatenate(finite) if any(map(len, finite)) else np.zeros(1)
    low, high = float(every.min()), float(every.max())
    high = high if high > low else low + 1
    field = [[" "] * WIDTH for _ in range(HEIGHT)]
    for mark, (x, y) in zip(MARKS, known, strict=False):
        span = (x.max() - x.min()) or 1.0
        for one_x, one_y in zip(x, y, strict=True):
            if np.isfinite(one_y):
                column = round((one_x - x.min()) / span * (WIDTH - 1))
                row = round((high - one_y) / (high - low) * (HEIGHT - 1))
                field[row][column] = mark
    top, bottom = (f"{10**v if log else v:.3g}" for v in (high, low))
    lines = ["|" + "".join(row) + "|" for row in field]
    lines[0] += f" {top}"
    lines[-1] += f" {bottom}"
    names = ", ".join(f"{mark} {name}" for mark, name in zip(MARKS, data, strict=False))
    return [*lines, names]


def _scaled(y: np.ndarray, log: bool) -> np.ndarray:
    y = np.asarray(y, np.float64)
    with np.errstate(all="ignore"):
        return np.where(y > 0, np.log10(np.maximum(y, 1e-12)), np.nan) if log else y


def side_by_side(left: list[str], right: list[str], gap: int = 3) -> list[str]:
    """Two pictures beside each other."""
    width = max(map(len, left), default=0)
    height = max(len(left), len(right))
    rows = [(*left, *[""] * height)[:height], (*right, *[""] * height)[:height]]
    return [f"{a:{width}}{' ' * gap}{b}".rstrip() for a, b in zip(*rows, strict=True)]
