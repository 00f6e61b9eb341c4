"""Training of a classifier of noisy images, for classifier guidance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from minidiff.data.loader import Loader
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.losses import draw_training_noise
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.backend import to_device
from minidiff.engine.random import RNG
from minidiff.models import NoisyClassifier
from minidiff.optim import Optimizer
from minidiff.training.classification import classifier_steps, save_classifier
from minidiff.training.workers import Workers

KIND = "noisy_classifier"


def noisy_classifier_steps(
    loader: Loader, optimizer: Optimizer, schedule: Schedule, rng: RNG, epochs: int,
    workers: Workers,
) -> Iterator[float]:  # fmt: skip
    """Train as `classifier_steps` does, on x_t ~ q(x_t | x_0).

    Each image has a noise and a time of its own, t ~ Uniform({1, ..., T}).
    """

    def noisy(x_0: Any, rng: RNG) -> dict[str, Any]:
        x_0 = to_device(x_0, rng.device)
        t, eps = draw_training_noise(x_0, schedule, rng)
        return {"x": q_sample(x_0, t, eps, schedule), "t": t}

    return classifier_steps(loader, optimizer, rng, epochs, workers, noisy)


def save_noisy_classifier(
    folder: str | os.PathLike[str], model: NoisyClassifier, schedule: Schedule,
    facts: dict[str, Any],
) -> None:  # fmt: skip
    """Write the model, the schedule whose t it knows, and further facts that JSON can hold."""
    save_classifier(folder, model, {"schedule": schedule.config, **facts}, KIND)
