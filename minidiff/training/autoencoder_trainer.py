"""The trainer of an autoencoder: phase 1 of latent diffusion on the loop of all trainers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidiff.data.loader import Loader
from minidiff.diffusion.latent import perplexity
from minidiff.diffusion.step import Step
from minidiff.engine.backend import array_module, to_cpu, to_device
from minidiff.engine.checks import nan_for_wrong_indices
from minidiff.engine.elementwise import plain
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.models.autoencoder import Autoencoder, VQAutoencoder
from minidiff.optim import Optimizer
from minidiff.training.checkpoint import Checkpoint
from minidiff.training.codebook import CodebookKeeper
from minidiff.training.loop import LoopSettings, TrainingLoop

KIND = "autoencoder"
RESTARTS_UNTIL = 0.8  # of the run: the decoder needs time to learn what the last new codes mean


def autoencoder_terms(model: Autoencoder, x: Any, eps: Any) -> tuple[Tensor, dict[str, Any]]:
    """The loss over a slice of the batch, and the other terms of the step as arrays."""
    with nan_for_wrong_indices():  # the codes come from argmin, and a check would wait for the GPU
        step = model.terms(Tensor(x), eps)
    return step.loss, {name: plain(value) for name, value in step if name not in ("loss", "x", "e")}


class AutoencoderTrainer(TrainingLoop):
    """Trains an autoencoder on the loader's images, (N, C, H, W).

    keeper: looks after the codebook; by default one with its own default settings, or None for an
    autoencoder without a codebook. `perplexities` has the perplexity of the codes of each batch.
    """

    kind = KIND
    loss = staticmethod(autoencoder_terms)
    model: Autoencoder

    def __init__(
        self, model: Autoencoder, loader: Loader, optimizer: Optimizer, rng: RNG,
        settings: LoopSettings | None = None, keeper: CodebookKeeper | None = None,
    ):  # fmt: skip
        super().__init__(model, loader, optimizer, rng, settings or LoopSettings())
        self.latent_shape = model.latent_shape(*loader.images.shape[2:])
        if keeper is None and isinstance(model, VQAutoencoder):
            keeper = CodebookKeeper(model.quantizer)
        self.keeper = keeper
        self.needs_whole_batch = keeper is not None
        self._perplexities: list[Any] = []

    def draw_batch(self) -> dict[str, Any]:
        x = to_device(self.loader.next_batch()[0], self.device)
        eps = self.rng.normal((len(x), *self.latent_shape))
        if self.keeper and self.step == 0:
            with no_grad():
                z_e = plain(self.model.encode(Tensor(x)))
            self.keeper.start(z_e.transpose(0, 2, 3, 1).reshape(-1, z_e.shape[1]), self.rng)
        return {"x": x, "eps": eps}

    def as_step(self, batch: dict[str, Any], terms: dict[str, Any]) -> Step:
        return Step(self.model.regularizer, self.step + 1, x=batch["x"], **terms)

    def after_update(self, step: Step) -> None:
        """Move the codes that follow no gradient."""
        if self.keeper:
            restart = self.progress < RESTARTS_UNTIL
            self.keeper.update(step.z_e, step.k, self.rng, restart=restart)
            self._perplexities.append(perplexity(step.k, self.keeper.quantizer.n_codes))

    @property
    def perplexities(self) -> list[float]:
        """Reading them waits for a GPU, which a step does not."""
        new = [value for value in self._perplexities if not isinstance(value, float)]
        if new:
            self._perplexities[-len(new) :] = to_cpu(array_module(*new).stack(new)).tolist()
        return list(self._perplexities)

    def facts(self) -> dict[str, Any]:
        return {"regularizer": self.model.regularizer}

    def further_facts(self) -> dict[str, Any]:
        image_shape = self.loader.images.shape[1:]
        return {"image_shape": list(image_shape), "latent_shape": list(self.latent_shape)}

    def further_arrays(self) -> dict[str, Any]:
        arrays = {"perplexities": np.asarray(self.perplexities, np.float32)}
        if self.keeper:
            arrays |= {f"keeper.{name}": array for name, array in self.keeper.state().items()}
        return arrays

    def further_shapes(self) -> dict[str, tuple[int | None, ...]]:
        shapes: dict[str, tuple[int | None, ...]] = {"perplexities": (None,)}
        if self.keeper:
            shapes |= {f"keeper.{name}": a.shape for name, a in self.keeper.state().items()}
        return shapes

    def restore(self, checkpoint: Checkpoint) -> None:
        if self.keeper:
            self.keeper.set_state(checkpoint.part("keeper"))
        self._perplexities = [float(value) for value in checkpoint.arrays["perplexities"]]
