"""Phase 1 of latent diffusion: training an autoencoder, measuring it, and handing its latents to phase 2."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidiff.data.dataset import Dataset
from minidiff.data.loader import Loader
from minidiff.data.scaling import to_float, to_unit
from minidiff.diffusion.elementwise import plain
from minidiff.diffusion.latent import decode_latent, latent_scale, perplexity
from minidiff.diffusion.step import Step
from minidiff.engine.backend import device_of, to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.functional.checks import nan_for_wrong_indices
from minidiff.models.autoencoder import AUTOENCODERS, Autoencoder, VQAutoencoder
from minidiff.optim import Optimizer, clip_gradients, cosine_decay, warmup
from minidiff.sampling.predictor import predict
from minidiff.training.checkpoint import (
    CheckpointError,
    checkpoint_in,
    load_checkpoint,
    save_checkpoint,
)
from minidiff.training.codebook import CodebookKeeper
from minidiff.training.state import check_same_run, pack_optimizer, unpack_optimizer
from minidiff.training.workers import Workers

KIND = "autoencoder"
HELD_OUT = 5  # one in so many images
RESTARTS_UNTIL = 0.8  # of the run: the decoder must have time to learn what the last new codes mean


def autoencoder_terms(model: Autoencoder, x: Any, eps: Any) -> tuple[Tensor, dict[str, Any]]:
    """The loss over a slice of the batch, and the step's terms as arrays."""
    with (
        nan_for_wrong_indices()
    ):  # the codes are what argmin gave: to check them, each step would wait for the GPU
        step = model.terms(Tensor(x), eps)
    return step.loss, {name: plain(value) for name, value in step if name not in ("loss", "x", "e")}


