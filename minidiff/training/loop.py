"""The training loop that all trainers share: batch, loss, gradient, update, average, checkpoint.

A trainer says what a batch is, what its loss is, and what else its checkpoints must remember.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minidiff.data.identity import Identity
from minidiff.data.loader import Loader
from minidiff.diffusion.step import Step
from minidiff.engine.backend import array_module, to_cpu
from minidiff.engine.random import RNG
from minidiff.nn import Module
from minidiff.optim import Optimizer, clip_gradients, cosine_decay, warmup
from minidiff.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    understood,
)
from minidiff.training.divergence import (
    check_gradient,
    check_loss,
    check_losses,
    check_parameters,
)  # fmt: skip
from minidiff.training.ema import EMA
from minidiff.training.json_values import json_value
from minidiff.training.state import (
    check_same_config,
    check_same_dataset,
    check_same_run,
    check_state,
    pack_optimizer,
    unpack_optimizer,
)
from minidiff.training.workers import WorkerLost, Workers, joined


@dataclass(frozen=True)
class LoopSettings:
    """Settings of every training loop."""

    lr_warmup: int = 100  # steps over which the learning rate rises
    max_norm: float = 1.0  # bound for the norm of the gradient
    final_lr: float = 0.02  # of the highest learning rate, at the end of the run
    dataset: Identity | None = None  # Dataset.identity(); a checkpoint of another one is refused


class TrainingLoop:
    """Trains a model for as long as the caller asks for more steps.

    `step` counts the steps done, `losses` has the loss of each, `seconds` is the time they took.
    `progress`, in 0..1, is set by whoever knows when the run ends (run.py). The learning rate falls
    along a cosine as it grows.
    """

    kind: str  # the kind of its checkpoints
    needs_whole_batch = False  # whether `after_update` must see every image: no ranks then
    loss: Callable[..., Any]  # (model, **batch, **loss_options) -> loss, other terms as arrays

    def __init__(
        self, model: Module, loader: Loader, optimizer: Optimizer, rng: RNG, settings: LoopSettings,
        ema: EMA | None = None,
    ):  # fmt: skip
        self.model, self.loader, self.optimizer, self.rng = model, loader, optimizer, rng
        self.settings, self.ema = settings, ema
        self.lr = optimizer.lr
        self.device = next(model.parameters()).device
        self.step = 0
        self.progress = self.seconds = 0.0
        self.gradient_norm: Any = float("nan")  # of the last step, on its device
        self._losses: list[Any] = []
        self._checked = 0  # losses that are known to be finite

    # -- a trainer says: ---------------------------------------------------------------------------

    def draw_batch(self) -> dict[str, Any]:
        """The arguments of `loss` with one entry per image, drawn for one step."""
        raise TypeError(f"{type(self).__name__} has no draw_batch()")

    def loss_options(self) -> dict[str, Any]:
        """The other arguments of `loss`."""
        return {}

    def dropout_seed(self) -> int:
        """The seed of one step for layers that drop out."""
        return 0

    def as_step(self, batch: dict[str, Any], terms: dict[str, Any]) -> Step:
        """The terms of a step under the name of the algorithm."""
        raise TypeError(f"{type(self).__name__} has no as_step()")

    def after_update(self, step: Step) -> None:
        """Work that follows the update of the parameters. By default there is none."""

    def facts(self) -> dict[str, Any]:
        """Facts that two runs must share if one goes on with the other's checkpoint."""
        return {}

    def further_facts(self) -> dict[str, Any]:
        """Facts that a checkpoint needs beside these."""
        return {}

    def further_arrays(self) -> dict[str, Any]:
        """Arrays that a checkpoint needs beside parameters, optimiser, average and losses."""
        return {}

    def further_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """{name: shape} of `further_arrays`, None for any length. `load` checks them."""
        return {}

    def check_further(self, folder: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
        """Refuse further arrays that only some checkpoints have.    folder: for the messages"""

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on with what `further_facts` and `further_arrays` gave."""

    # -- the loop ----------------------------------------------------------------------------------

    def steps(self, workers: Workers) -> Iterator[Step]:
        """Train, and yield one `Step` with every term of each step."""
        self.description()  # refuses now what could not be saved later
        workers.begin(self)
        while True:
            before = self.rng.state(), self.loader.state(), self.optimizer.steps
            batch = self.draw_batch()
            rise = warmup(self.step, self.settings.lr_warmup)
            fall = cosine_decay(self.progress, self.settings.final_lr)
            self.optimizer.lr = self.lr * rise * fall
            self.optimizer.begin_step()
            if self.ema is not None:
                self.ema.begin_update()
            try:
                step = self.learn(batch, workers)
            except WorkerLost:  # another rank, before anything was applied
                self.undraw(*before)
                raise
            self.step += 1
            self._losses.append(step.loss)
            self.gradient_norm = step.gradient_norm
            yield step

    def undraw(self, rng: dict[str, Any], loader: dict[str, int], steps: int) -> None:
        """Be again where the step began, so that a checkpoint can be written."""
        self.rng.set_state(rng)
        self.loader.set_state(loader)
        self.optimizer.steps = steps
        if self.ema is not None:
            self.ema.updates -= 1

    def learn(self, batch: dict[str, Any], workers: Workers) -> Step:
        """Move the parameters along the gradient of the loss. The average follows.

        Raises: DivergenceError if the loss or the gradient is not finite. On a GPU, only
        `check_finite` looks.
        """
        step, gradients = self.gradients(batch, workers)
        on_cpu = self.device == "cpu"  # a GPU would be waited for: see check_finite
        if on_cpu:
            check_loss(step.loss, self.step + 1)
        clipped, step.terms["gradient_norm"] = clip_gradients(gradients, self.settings.max_norm)
        if on_cpu:
            check_gradient(step.gradient_norm, self.step + 1)
        self.optimizer.apply(clipped)
        if self.ema is not None:
            self.ema.apply(self.model)
        self.after_update(step)
        return step

    def gradients(self, batch: dict[str, Any], workers: Workers) -> tuple[Step, dict[str, Any]]:
        """The terms of the loss and its gradient.    -> Step, {parameter name: array}

        The workers share the batch.
        """
        loss, gradients, parts = workers.loss_and_gradients(
            type(self).loss, batch, self.dropout_seed(), **self.loss_options()
        )
        size = len(next(iter(batch.values())))
        step = self.as_step(workers.own(batch), joined(parts, size))
        step.terms["loss"] = loss
        return step, gradients

    @property
    def losses(self) -> np.ndarray:
        """The loss of each step so far, float32 (steps,).

        Reading it waits for the device. The loop itself never does.
        """
        new = [loss for loss in self._losses if not isinstance(loss, float)]
        if new:  # one transfer for all
            self._losses[-len(new) :] = to_cpu(array_module(*new).stack(new)).tolist()
        return np.asarray(self._losses, dtype=np.float32)

    def check_finite(self) -> None:
        """Look at all losses so far and at the parameters, which waits for the device.

        Raises: DivergenceError if one is not finite.
        """
        self.check_losses()
        check_parameters(self.model)

    def check_losses(self) -> None:
        """The same without the parameters. Each loss is looked at once."""
        losses = self.losses
        check_losses(losses[self._checked :], self._checked + 1)
        self._checked = len(losses)

    # -- checkpoints -------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str], options: dict[str, Any] | None = None) -> None:
        """Write everything that a continued run needs.

        options: further facts that JSON can hold, which `load_checkpoint` gives back.

        Raises: DivergenceError if a loss or a parameter is not finite; nothing is written then.
        """
        self.check_finite()
        arrays = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        arrays |= pack_optimizer(self.optimizer)
        arrays["losses"] = self.losses
        if self.ema is not None:
            arrays |= {f"ema.{name}": array for name, array in self.ema.average.items()}
        description = self.description(options)
        save_checkpoint(folder, self.kind, description, arrays | self.further_arrays())

    def description(self, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """What `save` says in words and numbers. Call it before a run to check the options.

        Raises: TypeError, which names what a checkpoint can't hold.
        """
        optimizer = self.optimizer
        without = [name for name in optimizer.parameters if name not in optimizer.state]
        description = {
            "step": self.step, "seconds": self.seconds, "model": asdict(self.model.config),
            "optimizer": {
                "name": type(optimizer).__name__, "steps": optimizer.steps, "lr": self.lr,
                "without_state": without if optimizer.steps else [],
                "skipped": optimizer.skipped,
            },
            "rng": self.rng.state(), "loader": self.loader.state(), "options": options or {},
            **{name: fact for name, fact in self.facts().items() if fact is not None},
            **self.further_facts(),
        }  # fmt: skip
        if self.ema is not None:
            description["ema"] = {"decay": self.ema.decay, "updates": self.ema.updates}
        if self.settings.dataset is not None:
            description["dataset"] = self.settings.dataset
        return {name: json_value(name, value) for name, value in description.items()}

    def load(self, folder: str | os.PathLike[str]) -> None:
        """Continue where `save` left off.

        Nothing changes if it can't.

        Raises: CheckpointError if the checkpoint is of another kind, data set, model or optimiser,
        if it is damaged, or if something is missing.
        """
        checkpoint = load_checkpoint(folder, self.kind)
        facts = checkpoint.description
        with understood(folder):
            check_same_dataset(folder, checkpoint, self.settings.dataset)
            check_same_run(folder, checkpoint, self.optimizer, **self.facts())
            check_same_config(folder, checkpoint, self.model)
            check_state(folder, checkpoint, self)
            self.check_further(folder, checkpoint)
        self.loader.set_state(facts["loader"])
        self.model.load_state_dict(checkpoint.part("model"))
        unpack_optimizer(self.optimizer, checkpoint)
        self.lr = facts["optimizer"]["lr"]
        if self.ema is not None:
            self.ema.restore(checkpoint.part("ema"), **facts["ema"])
        self.rng.set_state(facts["rng"])
        self.step, self.seconds = facts["step"], facts["seconds"]
        self._checked = 0
        self._losses = [float(loss) for loss in checkpoint.arrays["losses"]]
        self.restore(checkpoint)
