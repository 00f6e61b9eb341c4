"""The training loop: Algorithm 1, with everything that a run must remember to be continued exactly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minidiff.data.loader import Loader
from minidiff.diffusion.elementwise import plain
from minidiff.diffusion.losses import draw_training_noise, training_terms
from minidiff.diffusion.schedule import Schedule, make_schedule
from minidiff.diffusion.step import Step
from minidiff.engine.backend import array_module, to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.functional.checks import nan_for_wrong_indices
from minidiff.nn import Module
from minidiff.optim import Optimizer, clip_gradients, cosine_decay, warmup
from minidiff.training.checkpoint import checkpoint_in, load_checkpoint, save_checkpoint
from minidiff.training.cuda_graph import RecordedTraining
from minidiff.training.ema import EMA
from minidiff.training.state import check_same_run, pack_optimizer, unpack_optimizer
from minidiff.training.workers import Workers

# (x_0, labels, rng) of a batch -> the x_0 to diffuse and further arguments of the model, one entry per image
Prepare = Callable[[Any, Any, RNG], tuple[Any, dict[str, Any]]]


def unconditional(x_0: Any, labels: Any, rng: RNG) -> tuple[Any, dict[str, Any]]:
    """Diffuse the images themselves; the labels are not used."""
    return x_0, {}


def loss_terms(
    model: Module, x_0: Any, t: Any, eps: Any, schedule: Schedule, prediction: str, **condition: Any
) -> tuple[Tensor, dict[str, Any]]:
    """L_simple over a slice of the batch.    -> loss, the terms with one entry per image, as arrays."""
    with nan_for_wrong_indices():  # of tokens, say: to check them, each step would wait for the GPU
        step = training_terms(model, x_0, t, eps, schedule, prediction, **condition)
    return step.loss, {name: plain(value) for name, value in step if name != "loss"}


class Trainer:
    """Trains eps_theta.    kind: what its checkpoints are called.

    prediction: what the model returns: "eps", the algorithm's; "x_0" or "v" = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0, whose error
    counts for more where x_t is mostly noise: there the shape of the image is decided (slide "Why Predict Noise Instead Of Whole Image").
    model: called as model(x_t, t, **condition); prepare: makes x_0 and the condition of a batch; lr_warmup: steps over which the learning
    rate rises; max_norm: bound for the norm of the gradient.    `step` counts the steps done, `losses` has the loss of each. `progress`, in
    0..1, is set by whoever knows when the run ends (run.py): the learning rate falls along a cosine as it grows.
    graph: on a GPU, record the step as a CUDA graph (cuda_graph.py) and replay it; `recorded.recorded.reason` says why if it cannot be.
    """

    def __init__(
        self, model: Module, schedule: Schedule, loader: Loader, optimizer: Optimizer, rng: RNG, *, ema_decay: float = 0.999,
        prediction: str = "eps", prepare: Prepare = unconditional, lr_warmup: int = 100, max_norm: float = 1.0, kind: str = "ddpm",
        graph: bool = False,
    ):  # fmt: skip
        self.model, self.schedule, self.loader, self.optimizer, self.rng = (
            model,
            schedule,
            loader,
            optimizer,
            rng,
        )
        self.ema = EMA(model, ema_decay)
        self.prediction = prediction
        self.prepare, self.lr_warmup, self.max_norm, self.kind = prepare, lr_warmup, max_norm, kind
        self.lr = optimizer.lr
        self.device = next(model.parameters()).device
        self.recorded = RecordedTraining(self) if graph else None
        self.sample_shape: tuple[int, ...] = loader.images.shape[1:]
        self.step = 0
        self.progress = 0.0
        self.seconds = 0.0
        self._losses: list[Any] = []

    def steps(self, workers: Workers) -> Iterator[Step]:
        """Algorithm 1, one `Step` with every term per turn, for as long as the caller asks for more."""
        while True:  # 1: repeat
            x_0, labels = self.loader.next_batch()  # 2:   x_0 ~ q(x_0)
            x_0 = to_device(x_0, self.device)
            x_0, condition = self.prepare(x_0, labels, self.rng)
            self.sample_shape = x_0.shape[1:]
            t, eps = draw_training_noise(
                x_0, self.schedule, self.rng
            )  # 3, 4: t ~ Uniform({1, ..., T}), eps ~ N(0, I)
            self.optimizer.lr = (
                self.lr
                * warmup(self.step, self.lr_warmup)
                * cosine_decay(self.progress, final=0.02)
            )
            self.optimizer.begin_step()
            self.ema.begin_update()
            step = self.learn(x_0, t, eps, condition, workers)  # 5:   take gradient descent step
            self.step += 1
            self._losses.append(step.loss)
            yield step  # 6: until the caller has enough

    def learn(
        self, x_0: Any, t: Any, eps: Any, condition: dict[str, Any], workers: Workers
    ) -> Step:
        """Line 5 of Algorithm 1: the parameters move along the gradient, the average follows.    -> Step, with the gradient's norm."""
        seed = int(self.rng.integers(0, 2**62))  # for layers that drop out
        if self.recorded is not None:
            return self.recorded.step(x_0, t, eps, condition, seed)
        step, gradients = self.gradients(x_0, t, eps, condition, workers, seed)
        clipped, step.terms["gradient_norm"] = clip_gradients(gradients, self.max_norm)
        self.optimizer.apply(clipped)
        self.ema.apply(self.model)
        return step

    def gradients(
        self, x_0: Any, t: Any, eps: Any, condition: dict[str, Any], workers: Workers, seed: int
    ) -> tuple[Step, dict[str, Any]]:
        """The terms of line 5 and the gradient of the loss, computed by slices of the batch.    -> Step, {parameter name: array}."""
        arrays = {"x_0": x_0, "t": t, "eps": eps, **condition}
        loss, gradients, parts = workers.loss_and_gradients(
            loss_terms, arrays, seed, schedule=self.schedule, prediction=self.prediction
        )
        terms = (
            parts[0]
            if len(parts) == 1
            else {n: array_module(x_0).concatenate([part[n] for part in parts]) for n in parts[0]}
        )
        return Step("train", t, **terms, loss=loss), gradients

    @property
    def losses(self) -> np.ndarray:
        """L_simple of each step so far, float32 (steps,). Reading it waits for the device; the loop itself never does."""
        new = [loss for loss in self._losses if not isinstance(loss, float)]
        if new:  # one transfer for all
            self._losses[-len(new) :] = to_cpu(array_module(*new).stack(new)).tolist()
        return np.asarray(self._losses, dtype=np.float32)

    # -- checkpoints -----------------------------------------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str], options: dict[str, Any] | None = None) -> None:
        """Write everything that a continued run needs. options: further JSON-able facts, given back by `load_checkpoint`."""
        arrays = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        arrays |= {f"ema.{name}": array for name, array in self.ema.average.items()}
        arrays |= pack_optimizer(self.optimizer)
        arrays["losses"] = self.losses
        description = {
            "step": self.step, "seconds": self.seconds, "sample_shape": list(self.sample_shape),
            "model": self.model.config, "schedule": self.schedule.config, "prediction": self.prediction,
            "optimizer": {"name": type(self.optimizer).__name__, "steps": self.optimizer.steps, "lr": self.lr},
            "ema": {"decay": self.ema.decay, "updates": self.ema.updates},
            "rng": self.rng.state(), "loader": self.loader.state(), "options": options or {},
        }  # fmt: skip
        save_checkpoint(folder, self.kind, description, arrays)

    def load(self, folder: str | os.PathLike[str]) -> None:
        """Continue where `save` left off.    Raises CheckpointError if it is of another kind, model, schedule or optimiser."""
        checkpoint = load_checkpoint(folder, self.kind)
        facts = checkpoint.description
        own = {
            "model": self.model.config,
            "schedule": self.schedule.config,
            "prediction": self.prediction,
        }
        check_same_run(folder, checkpoint, self.optimizer, **own)
        self.loader.set_state(facts["loader"])
        self.model.load_state_dict(checkpoint.part("model"))
        for name, array in checkpoint.part("ema").items():
            self.ema.average[name] = to_device(array, self.device)
        unpack_optimizer(self.optimizer, checkpoint)
        self.lr = facts["optimizer"]["lr"]
        self.ema.decay, self.ema.updates = facts["ema"]["decay"], facts["ema"]["updates"]
        self.rng.set_state(facts["rng"])
        self.step, self.seconds = facts["step"], facts["seconds"]
        self._losses = [float(loss) for loss in checkpoint.arrays["losses"]]


class Denoiser(NamedTuple):
    """What samples are drawn with: a model with its averaged (EMA) parameters, what it predicts, its schedule, the shape (C, H, W) of a
    sample, the facts of the checkpoint (`trainer.save`'s options among them)."""

    model: Any
    prediction: str
    schedule: Schedule
    sample_shape: tuple[int, ...]
    facts: dict[str, Any]


def load_denoiser(
    folder: str | os.PathLike[str],
    model_class: type[Module],
    kind: str = "ddpm",
    device: str = "cpu",
) -> Denoiser:
    """What `Trainer.save` wrote, ready for sampling.    folder: of the run, or of its checkpoint.

    Raises CheckpointError if it is of another kind.
    """
    checkpoint = load_checkpoint(checkpoint_in(folder), kind)
    facts = checkpoint.description
    model: Any = model_class(**facts["model"])
    model.load_state_dict(checkpoint.part("ema"))
    schedule = make_schedule(**facts["schedule"])
    return Denoiser(
        model.to(device).eval(), facts["prediction"], schedule, tuple(facts["sample_shape"]), facts
    )
