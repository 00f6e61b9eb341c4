"""The judge of samples: a trained classifier, and what it sees in images."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

from minidiff import functional as F
from minidiff.data.dataset import Dataset
from minidiff.data.identity import identity_difference
from minidiff.data.own_pictures import NAME as OWN_PICTURES
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.models import Classifier
from minidiff.sampling.predictor import evaluating
from minidiff.training.checkpoint import (
    CheckpointError,
    checkpoint_in,
    load_checkpoint,
    one_line,
    understood,
)
from minidiff.training.classification import KIND, check_finished
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
    """The classifier of a run or of its checkpoint, in evaluation mode.

    Raises: CheckpointError if the checkpoint is of another kind, or of a run that did not end.
    """
    checkpoint = load_checkpoint(checkpoint_in(folder), KIND)
    check_finished(folder, checkpoint.description)
    model: Classifier = stored_network(folder, checkpoint, Classifier)
    return model


def find_classifier(folder: str | os.PathLike[str]) -> Classifier | None:
    """The classifier of a run, or None if there is no checkpoint."""
    there = (checkpoint_in(folder) / "checkpoint.json").exists()
    return load_classifier(folder) if there else None


def fitting_classifier(
    folder: str | os.PathLike[str], dataset: Dataset
) -> tuple[Classifier | None, str]:
    """The classifier of a run, and a sentence to print if it can't judge pictures like these.

    It is None if there is no checkpoint or if it looks at other images. A classifier of anybody's
    own pictures judges just those: it knows no others.
    """
    classifier = find_classifier(folder)
    if classifier is None:
        return None, ""
    facts = load_checkpoint(checkpoint_in(folder), KIND).description
    trained, here = facts.get("dataset", {}), dataset.identity()
    shape, classes = classifier.image_shape, classifier.config.n_classes
    fits = shape == dataset.images.shape[1:] and classes == len(dataset.classes)
    if OWN_PICTURES in (trained.get("name"), dataset.name):
        fits = fits and not identity_difference(trained, here)
    if fits:
        return classifier, ""
    name = one_line(trained.get("name", "another data set"), 60)
    return None, (
        f"The classifier in {folder} does not judge: it knows {name}, {classes} classes of images "
        f"{shape}; this is {dataset.name}, {len(dataset.classes)} of {dataset.images.shape[1:]}. "
        "Train one for it: train_classifier.py with the same --data."
    )


class Credentials(NamedTuple):
    """How good a trained classifier is."""

    accuracy: float  # the share of held-out images that it gets right
    held_out: int  # how many those are
    data: str  # the name of the data set


def credentials(folder: str | os.PathLike[str]) -> Credentials:
    """What train_classifier.py found out about its classifier at the end.

    Raises: CheckpointError if there is nothing, because its training did not end.
    """
    facts = load_checkpoint(checkpoint_in(folder), KIND).description
    with understood(folder):
        known = {**facts.get("options", {}), **facts}  # older versions had no options
        if "accuracy" not in known:
            raise CheckpointError(
                f"{folder}: this classifier has no accuracy: train_classifier.py did not end; "
                "go on with --resume"
            )
        accuracy, held_out = known["accuracy"], known["held_out"]
        if not 0 <= accuracy <= 1 or type(held_out) is not int:
            raise ValueError(f"its accuracy is {accuracy!r} of {held_out!r} images")
        name = known.get("dataset", {}).get("name") or known["data"]
        return Credentials(float(accuracy), held_out, one_line(name, 60))
