"""The trainer of a diffusion model: Algorithm 1 on the loop that all trainers share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minidiff.beyond.loss_weights import weighted_training_terms
from minidiff.data.loader import Loader
from minidiff.diffusion.losses import draw_training_noise, training_terms
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.step import Step
from minidiff.engine.backend import to_device
from minidiff.engine.checks import nan_for_wrong_indices
from minidiff.engine.elementwise import plain
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn import Module
from minidiff.optim import Optimizer
from minidiff.training.checkpoint import Checkpoint
from minidiff.training.cuda_graph import RecordedTraining
from minidiff.training.ema import EMA
from minidiff.training.loop import LoopSettings, TrainingLoop
from minidiff.training.state import check_number
from minidiff.training.stored import check_arrays
from minidiff.training.times import DISTRIBUTIONS
from minidiff.training.workers import Workers

# (x_0, labels, rng) of a batch -> the x_0 to diffuse, and further arguments of the model
Prepare = Callable[[Any, Any, RNG], tuple[Any, dict[str, Any]]]


def unconditional(x_0: Any, labels: Any, rng: RNG) -> tuple[Any, dict[str, Any]]:
    """Diffuse the images themselves, without a condition."""
    return x_0, {}


def batch_terms(
    model: Any, x_0: Any, t: Any, eps: Any, schedule: Schedule, prediction: str,
    weighting: str | None = None, **condition: Any,
) -> Step:  # fmt: skip
    """Algorithm 1 up to the loss, or its form with weights, or that of flow matching."""
    if weighting is None and prediction != "velocity":
        return training_terms(model, x_0, t, eps, schedule, prediction, **condition)
    how = (prediction, weighting)
    return weighted_training_terms(model, x_0, t, eps, schedule, *how, **condition)


def loss_terms(
    model: Module, x_0: Any, t: Any, eps: Any, schedule: Schedule, prediction: str,
    weighting: str | None = None, **condition: Any,
) -> tuple[Tensor, dict[str, Any]]:  # fmt: skip
    """L_simple over a slice of the batch, or its weighted or flow-matching form.

    -> loss, the terms with one entry per image, as arrays
    """
    with nan_for_wrong_indices():  # a check of the tokens, say, would wait for the GPU at each step
        how = (prediction, weighting)
        step = batch_terms(model, x_0, t, eps, schedule, *how, **condition)
    return step.loss, {name: plain(value) for name, value in step if name != "loss"}


@dataclass(frozen=True)
class TrainerSettings(LoopSettings):
    """Settings of a `Trainer`."""

    ema_decay: float = 0.999  # of the averaged parameters, from which samples are drawn
    prediction: str = "eps"  # what the model returns: "eps", "x_0", "mu_tilde", "v", "velocity"
    weighting: str | None = None  # of the loss over time: "min_snr", "p2" or "edm"
    kind: str = "ddpm"  # of its checkpoints
    times: str = "uniform"  # how t is drawn: "uniform" as in Algorithm 1, or "logit-normal"
    graph: bool = False  # on a GPU, record the step as a CUDA graph and replay it
    early_share: float | None = None  # of the run, after which `Trainer.early` is kept


class Trainer(TrainingLoop):
    """Trains eps_theta, called as model(x_t, t, **condition).

    The error of v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 counts for more where x_t is
    mostly noise. There the shape of the image is decided (slide "Why Predict Noise Instead Of Whole
    Image").

    prepare: makes x_0 and the condition of a batch.
    `early` has the averaged parameters as they were after settings.early_share of the run, to guide
    the later ones (beyond/tilted.py); before, and without that setting, it is None.
    `recorded.recorded.reason` says why a step can't be a CUDA graph, if it can't.
    """

    loss = staticmethod(loss_terms)
    settings: TrainerSettings
    ema: EMA

    def __init__(
        self, model: Module, schedule: Schedule, loader: Loader, optimizer: Optimizer, rng: RNG,
        settings: TrainerSettings | None = None, prepare: Prepare = unconditional,
    ):  # fmt: skip
        settings = settings or TrainerSettings()
        if settings.times not in DISTRIBUTIONS:
            wanted = " or ".join(map(repr, DISTRIBUTIONS))
            raise ValueError(f"Trainer: settings.times must be {wanted}, got {settings.times!r}")
        super().__init__(model, loader, optimizer, rng, settings, EMA(model, settings.ema_decay))
        self.schedule, self.prepare = schedule, prepare
        self.prediction, self.kind = settings.prediction, settings.kind
        self.recorded = RecordedTraining(self) if settings.graph else None
        self.early: dict[str, Any] | None = None
        self.early_step: int | None = None
        self.sample_shape: tuple[int, ...] = loader.images.shape[1:]

    def draw_batch(self) -> dict[str, Any]:
        """Lines 2 to 4 of Algorithm 1."""
        x_0, labels = self.loader.next_batch()  # 2: x_0 ~ q(x_0)
        x_0, condition = self.prepare(to_device(x_0, self.device), labels, self.rng)
        self.sample_shape = x_0.shape[1:]
        # 3, 4: t ~ Uniform({1, ..., T}), eps ~ N(0, I)
        t, eps = draw_training_noise(x_0, self.schedule, self.rng)
        if self.settings.times != "uniform":
            t = DISTRIBUTIONS[self.settings.times](self.schedule, len(t), self.rng)
        return {"x_0": x_0, "t": t, "eps": eps, **condition}

    def learn(self, batch: dict[str, Any], workers: Workers) -> Step:
        """Line 5 of Algorithm 1: take a gradient descent step."""
        if self.recorded is not None:
            step = self.recorded.step(batch, self.dropout_seed())
        else:
            step = super().learn(batch, workers)
        share = self.settings.early_share
        if share is not None and self.early is None and self.progress >= share:
            self.early = {name: array.copy() for name, array in self.ema.average.items()}
            self.early_step = self.step + 1
        return step

    def early_model(self) -> Module | None:
        """A network with the parameters that `early` has, in evaluation mode; None without."""
        if self.early is None:
            return None
        network: Any = type(self.model)
        model = network(self.model.config, RNG(0)).to(self.device)
        model.load_state_dict(self.early)
        return model.eval()

    def loss_options(self) -> dict[str, Any]:
        options = {"schedule": self.schedule, "prediction": self.prediction}
        return options | {"weighting": self.settings.weighting}

    def dropout_seed(self) -> int:
        return int(self.rng.integers(0, 2**62))

    def as_step(self, batch: dict[str, Any], terms: dict[str, Any]) -> Step:
        return Step("train", batch["t"], **terms)

    def facts(self) -> dict[str, Any]:
        facts = {"schedule": self.schedule.config, "prediction": self.prediction}
        return facts | {"weighting": self.settings.weighting}

    def further_facts(self) -> dict[str, Any]:
        facts = {"sample_shape": list(self.sample_shape)}
        return facts if self.early is None else facts | {"early_step": self.early_step}

    def further_arrays(self) -> dict[str, Any]:
        return {f"early.{name}": array for name, array in (self.early or {}).items()}

    def check_further(self, folder: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
        """Raises: CheckpointError if only a part of an early network is there."""
        early, step = checkpoint.part("early"), checkpoint.description.get("early_step")
        if step is None and not early:
            return
        check_number(folder, "early_step", step, whole=True)
        parameters = self.model.state_dict()
        shapes = {name: array.shape for name, array in parameters.items()}
        check_arrays(folder, "early", early, shapes)

    def restore(self, checkpoint: Checkpoint) -> None:
        early = checkpoint.part("early")
        self.early = {name: to_device(a, self.device) for name, a in early.items()} or None
        self.early_step = checkpoint.description.get("early_step")
