"""The figures of a training's previews: its held-out loss, and a classifier's opinion."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from minidiff.data.dataset import Dataset
from minidiff.data.scaling import to_float
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.backend import to_device
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.evaluation.judgement import Judgement, fitting_classifier, judge
from minidiff.evaluation.metrics import quality_of
from minidiff.models import Classifier
from minidiff.nn import Module
from minidiff.training.trainer import batch_terms
from minidiff.training.workers import Workers

MOST_REAL = 2000  # images; their features take a second or two once


def held_out_loss(
    workers: Workers, x_0: Any, schedule: Schedule, prediction: str, seed: int = 0, **condition: Any
) -> float:
    """L_simple of the workers' model on images that it was not trained with.

    Times and noise are the same at each call, so that two calls can be compared. The times are
    spread evenly over 1..T, also where the training draws them otherwise.
    x_0: (N, ...) on the model's device; condition: arrays with one entry per image
    """
    rng, n = RNG(seed, next(workers.model.parameters()).device), len(x_0)
    t = np.linspace(1, schedule.T, n).round().astype(np.int64)
    arrays = {"x_0": x_0, "t": to_device(t, rng.device), "eps": rng.normal(x_0.shape), **condition}
    parts = workers.map(_losses, arrays, schedule=schedule, prediction=prediction)
    return float(np.concatenate(parts).mean())


def _losses(
    model: Module, x_0: Any, t: Any, eps: Any, schedule: Schedule, prediction: str, chunk: int = 64,
    **condition: Any,
) -> np.ndarray:  # fmt: skip
    """The loss of each image; for a chunk their mean, as often as it has images."""
    losses = []
    with no_grad():
        for start in range(0, len(x_0), chunk):
            part = slice(start, start + chunk)
            further = {name: array[part] for name, array in condition.items()}
            step = batch_terms(
                model, x_0[part], t[part], eps[part], schedule, prediction, **further
            )
            losses.append(np.full(len(x_0[part]), step.loss.numpy()))
    return np.concatenate(losses)


def preview_judge(
    folder: str | os.PathLike[str], dataset: Dataset, train: Dataset
) -> tuple[PreviewJudge | None, str]:
    """The judge with the classifier in `folder`, and a sentence to print if it does not fit.

    train: the part of the data set that the samples should look like
    """
    classifier, note = fitting_classifier(folder, dataset)
    if classifier is None:
        return None, note
    return PreviewJudge(classifier, train.images), ""


class PreviewJudge:
    """A classifier that looks at the samples of each preview of a training.

    real_images: (M, C, H, W) uint8, what the samples should look like. Their features are computed
    once.
    """

    def __init__(self, classifier: Classifier, real_images: np.ndarray, seed: int = 0):
        self.classifier, self.seed = classifier, seed
        drawn = RNG(seed).permutation(len(real_images))[:MOST_REAL]
        self.images = real_images[drawn]
        self._real: Judgement | None = None

    def figures(self, samples: Any) -> dict[str, float]:
        """`confident` and `frechet_ratio` for metrics.csv.

        samples: (N, C, H, W) float32 in [-1, 1]. Of them at most half as many are judged as there
        are real images, since the distance is measured beside one of as many real ones.
        """
        samples = samples[: len(self.images) // 2]
        with Workers(self.classifier, 1) as workers:
            if self._real is None:
                self._real = judge(workers, to_float(self.images))
            quality = quality_of(judge(workers, samples), self._real, self.seed)
        return {"confident": quality.confident, "frechet_ratio": quality.frechet / quality.floor}
