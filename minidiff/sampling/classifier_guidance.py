"""A trained classifier of noisy images, and its gradient, which leads a sampler to a class."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from minidiff import functional as F
from minidiff.diffusion.guidance import gradient_of_classifier
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.backend import array_module, device_of, to_device
from minidiff.engine.tensor import Tensor
from minidiff.models import NoisyClassifier
from minidiff.training.checkpoint import (
    CheckpointError,
    checkpoint_in,
    load_checkpoint,
    one_line,
    understood,
)
from minidiff.training.classification import check_finished
from minidiff.training.noisy_classification import KIND
from minidiff.training.stored import stored_network
from minidiff.training.workers import Workers


def log_probability(model: Callable[..., Any], x_t: Any, t: Any) -> Tensor:
    """log p_phi(y | x_t) for every class.    x_t: (B, ...), t: (B,) -> (B, n_classes)."""
    return F.log_softmax(model(x_t, t), axis=1)


def class_gradient(workers: Workers, y: Any) -> Callable[[Any, Any], Any]:
    """gradient(x_t, t) = grad log p_phi(y | x_t) for a sampler. The workers share the batch.

    y: (B,) ints, one per image, on any device.
    """

    def gradient(x_t: Any, t: Any) -> Any:
        if len(y) != len(x_t):
            raise ValueError(
                f"class_gradient: y must hold one class per image, "
                f"got {len(y)} for x_t of shape {tuple(x_t.shape)}"
            )
        parts = workers.map(_class_gradient, {"x": x_t, "t": t, "y": y})
        return parts[0] if len(parts) == 1 else array_module(x_t).concatenate(parts)

    return gradient


def _class_gradient(model: NoisyClassifier, x: Any, t: Any, y: Any) -> Any:
    y = to_device(y, device_of(x))
    return gradient_of_classifier(lambda x_t, t: log_probability(model, x_t, t), y)(x, t)


def load_noisy_classifier(
    folder: str | os.PathLike[str], schedule: Schedule, device: str = "cpu"
) -> NoisyClassifier:
    """Read what `NoisyClassifierTrainer` or `save_noisy_classifier` wrote, in evaluation mode.

    folder: of the run, or of its checkpoint. schedule: the denoiser's, by which samples will be
    drawn.

    Raises: CheckpointError if it is of another kind or of a run that did not end, or was trained
    with another schedule: a t would then mean another noise.
    """
    checkpoint = load_checkpoint(checkpoint_in(folder), KIND)
    with understood(folder):
        own = checkpoint.description["schedule"]
    check_finished(folder, checkpoint.description)
    if own != schedule.config:
        raise CheckpointError(
            f"{folder}: its schedule is {one_line(own)}, the denoiser's is {schedule.config}"
        )
    model: NoisyClassifier = stored_network(folder, checkpoint, NoisyClassifier)
    model.to(device)
    return model
