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
from minidiff.nn import Module
from minidiff.optim import Optimizer
from minidiff.training.classification import ClassifierTrainer, losses_of, save_classifier
from minidiff.training.loop import LoopSettings
from minidiff.training.workers import Workers

KIND = "noisy_classifier"


class NoisyClassifierTrainer(ClassifierTrainer):
    """Trains p_phi(y | x_t, t) on x_t ~ q(x_t | x_0).

    Each image has a noise and a time of its own, t ~ Uniform({1, ..., T}).
    """

    kind = KIND

    def __init__(
        self, model: Module, schedule: Schedule, loader: Loader, optimizer: Optimizer,
        rng: RNG, settings: LoopSettings | None = None,
    ):  # fmt: skip
        super().__init__(model, loader, optimizer, rng, settings)
        self.schedule = schedule

    def inputs(self, x_0: Any) -> dict[str, Any]:
        x_0 = to_device(x_0, self.rng.device)
        t, eps = draw_training_noise(x_0, self.schedule, self.rng)
        return {"x": q_sample(x_0, t, eps, self.schedule), "t": t}

    def facts(self) -> dict[str, Any]:
        return {"schedule": self.schedule.config}


def noisy_classifier_steps(
    loader: Loader, optimizer: Optimizer, schedule: Schedule, rng: RNG, epochs: int,
    workers: Workers,
) -> Iterator[float]:  # fmt: skip
    """Train as `classifier_steps` does, on noisy images."""
    trainer = NoisyClassifierTrainer(workers.model, schedule, loader, optimizer, rng)
    return losses_of(trainer, epochs, workers)


def save_noisy_classifier(
    folder: str | os.PathLike[str], model: NoisyClassifier, schedule: Schedule,
    facts: dict[str, Any],
) -> None:  # fmt: skip
    """Write the model, the schedule whose t it knows, and further facts that JSON can hold."""
    save_classifier(folder, model, {"schedule": schedule.config, **facts}, KIND)
