"""Text-to-image sampling: what a prompt adds to the samplers of the pixel model."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidiff.data.captions import Captions
from minidiff.diffusion.guidance import guide_without_classifier
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.backend import to_device
from minidiff.models.text_unet import TextUNet
from minidiff.sampling.denoiser import Denoiser, load_denoiser
from minidiff.sampling.latents import TrainedAutoencoder, load_autoencoder
from minidiff.sampling.predictor import eps_predictor
from minidiff.training.checkpoint import CheckpointError, one_line, understood
from minidiff.training.workers import Workers

KIND = "ldm"


def guided_by_text(
    workers: Workers, prediction: str, schedule: Schedule, captions: Captions,
    prompts: Sequence[str], s: float, device: str = "cpu",
) -> Callable[[Any, Any], Any]:  # fmt: skip
    """eps_theta(z_t, t) for any sampler, guided towards the prompts, one per image.

    The workers' model is called as model(z_t, t, tokens=...).
    s: the strength. 0 ignores the prompt, 1 is the conditional model, more than 1 goes beyond it.

    Raises: ValueError for an unknown word.
    """
    tokens = to_device(captions.encode(prompts), device)

    def eps_theta(z_t: Any, t: Any, y: Any) -> Any:
        return eps_predictor(workers, prediction, schedule, tokens=y)(z_t, t)

    if s == 1:  # half the work
        return lambda z_t, t: eps_theta(z_t, t, tokens)
    nothing = to_device(np.tile(captions.null, (len(tokens), 1)), device)
    return guide_without_classifier(eps_theta, tokens, nothing, s=s)


class TextToImage(NamedTuple):
    """Everything that a prompt needs to become an image."""

    denoiser: Denoiser
    autoencoder: TrainedAutoencoder
    captions: Captions

    def labels(self, prompts: Sequence[str]) -> np.ndarray:
        """The class that each prompt asks for, -1 if it names none.    -> int64 (B,)"""
        words = [
            self.captions.vocabulary.decode(row).split() for row in self.captions.encode(prompts)
        ]
        nouns = list(enumerate(self.captions.nouns))
        return np.array([next((i for i, noun in nouns if noun in row), -1) for row in words])

    def eps_theta(
        self, workers: Workers, prompts: Sequence[str], guidance: float, device: str = "cpu"
    ) -> Callable[[Any, Any], Any]:
        """The noise predictor for these prompts, one per image."""
        prediction, schedule = self.denoiser.prediction, self.denoiser.schedule
        return guided_by_text(
            workers, prediction, schedule, self.captions, prompts, guidance, device
        )


def stored_captions(folder: str | os.PathLike[str], options: dict[str, Any]) -> Captions:
    """The captions of a run of train_mnist_ldm.py.    options: of its checkpoint

    Raises: CheckpointError if they make no sense.
    """
    with understood(folder):
        return Captions(**options["captions"])


def load_text_to_image(folder: str | os.PathLike[str], device: str = "cpu") -> TextToImage:
    """Read the model of train_mnist_ldm.py, and the autoencoder that it was trained with.

    They lie in `checkpoint` and `autoencoder` of the folder.

    Raises: CheckpointError if one is of another kind, or if they don't belong together.
    """
    denoiser = load_denoiser(os.path.join(folder, "checkpoint"), TextUNet, KIND, device)
    autoencoder = load_autoencoder(os.path.join(folder, "autoencoder"), device)
    latent_shape = tuple(autoencoder.facts["latent_shape"])
    if denoiser.sample_shape != latent_shape:
        raise CheckpointError(
            f"{folder}: the model makes latents {denoiser.sample_shape}, its autoencoder wants "
            f"{latent_shape}"
        )
    captions = stored_captions(folder, denoiser.facts.get("options", {}))
    with understood(folder):
        scale = denoiser.facts["options"]["latent_scale"]
    if scale != autoencoder.scale:
        raise CheckpointError(
            f"{folder}: the model's latents have the scale {one_line(scale)}, its autoencoder's "
            f"{autoencoder.scale}: another one"
        )
    return TextToImage(denoiser, autoencoder, captions)
