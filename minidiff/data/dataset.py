"""The data set of this package, once it is in memory: `Dataset`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from minidiff.engine.random import RNG

from .identity import Identity, checksum_of
from .scaling import as_int

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Dataset:
    """Pictures and what they show.

    images: (N, C, H, W) uint8.    labels: (N,) int64, indices into `classes`.
    note: one sentence that says what this is and where it is from, for a program to print.
    source: what kind of files it is from, or what made it.
    folder: of the files, absolute; None without files.
    recipe: for pictures that a program makes: all that decides what they are. Another machine may
    round a grey differently, so the checksum of such a data set is of its recipe.
    """

    images: np.ndarray
    labels: np.ndarray
    name: str
    note: str
    classes: tuple[str, ...] = DIGITS
    source: str = ""
    folder: str | None = None
    recipe: str = ""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(
                "Dataset: images must be (N, C, H, W) uint8, "
                f"got {self.images.shape} {self.images.dtype}"
            )
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"Dataset: labels has shape {self.labels.shape} "
                f"but images has N = {len(self.images)}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, images={self.images.shape}, classes={len(self.classes)})"

    @cached_property
    def checksum(self) -> str:
        """A digest of the images and the labels, or of the recipe: 32 hexadecimal digits."""
        return checksum_of(self.recipe) if self.recipe else checksum_of(self.images, self.labels)

    def identity(self) -> Identity:
        """What a checkpoint keeps, as JSON-able values, to know this data set again.

        `identity_difference` compares two.
        """
        return {
            "name": self.name,
            "source": self.source,
            "folder": self.folder,
            "n_images": len(self),
            "image_shape": list(self.images.shape[1:]),
            "n_classes": len(self.classes),
            "checksum": self.checksum,
        }

    def split(self, n_held_out: int, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Two data sets without a common image: (the rest, n_held_out images drawn at random)."""
        n_held_out, seed = as_int("split: n_held_out", n_held_out), as_int("split: seed", seed)
        if not 0 < n_held_out < len(self):
            raise ValueError(
                f"split: n_held_out must be in 1..N-1 = 1..{len(self) - 1}, got {n_held_out}"
            )
        order = RNG(seed).permutation(len(self))
        held_out, rest = order[:n_held_out], order[n_held_out:]
        how = f"split({n_held_out}, seed={seed})"
        parts = (rest, f"the rest of {how}"), (held_out, f"held out by {how}")
        first, second = (self._select(indices, what) for indices, what in parts)
        return first, second

    def _select(self, indices: np.ndarray, how: str) -> Dataset:
        recipe = f"{self.recipe}, {how}" if self.recipe else ""
        images, labels = self.images[indices], self.labels[indices]
        return replace(self, images=images, labels=labels, recipe=recipe)
