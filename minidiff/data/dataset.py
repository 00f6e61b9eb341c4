"""A data set in memory: pictures, and what they show."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from minidiff.engine.random import RNG

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Dataset:
    """Pictures and what they show.

    images: (N, C, H, W) uint8.    labels: (N,) int64, indices into `classes`.
    note: one sentence that says what this is and where it is from, for a program to print.
    """

    images: np.ndarray
    labels: np.ndarray
    name: str
    note: str
    classes: tuple[str, ...] = DIGITS

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(
                f"Dataset: images must be (N, C, H, W) uint8, got {self.images.shape} "
                f"{self.images.dtype}"
            )
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"Dataset: labels has shape {self.labels.shape} but images has N = "
                f"{len(self.images)}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, images={self.images.shape}, classes={len(self.classes)})"

    def split(self, n_held_out: int, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Two data sets without a common image.

        -> (the rest, n_held_out images drawn at random with this seed)
        """
        if not 0 < n_held_out < len(self):
            raise ValueError(
                f"split: n_held_out must be in 1..N-1 = 1..{len(self) - 1}, got {n_held_out}"
            )
        order = RNG(seed).permutation(len(self))
        held_out, rest = order[:n_held_out], order[n_held_out:]
        return self._select(rest), self._select(held_out)

    def _select(self, indices: np.ndarray) -> Dataset:
        return replace(self, images=self.images[indices], labels=self.labels[indices])
