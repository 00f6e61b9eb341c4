"""The pictures of a symptom as a PNG: with the bug above, right below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minidiff.classroom.lab.symptom import Picture, Symptom
from minidiff.classroom.page.points import LIMIT
from minidiff.pictures.figures import Figure, save_figure

BROKEN, RIGHT = "tab:red", "tab:green"
SHADES = (1.0, 0.6, 0.35)  # of several curves


def save_symptoms(path: Path, title: str, here: Symptom, right: Symptom) -> None:
    """Write both symptoms into one picture."""
    count = len(here.pictures)
    figure = Figure(figsize=(4.6 * count, 8.2), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(2, count, squeeze=False)
    rows = ((here, BROKEN, "with the bug"), (right, RIGHT, "right"))
    for axes_of_row, (symptom, colour, name) in zip(panels, rows, strict=True):
        for axes, picture in zip(axes_of_row, symptom.pictures, strict=False):
            _draw(axes, picture, colour)
            axes.set_title(f"{name}: {picture.title}", fontsize=10)
    save_figure(figure, path)


def _draw(axes: Any, picture: Picture, colour: str) -> None:
    if picture.kind == "cloud":
        axes.scatter(*np.asarray(picture.data).T, s=3, color=colour, linewidths=0)
        axes.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal")
        return
    for (label, (x, y)), shade in zip(picture.data.items(), SHADES, strict=False):
        axes.plot(x, y, color=colour, alpha=shade, label=label)
    if picture.log:
        axes.set_yscale("log")
    axes.legend(fontsize=8, frameon=False)
