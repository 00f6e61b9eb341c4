"""Training of a classifier by cross-entropy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from minidiff import functional as F
from minidiff.data.loader import Loader
from minidiff.engine.backend import to_device
from minidiff.engine.checks import nan_for_wrong_indices
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn import Module
from minidiff.optim import Optimizer, cosine_decay
from minidiff.training.checkpoint import save_checkpoint
from minidiff.training.divergence import check_loss, check_parameters
from minidiff.training.workers import Workers

# (x_0, rng) of a batch -> the arguments of the model, "x" and others with one entry per image
Inputs = Callable[[Any, RNG], dict[str, Any]]


def clean(x_0: Any, rng: RNG) -> dict[str, Any]:
    """The images as they are."""
    return {"x": x_0}


def classifier_steps(
    loader: Loader, optimizer: Optimizer, rng: RNG, epochs: int, workers: Workers,
    inputs: Inputs = clean,
) -> Iterator[float]:  # fmt: skip
    """Minimise the cross-entropy of the workers' model, and yield the loss of each batch.

    The learning rate falls along a cosine.

    Raises: DivergenceError at the first loss that is not finite, before it moves the parameters.
    """
    lr, total = optimizer.lr, epochs * len(loader)
    workers.model.train()
    for step in range(total):
        x_0, labels = loader.next_batch()
        arrays = {**inputs(x_0, rng), "labels": labels}
        seed = int(rng.integers(0, 2**62))  # for dropout
        loss, gradients, _ = workers.loss_and_gradients(classification_loss, arrays, seed)
        value = float(loss)
        check_loss(value, step + 1)
        optimizer.lr = lr * cosine_decay(step / total)
        optimizer.step(gradients)
        yield value


def classification_loss(
    model: Module, x: Any, labels: Any, **condition: Any
) -> tuple[Tensor, None]:
    """The mean cross-entropy of model(x, **condition).    x: (B, ...), labels: (B,), on the host"""
    device = next(model.parameters()).device
    with nan_for_wrong_indices():  # the Loader has checked the labels
        logits = model(Tensor(x, device=device), **condition)
        return F.cross_entropy(logits, to_device(labels, device)), None


def save_classifier(
    folder: str | os.PathLike[str], model: Module, facts: dict[str, Any], kind: str = "classifier"
) -> None:
    """Write a trained classifier, and further facts that JSON can hold.

    Raises: DivergenceError if one of its parameters is not finite; nothing is written then.
    """
    check_parameters(model)
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
    save_checkpoint(folder, kind, {"model": asdict(model.config), **facts}, arrays)
