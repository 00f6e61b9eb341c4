"""The judge of samples: a trained classifier, and what it sees in images."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

from minidiff import functional as F
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.models import Classifier
from minidiff.sampling.predictor import evaluating
from minidiff.training.checkpoint import load_checkpoint
from minidiff.training.stored import stored_network
from minidiff.training.workers import Workers


class Judgement(NamedTuple):
    """Answers of a classifier about N images."""

    probabilities: np.ndarray  # (N, n_classes)
    features: np.ndarray  # (N, n_features)

    @property
    def labels(self) -> np.ndarray:
        """The most probable class of each image."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """The probability of that class."""
        return self.probabilities.max(axis=1)


def judge(workers: Workers, x: Any, chunk: int = 250) -> Judgement:
    """Ask the workers' model, a Classifier, about images.    x: (N, C, H, W) float32 in [-1, 1]"""
    with evaluating(workers.model):
        parts = workers.map(_judge, {"x": x}, chunk=chunk)
    probabilities, features = zip(*parts, strict=True)
    return Judgement(np.concatenate(probabilities), np.concatenate(features))


def _judge(model: Classifier, x: Any, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    probabilities, features = [], []
    device = next(model.parameters()).device
    with no_grad():
        for start in range(0, len(x), chunk):
            of_chunk = model.features(Tensor(x[start : start + chunk], device=device))
            probabilities.append(F.softmax(model.lin2(of_chunk)).numpy())
            features.append(of_chunk.numpy())
    return np.concatenate(probabilities), np.concatenate(features)


def load_classifier(folder: str | os.PathLike[str]) -> Classifier:
    """The classifier of a checkpoint, in evaluation mode.

    Raises: CheckpointError if the checkpoint is of another kind.
    """
    checkpoint = load_checkpoint(folder, "classifier")
    model: Classifier = stored_network(folder, checkpoint, Classifier)
    return model
