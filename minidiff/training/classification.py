"""Training a classifier, and asking it: what share it gets right, what it sees in an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minidiff import functional as F
from minidiff.data.loader import Loader
from minidiff.models import Classifier
from minidiff.optim import Optimizer, cosine_decay
from minidiff.random import RNG, layers_draw_from
from minidiff.tape import no_grad
from minidiff.tensor import Tensor
from minidiff.training.checkpoint import load_checkpoint
from minidiff.training.parallel import Workers, evaluating, loss_and_gradients


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


def classifier_steps(model: Classifier, loader: Loader, optimizer: Optimizer, rng: RNG, epochs: int, workers: Workers) -> Iterator[float]:
    """Minimise the cross-entropy, with the learning rate falling along a cosine; yields the loss of each batch."""
    lr, total = optimizer.lr, epochs * len(loader)
    model.train()
    for step in range(total):
        x, labels = loader.next_batch()
        seed = int(rng.integers(0, 2**62))

        def loss_of(part: slice, x=x, labels=labels, seed=seed) -> tuple[Tensor, None]:
            with layers_draw_from(RNG(seed + part.start)):
                return F.cross_entropy(model(x[part]), labels[part]), None

        loss, gradients, _ = loss_and_gradients(workers, loss_of, optimizer.parameters, len(x))
        optimizer.lr = lr * cosine_decay(step / total)
        optimizer.step(gradients)
        yield float(loss)


def judge(model: Classifier, x: Any, workers: Workers, chunk: int = 250) -> Judgement:
    """What the classifier says about images.    x: (N, C, H, W) float32 in [-1, 1]."""

    def run(part: slice) -> list[tuple[Any, Any]]:
        results = []
        with no_grad():
            for start in range(part.start, part.stop, chunk):
                features = model.features(Tensor(x[start : min(start + chunk, part.stop)]))
                results.append((F.softmax(model.lin2(features)).numpy(), features.numpy()))
        return results

    with evaluating(model):
        results = [pair for part in workers.map(run, len(x)) for pair in part]
    return Judgement(np.concatenate([p for p, _ in results]), np.concatenate([f for _, f in results]))


def load_classifier(folder: Any, make: Callable[..., Classifier] = Classifier) -> Classifier:
    """The classifier of a checkpoint, in evaluation mode.    Raises CheckpointError if it is of another kind."""
    checkpoint = load_checkpoint(folder, "classifier")
    model = make(**checkpoint.description["model"])
    model.load_state_dict(checkpoint.part("model"))
    model.eval()
    return model
