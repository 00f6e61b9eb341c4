"""Training of a classifier by cross-entropy, on the loop of all trainers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from minidiff import functional as F
from minidiff.data.loader import Loader
from minidiff.diffusion.step import Step
from minidiff.engine.backend import to_device
from minidiff.engine.checks import nan_for_wrong_indices
from minidiff.engine.elementwise import plain
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn import Module
from minidiff.optim import Optimizer
from minidiff.training.checkpoint import CheckpointError, save_checkpoint
from minidiff.training.divergence import check_parameters
from minidiff.training.loop import LoopSettings, TrainingLoop
from minidiff.training.workers import Workers

KIND = "classifier"


@dataclass(frozen=True)
class ClassifierSettings(LoopSettings):
    """Settings of a `ClassifierTrainer`: cross-entropy needs no warm-up and no bound."""

    lr_warmup: int = 0
    max_norm: float = float("inf")
    final_lr: float = 0.0


def classification_terms(
    model: Module, x: Any, labels: Any, **condition: Any
) -> tuple[Tensor, dict[str, Any]]:
    """The mean cross-entropy of model(x, **condition), and the logits.

    x: (B, ...), labels: (B,), on the host
    """
    device = next(model.parameters()).device
    with nan_for_wrong_indices():  # the Loader has checked the labels
        logits = model(Tensor(x, device=device), **condition)
        loss = F.cross_entropy(logits, to_device(labels, device))
    return loss, {"logits": plain(logits)}


class ClassifierTrainer(TrainingLoop):
    """Trains a classifier on the loader's images and labels.

    The learning rate falls along a cosine, from the first step on.
    """

    kind = KIND
    loss = staticmethod(classification_terms)

    def __init__(
        self, model: Module, loader: Loader, optimizer: Optimizer, rng: RNG,
        settings: LoopSettings | None = None,
    ):  # fmt: skip
        super().__init__(model, loader, optimizer, rng, settings or ClassifierSettings())

    def draw_batch(self) -> dict[str, Any]:
        x_0, labels = self.loader.next_batch()
        return {**self.inputs(x_0), "labels": labels}

    def inputs(self, x_0: Any) -> dict[str, Any]:
        """The arguments of the model, with one entry per image. Here: the images as they are."""
        return {"x": x_0}

    def dropout_seed(self) -> int:
        return int(self.rng.integers(0, 2**62))

    def further_facts(self) -> dict[str, Any]:
        return {"progress": self.progress}  # whoever loads it asks whether the run is finished

    def as_step(self, batch: dict[str, Any], terms: dict[str, Any]) -> Step:
        shown = {name: value for name, value in batch.items() if name != "t"}
        return Step("classify", batch.get("t", 0), **shown, **terms)  # t = 0: clean images


def losses_of(trainer: ClassifierTrainer, epochs: int, workers: Workers) -> Iterator[float]:
    """Train for so many epochs, and yield the loss of each batch."""
    total = epochs * len(trainer.loader)
    workers.model.train()
    steps = trainer.steps(workers)
    while trainer.step < total:
        trainer.progress = trainer.step / total
        yield float(next(steps).loss)
    trainer.progress = 1.0


def classifier_steps(
    loader: Loader, optimizer: Optimizer, rng: RNG, epochs: int, workers: Workers
) -> Iterator[float]:
    """Minimise the cross-entropy of the workers' model, and yield the loss of each batch.

    It is a `ClassifierTrainer` without a run around it.

    Raises: DivergenceError at the first loss that is not finite, before it moves the parameters.
    """
    trainer = ClassifierTrainer(workers.model, loader, optimizer, rng)
    return losses_of(trainer, epochs, workers)


def check_finished(folder: str | os.PathLike[str], facts: dict[str, Any]) -> None:
    """Refuse a classifier whose training was interrupted: nobody should be judged by it.

    facts: of its checkpoint. A checkpoint of `save_classifier` has no progress, and is finished.

    Raises: CheckpointError
    """
    progress = facts.get("progress", 1)
    if not isinstance(progress, (int, float)) or not progress >= 1:
        raise CheckpointError(
            f"{folder}: the training of this classifier did not end: go on with --resume"
        )


def save_classifier(
    folder: str | os.PathLike[str], model: Module, facts: dict[str, Any], kind: str = KIND
) -> None:
    """Write a trained classifier without the state of its training, and further facts.

    Raises: DivergenceError if one of its parameters is not finite; nothing is written then.
    """
    check_parameters(model)
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
    save_checkpoint(folder, kind, {"model": asdict(model.config), **facts}, arrays)