class AutoencoderTrainer:
    """Trains an autoencoder; what `run` wants of a trainer is what `Trainer` has, too.    images of the loader: (N, C, H, W).

    `keeper`: the codebook's, or None for an autoencoder without one; `progress`, 0..1, is set by whoever knows when the run ends.
    """

    def __init__(
        self, model: Autoencoder, loader: Loader, optimizer: Optimizer, rng: RNG, *, lr_warmup: int = 100, max_norm: float = 1.0,
        keeper: CodebookKeeper | None = None,
    ):  # fmt: skip
        self.model, self.loader, self.optimizer, self.rng = model, loader, optimizer, rng
        self.lr, self.lr_warmup, self.max_norm = optimizer.lr, lr_warmup, max_norm
        self.device = next(model.parameters()).device
        self.latent_shape = model.latent_shape(*loader.images.shape[2:])
        self.keeper = keeper or (
            CodebookKeeper(model.quantizer) if isinstance(model, VQAutoencoder) else None
        )
        self.step = 0
        self.progress = self.seconds = 0.0
        self.perplexities: list[
            float
        ] = []  # of the codes that each step's batch got, where there are codes
        self._losses: list[float] = []

    def steps(self, workers: Workers) -> Iterator[Step]:
        """One `Step` a turn, for as long as the caller asks for more."""
        while True:
            x = to_device(self.loader.next_batch()[0], self.device)
            eps = self.rng.normal((len(x), *self.latent_shape))
            if self.keeper and self.step == 0:
                with no_grad():
                    z_e = plain(self.model.encode(Tensor(x)))
                self.keeper.start(z_e.transpose(0, 2, 3, 1).reshape(-1, z_e.shape[1]), self.rng)
            self.optimizer.lr = (
                self.lr
                * warmup(self.step, self.lr_warmup)
                * cosine_decay(self.progress, final=0.02)
            )
            loss, gradients, parts = workers.loss_and_gradients(
                autoencoder_terms, {"x": x, "eps": eps}, seed=0
            )
            clipped, gradient_norm = clip_gradients(gradients, self.max_norm)
            self.optimizer.step(clipped)
            terms = _joined(parts)
            if self.keeper:
                self.keeper.update(
                    terms["z_e"], terms["k"], self.rng, restart=self.progress < RESTARTS_UNTIL
                )
                self.perplexities.append(perplexity(terms["k"], self.keeper.quantizer.n_codes))
            self._losses.append(float(loss))
            self.step += 1
            yield Step(
                self.model.regularizer,
                self.step,
                x=x,
                **terms,
                loss=loss,
                gradient_norm=gradient_norm,
            )

    @property
    def losses(self) -> np.ndarray:
        """The loss of each step so far, float32 (steps,)."""
        return np.asarray(self._losses, dtype=np.float32)

    def save(self, folder: str | os.PathLike[str], options: dict[str, Any] | None = None) -> None:
        """Write everything that a continued run and phase 2 need; options: further JSON-able facts, such as the latent scale."""
        arrays = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        arrays |= pack_optimizer(self.optimizer)
        arrays |= {"losses": self.losses, "perplexities": np.asarray(self.perplexities, np.float32)}
        if self.keeper:
            arrays |= {f"keeper.{name}": array for name, array in self.keeper.state().items()}
        description = {
            "step": self.step, "seconds": self.seconds, "regularizer": self.model.regularizer, "model": self.model.config,
            "image_shape": list(self.loader.images.shape[1:]), "latent_shape": list(self.latent_shape),
            "optimizer": {"name": type(self.optimizer).__name__, "steps": self.optimizer.steps, "lr": self.lr},
            "rng": self.rng.state(), "loader": self.loader.state(), "options": options or {},
        }  # fmt: skip
        save_checkpoint(folder, KIND, description, arrays)

    def load(self, folder: str | os.PathLike[str]) -> None:
        """Continue where `save` left off.    Raises CheckpointError if it is of another kind or model."""
        checkpoint = load_checkpoint(folder, KIND)
        facts = checkpoint.description
        check_same_run(
            folder,
            checkpoint,
            self.optimizer,
            regularizer=self.model.regularizer,
            model=self.model.config,
        )
        self.loader.set_state(facts["loader"])
        self.model.load_state_dict(checkpoint.part("model"))
        unpack_optimizer(self.optimizer, checkpoint)
        self.lr = facts["optimizer"]["lr"]
        if self.keeper:
            self.keeper.set_state(checkpoint.part("keeper"))
        self.rng.set_state(facts["rng"])
        self.step, self.seconds = facts["step"], facts["seconds"]
        self._losses = [float(loss) for loss in checkpoint.arrays["losses"]]
        self.perplexities = [float(value) for value in checkpoint.arrays["perplexities"]]


class Reconstruction(NamedTuple):
    """x_hat: (N, C, H, W) in [0, 1]; mse: per pixel, in [0, 1] scale; k: the codes of the images, int64 (N h w,), or None."""

    x_hat: np.ndarray
    mse: float
    k: np.ndarray | None

    def perplexity(self, n_codes: int) -> float:
        """How many of the codes are in use, effectively.    NaN without a codebook."""
        return float("nan") if self.k is None else perplexity(self.k, n_codes)


def reconstruct(workers: Workers, images: Any, chunk: int = 100) -> Reconstruction:
    """What is left of images after the bottleneck.    images: (N, C, H, W) uint8; the workers' model is an Autoencoder."""
    parts = workers.map(_reconstruct, {"images": images}, chunk=chunk)
    x_hat = to_unit(np.concatenate([x_hat for x_hat, _ in parts]), clip=True)
    codes = [k for _, k in parts if k is not None]
    mse = float(((x_hat - images / 255.0) ** 2).mean())
    return Reconstruction(x_hat, mse, np.concatenate(codes) if codes else None)


def _reconstruct(
    model: Autoencoder, images: Any, chunk: int
) -> tuple[np.ndarray, np.ndarray | None]:
    x_hat, codes = [], []
    for z in _latents(model, images, chunk):
        with no_grad():
            x_hat.append(model.decode(z).numpy())
            if isinstance(model, VQAutoencoder):
                codes.append(to_cpu(model.quantizer(z).k))
    return np.concatenate(x_hat), np.concatenate(codes) if codes else None


