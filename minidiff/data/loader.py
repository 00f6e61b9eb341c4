"""Shuffled mini-batches that can be continued where a checkpoint left off."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidiff.engine.random import RNG

from .scaling import as_int, check_labels, check_range, to_float


class Loader:
    """Mini-batches of x_0 and labels, in a new random order each epoch.

        loader = Loader(dataset.images, dataset.labels, batch_size=64, rng=rng)
        for x_0, labels in loader:            # the rest of this epoch
            ...                               # x_0: (B, C, H, W) float32 in [-1, 1];    labels: (B,) int64

    images: (N, C, H, W), uint8 or float32 within value_range.    labels: (N,) in 0..n_classes-1, or None: then all are 0.
    Data that is no image: float32 (N, ...), latents or points, say, with value_range=None; it must be finite.
    Labels that are no class: integers (N, ...), several facts about each image, say, with n_classes=None.
    drop_last: leave out the last batch of an epoch when fewer than batch_size images remain for it.
    rng: one number is drawn from it, here; the order of epoch e is a function of that number and e alone.
    """

    def __init__(
        self, images: Any, labels: Any, batch_size: int, rng: RNG, *, drop_last: bool = False, n_classes: int | None = 10,
        value_range: tuple[float, float] | None = (-1, 1),
    ):  # fmt: skip
        batch_size = as_int("Loader: batch_size", batch_size)
        if n_classes is not None:
            n_classes = as_int("Loader: n_classes", n_classes)
        if images.ndim != 4 and value_range is not None:
            raise ValueError(f"Loader: images has shape {images.shape} but (N, C, H, W) is wanted")
        if images.ndim < 2:
            raise ValueError(f"Loader: images has shape {images.shape} but (N, ...) is wanted")
        if not 0 < batch_size <= len(images):
            raise ValueError(
                f"Loader: batch_size must be in 1..N = 1..{len(images)}, got {batch_size}"
            )
        if images.dtype != np.uint8:
            if images.dtype != np.float32:
                raise TypeError(
                    f"Loader: images has dtype {images.dtype} but uint8 or float32 is wanted"
                )
            if value_range is not None:
                check_range("Loader: images", images, *value_range)
            elif not np.isfinite(images).all():
                raise ValueError("Loader: images must be finite, got NaN or inf")
        labels = np.zeros(len(images), np.int64) if labels is None else labels
        if labels.shape[:1] != images.shape[:1] or (labels.ndim != 1 and n_classes is not None):
            raise ValueError(
                f"Loader: labels has shape {labels.shape} but images has N = {len(images)}"
            )
        if n_classes is not None:
            check_labels("Loader: labels", labels, n_classes)
        elif labels.dtype.kind not in "iu":
            raise TypeError(f"Loader: labels has dtype {labels.dtype} but integers are wanted")
        self.images, self.labels = images, labels.astype(np.int64)
        self.batch_size, self.drop_last = batch_size, drop_last
        self.epoch = 0  # complete ones
        self.position = 0  # images of this epoch already given out
        self._seed = int(rng.integers(0, 2**62))
        self._order = self._shuffle()

    def __len__(self) -> int:
        """Batches per epoch."""
        full, rest = divmod(len(self.images), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """The batches that remain of this epoch."""
        epoch = self.epoch
        while self.epoch == epoch:
            yield self.next_batch()

    def next_batch(self) -> tuple[Any, Any]:
        """The next x_0 and labels, of the next epoch when this one is used up: for loops that count steps."""
        chosen = self._order[self.position : self.position + self.batch_size]
        x_0 = self.images[chosen]
        batch = (to_float(x_0) if x_0.dtype == np.uint8 else x_0), self.labels[chosen]
        self.position += len(chosen)
        remaining = len(self.images) - self.position
        if remaining == 0 or (self.drop_last and remaining < self.batch_size):
            self.epoch, self.position = self.epoch + 1, 0
            self._order = self._shuffle()
        return batch

    def state(self) -> dict[str, int]:
        """Where in which order we are, as JSON-able values."""
        return {
            "seed": self._seed,
            "epoch": self.epoch,
            "position": self.position,
            "n_images": len(self.images),
            "batch_size": self.batch_size,
        }

    def set_state(self, state: dict[str, int]) -> None:
        """Continue from a state that `state()` returned. ValueError if it is none, or another loader's."""
        mine = self.state()
        if set(state) != set(mine):
            raise ValueError(f"Loader: state must have {sorted(mine)}, got {sorted(state)}")
        for name in ("n_images", "batch_size"):
            if state[name] != mine[name]:
                raise ValueError(
                    f"Loader: state is of a loader with {name} = {state[name]} but here {name} = {mine[name]}"
                )
        if not 0 <= state["position"] < len(self.images) or state["epoch"] < 0 or state["seed"] < 0:
            raise ValueError(
                f"Loader: state must have 0 <= position < n_images, epoch >= 0 and seed >= 0, got {state}"
            )
        self._seed, self.epoch, self.position = state["seed"], state["epoch"], state["position"]
        self._order = self._shuffle()

    def _shuffle(self) -> np.ndarray:
        return RNG(self._seed + self.epoch).permutation(len(self.images))
