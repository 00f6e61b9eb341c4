"""metrics.csv: the figures of a run as it goes, for a table, a plot or a logger."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from pathlib import Path

COLUMNS = (
    "step",
    "seconds",  # of training, without previews
    "loss",  # the mean since the row before
    "lr",
    "gradient_norm",  # of the last step, before clipping
    # of a preview; empty in other rows
    "held_out_loss",
    "confident",  # share of samples in which the classifier is sure of a class
    "frechet_ratio",  # Frechet distance of the samples / that of as many real images
)


class MetricsFile:
    """One row for each call of `write`, on the disk at once.

    step: where the run goes on; 0 begins a new file. Rows of later steps are removed: the run does
    those steps again.

    Raises: ValueError if the file that is there has other columns.
    """

    def __init__(self, path: str | os.PathLike[str], step: int = 0):
        self.path = Path(path)
        rows = self._rows_until(step) if step and self.path.exists() else []
        self.last_step = int(rows[-1]["step"]) if rows else 0
        part = self.path.with_name(f".{self.path.name}.part")
        try:
            with part.open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)

    def _rows_until(self, step: int) -> list[dict[str, str]]:
        """The whole rows up to this step. A killed process may have left half of one."""
        with self.path.open(newline="", errors="replace") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ValueError(
                    f"{self.path}: its columns must be {', '.join(COLUMNS)}, got "
                    f"{', '.join(reader.fieldnames or ()) or 'none'}: it is not of this version, "
                    "move it away"
                )
            whole = [row for row in reader if None not in row and None not in row.values()]
        kept: list[dict[str, str]] = []
        for row in whole:
            last = int(kept[-1]["step"]) if kept else 0
            if row["step"].isdecimal() and int(row["step"]) > last:
                kept.append(row)
        return [row for row in kept if int(row["step"]) <= step]

    def write(self, figures: Mapping[str, float]) -> None:
        """Append a row.    figures: some of COLUMNS, `step` among them

        Raises: ValueError for a column that is none of them; OSError if the disk is full.
        """
        unknown = sorted(set(figures) - set(COLUMNS))
        if unknown:
            raise ValueError(f"metrics: wanted figures among {', '.join(COLUMNS)}, got {unknown}")
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(
                {name: _in_digits(value) for name, value in figures.items()}
            )
        self.last_step = int(figures["step"])


def _in_digits(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def read_metrics(path: str | os.PathLike[str]) -> dict[str, list[float]]:
    """The columns of metrics.csv.    -> {name: a number per row, NaN where the cell is empty}"""
    with Path(path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name] or "nan") for row in rows] for name in COLUMNS}