def encode_images(workers: Workers, images: Any, chunk: int = 100) -> np.ndarray:
    """The latents of images, not scaled.    images: (N, C, H, W) uint8 -> (N, z_channels, h, w) float32, on the host."""
    return np.concatenate(workers.map(_encode, {"images": images}, chunk=chunk))


def _encode(model: Autoencoder, images: Any, chunk: int) -> np.ndarray:
    return np.concatenate([z.numpy() for z in _latents(model, images, chunk)])


def _latents(model: Autoencoder, images: Any, chunk: int) -> Iterator[Tensor]:
    device = next(model.parameters()).device
    for start in range(0, len(images), chunk):
        with no_grad():
            z = model.encode(Tensor(to_float(images[start : start + chunk]), device=device))
        yield z


def scale_of(latents: np.ndarray) -> float:
    """The factor that gives latents unit variance (`ldm.scale`), from as many images as there are."""
    return float(latent_scale(latents.astype(np.float64)))


class TrainedAutoencoder(NamedTuple):
    """model: in evaluation mode; scale: what latents are multiplied by for diffusion; facts: of the checkpoint."""

    model: Any
    scale: float
    facts: dict[str, Any]

    def split(self, dataset: Dataset) -> tuple[Dataset, Dataset]:
        """The images that it was trained with, and the others.    Raises ValueError for another data set than its own."""
        own, shape = (
            self.facts["options"].get("dataset", dataset.name),
            tuple(self.facts["image_shape"]),
        )
        if own != dataset.name or dataset.images.shape[1:] != shape:
            raise ValueError(
                f"the autoencoder was trained on {own} {shape}, got {dataset.name} {dataset.images.shape[1:]}"
            )
        return dataset.split(len(dataset) // HELD_OUT, self.facts["options"]["seed"])

    def decode(self, z_0: Any, chunk: int = 100) -> Any:
        """Images in [-1, 1] of scaled latents, arrays (B, z_channels, h, w) -> (B, C, H, W), as LDM sampling ends.

        On a CPU a chunk at a time, so that the activations of thousands of images don't fill the memory.
        """
        size = chunk if device_of(z_0) == "cpu" else len(z_0)
        x = decode_latent(
            z_0,
            self.scale,
            lambda z: predict(lambda piece: self.model.decode(Tensor(piece)), z, size),
        )
        return x.clip(-1, 1)


def keep_autoencoder(source: str | os.PathLike[str], folder: str | os.PathLike[str]) -> None:
    """Copy the checkpoint of phase 1 into `folder`: latents mean nothing without the decoder that they were made for."""
    source, folder = checkpoint_in(source), Path(folder)
    if source.resolve() != folder.resolve():
        new = folder.with_name(folder.name + ".part")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(source, new)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)


def load_autoencoder(folder: str | os.PathLike[str], device: str = "cpu") -> TrainedAutoencoder:
    """What phase 1 wrote.    folder: of the run, or of its checkpoint.

    Raises CheckpointError if it is of another kind, or of a run that did not end.
    """
    checkpoint = load_checkpoint(checkpoint_in(folder), KIND)
    facts = checkpoint.description
    if "latent_scale" not in facts["options"]:
        raise CheckpointError(
            f"{folder}: this autoencoder has no latent_scale: its training did not end; go on with --resume"
        )
    model = AUTOENCODERS[facts["regularizer"]](**facts["model"])
    model.load_state_dict(checkpoint.part("model"))
    return TrainedAutoencoder(model.to(device).eval(), facts["options"]["latent_scale"], facts)


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The terms of the batch from those of its slices: arrays one after the other, losses in the mean over all images."""
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part["x_hat"]) for part in parts]
    values = {name: [part[name] for part in parts] for name in parts[0]}
    return {
        name: np.concatenate(v) if v[0].ndim else np.average(v, weights=sizes)
        for name, v in values.items()
    }
