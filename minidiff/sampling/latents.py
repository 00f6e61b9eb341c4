"""A trained autoencoder: images to latents and back, and what is lost on the way."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidiff.data.dataset import Dataset
from minidiff.data.identity import identity_difference
from minidiff.data.scaling import to_float, to_unit
from minidiff.diffusion.latent import decode_latent, latent_scale, perplexity
from minidiff.engine.backend import device_of, to_cpu
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.models.autoencoder import AUTOENCODERS, Autoencoder, VQAutoencoder
from minidiff.sampling.predictor import predict
from minidiff.training.autoencoder_trainer import KIND
from minidiff.training.checkpoint import (
    CheckpointError,
    checkpoint_in,
    load_checkpoint,
    save_checkpoint,
    understood,
)
from minidiff.training.stored import stored_network, stored_shape
from minidiff.training.workers import Workers

HELD_OUT = 5  # one in so many images is not trained with


class Reconstruction(NamedTuple):
    """Images after the bottleneck, and how far they are from the originals."""

    x_hat: np.ndarray  # (N, C, H, W) in [0, 1]
    mse: float  # per pixel, in [0, 1] scale
    k: np.ndarray | None  # the codes of the images, int64 (N h w,); None without a codebook

    def perplexity(self, n_codes: int) -> float:
        """The number of codes in use, effectively. NaN without a codebook."""
        return float("nan") if self.k is None else float(perplexity(self.k, n_codes))


def reconstruct(workers: Workers, images: Any, chunk: int = 100) -> Reconstruction:
    """Encode images and decode them again.

    images: (N, C, H, W) uint8. The workers' model is an Autoencoder.
    """
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
    """The latents of images, not scaled.

    images: (N, C, H, W) uint8 -> (N, z_channels, h, w) float32, on the host
    """
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
    """The factor that gives latents unit variance (`ldm.scale`)."""
    return float(latent_scale(latents.astype(np.float64)))


class TrainedAutoencoder(NamedTuple):
    """An autoencoder that phase 2 can use."""

    model: Any  # in evaluation mode
    scale: float  # latents are multiplied by it for diffusion
    facts: dict[str, Any]  # of the checkpoint

    def split(self, dataset: Dataset) -> tuple[Dataset, Dataset]:
        """The images that it was trained with, and the others.

        Raises: ValueError for another data set than its own.
        """
        options, shape = self.facts["options"], tuple(self.facts["image_shape"])
        own = self.facts.get("dataset")
        if own is None:  # of an older version
            name = options.get("dataset", dataset.name)
            own = {"name": name, "image_shape": list(shape)}
        if difference := identity_difference(own, dataset.identity()):
            raise ValueError(
                f"the autoencoder was trained on {own['name']} {shape}, "
                f"got {dataset.name} {dataset.images.shape[1:]} ({difference})"
            )
        return dataset.split(len(dataset) // HELD_OUT, options["seed"])

    def decode(self, z_0: Any, chunk: int = 100) -> Any:
        """Images in [-1, 1] of scaled latents: (B, z_channels, h, w) -> (B, C, H, W).

        LDM sampling ends with it. On a CPU a chunk is decoded at a time, so that the activations of
        thousands of images don't fill the memory.
        """
        size = chunk if device_of(z_0) == "cpu" else len(z_0)

        def decode(z: Any) -> Any:
            return predict(lambda piece: self.model.decode(Tensor(piece)), z, size)

        x = decode_latent(z_0, self.scale, decode)
        return x.clip(-1, 1)


def keep_autoencoder(source: str | os.PathLike[str], folder: str | os.PathLike[str]) -> None:
    """Copy the checkpoint of phase 1 into `folder`.

    Latents mean nothing without the decoder that they were made for. A copy that was there is
    replaced at the very end.

    Raises: CheckpointError if there is no whole checkpoint of phase 1; OSError if `folder` can't be
    written.
    """
    source, folder = checkpoint_in(source), Path(folder)
    if source.resolve() != folder.resolve():
        checkpoint = load_checkpoint(source, KIND)
        save_checkpoint(folder, KIND, checkpoint.description, checkpoint.arrays)


def load_autoencoder(folder: str | os.PathLike[str], device: str = "cpu") -> TrainedAutoencoder:
    """Read the autoencoder that phase 1 wrote.    folder: of the run, or of its checkpoint

    Raises: CheckpointError if it is of another kind, or of a run that did not end.
    """
    checkpoint = load_checkpoint(checkpoint_in(folder), KIND)
    facts = checkpoint.description
    if "latent_scale" not in facts.get("options", {}):
        raise CheckpointError(
            f"{folder}: this autoencoder has no latent_scale: its training did not end; "
            f"go on with --resume"
        )
    with understood(folder):
        network, scale = AUTOENCODERS[facts["regularizer"]], facts["options"]["latent_scale"]
        if not isinstance(scale, (int, float)) or not 0 < scale < math.inf:
            raise ValueError(f"latent_scale must be a number > 0, got {scale!r}")
        RNG(facts["options"].get("seed", 0))  # of `split`
        for name in ("image_shape", "latent_shape"):
            stored_shape(folder, name, facts[name])
    model = stored_network(folder, checkpoint, network)
    return TrainedAutoencoder(model.to(device), scale, facts)
