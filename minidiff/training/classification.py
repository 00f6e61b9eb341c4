"""Training a classifier, and asking it: what share it gets right, what it sees in an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minidiff import functional as F
from minidiff.data.loader import Loader
from minidiff.engine.backend import to_device
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.functional.checks import nan_for_wrong_indices
from minidiff.models import Classifier
from minidiff.nn import Module
from minidiff.optim import Optimizer, cosine_decay
from minidiff.sampling.predictor import evaluating
from minidiff.training.checkpoint import load_checkpoint
from minidiff.training.workers import Workers


class Judgement(NamedTuple):
    """probabilities: (N, n_classes), features: (N, n_features)."""

    probabilities: np.ndarray
    features: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The most probable class of each image."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """The probability of that class."""
        return self.probabilities.max(axis=1)


# (x_0, rng) of a batch -> what the model is called with: "x" and further arguments, one entry per image
Inputs = Callable[[Any, RNG], dict[str, Any]]


def clean(x_0: Any, rng: RNG) -> dict[str, Any]:
    """The images as they are."""
    return {"x": x_0}


def classifier_steps(
    loader: Loader,
    optimizer: Optimizer,
    rng: RNG,
    epochs: int,
    workers: Workers,
    inputs: Inputs = clean,
) -> Iterator[float]:
    """Minimise the cross-entropy of the workers' model, the learning rate falling along a cosine; yields the loss of each batch."""
    lr, total = optimizer.lr, epochs * len(loader)
    workers.model.train()
    for step in range(total):
        x_0, labels = loader.next_batch()
        arrays = {**inputs(x_0, rng), "labels": labels}
        seed = int(rng.integers(0, 2**62))  # for dropout
        loss, gradients, _ = workers.loss_and_gradients(classification_loss, arrays, seed)
        optimizer.lr = lr * cosine_decay(step / total)
        optimizer.step(gradients)
        yield float(loss)


def classification_loss(
    model: Module, x: Any, labels: Any, **condition: Any
) -> tuple[Tensor, None]:
    """The mean cross-entropy of model(x, **condition).    x: (B, ...), labels: (B,), from the host."""
    device = next(model.parameters()).device
    with nan_for_wrong_indices():  # the Loader has checked the labels
        return F.cross_entropy(
            model(Tensor(x, device=device), **condition), to_device(labels, device)
        ), None


def judge(workers: Workers, x: Any, chunk: int = 250) -> Judgement:
    """What the workers' model, a Classifier, says about images.    x: (N, C, H, W) float32 in [-1, 1]."""
    with evaluating(workers.model):
        parts = workers.map(_judge, {"x": x}, chunk=chunk)
    return Judgement(np.concatenate([p for p, _ in parts]), np.concatenate([f for _, f in parts]))


def _judge(model: Classifier, x: Any, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    probabilities, features = [], []
    device = next(model.parameters()).device
    with no_grad():
        for start in range(0, len(x), chunk):
            of_chunk = model.features(Tensor(x[start : start + chunk], device=device))
            probabilities.append(F.softmax(model.lin2(of_chunk)).numpy())
            features.append(of_chunk.numpy())
    return np.concatenate(probabilities), np.concatenate(features)


def load_classifier(folder: Any, make: Callable[..., Classifier] = Classifier) -> Classifier:
    """The classifier of a checkpoint, in evaluation mode.    Raises CheckpointError if it is of another kind."""
    checkpoint = load_checkpoint(folder, "classifier")
    model = make(**checkpoint.description["model"])
    model.load_state_dict(checkpoint.part("model"))
    model.eval()
    return model
