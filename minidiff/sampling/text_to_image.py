"""Phase 2 of latent diffusion: what text adds to the samplers, which are the pixel model's."""

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
from minidiff.sampling.autoencoder import TrainedAutoencoder, load_autoencoder
from minidiff.sampling.denoiser import Denoiser, load_denoiser
from minidiff.sampling.predictor import eps_predictor
from minidiff.training.checkpoint import CheckpointError
from minidiff.training.workers import Workers

KIND = "ldm"


def guided_by_text(
    workers: Workers,
    prediction: str,
    schedule: Schedule,
    captions: Captions,
    prompts: Sequence[str],
    s: float,
    device: str = "cpu",
) -> Callable[[Any, Any], Any]:
    """eps_theta(z_t, t) for any sampler, guided towards the prompts, one per image.

    The workers' model is called as model(z_t, t, tokens=...). s: strength, 0 without condition, 1 the conditional model, more than 1
    beyond it.    Raises ValueError for an unknown word.
    """
    tokens = to_device(captions.encode(prompts), device)

    def eps_theta(z_t: Any, t: Any, y: Any) -> Any:
        return eps_predictor(workers, prediction, schedule, tokens=y)(z_t, t)

    if s == 1:  # half the work
        return lambda z_t, t: eps_theta(z_t, t, tokens)
    nothing = to_device(np.tile(captions.null, (len(tokens), 1)), device)
    return guide_without_classifier(eps_theta, tokens, nothing, s=s)


class TextToImage(NamedTuple):
    """All that a prompt needs to become an image."""

    denoiser: Denoiser
    autoencoder: TrainedAutoencoder
    captions: Captions

    def labels(self, prompts: Sequence[str]) -> np.ndarray:
        """The class that each prompt asks for, -1 if it names none.    -> int64 (B,)"""
        words = [
            self.captions.vocabulary.decode(row).split() for row in self.captions.encode(prompts)
        ]
        return np.array(
            [
                next((i for i, noun in enumerate(self.captions.nouns) if noun in row), -1)
                for row in words
            ]
        )

    def eps_theta(
        self, workers: Workers, prompts: Sequence[str], guidance: float, device: str = "cpu"
    ) -> Callable[[Any, Any], Any]:
        """The noise predictor for these prompts, one per image."""
        return guided_by_text(
            workers,
            self.denoiser.prediction,
            self.denoiser.schedule,
            self.captions,
            prompts,
            guidance,
            device,
        )


def load_text_to_image(folder: str | os.PathLike[str], device: str = "cpu") -> TextToImage:
    """What train_mnist_ldm.py wrote: `checkpoint` and, beside it, the `autoencoder` it was trained with.

    Raises CheckpointError for other kinds, or if they don't belong together.
    """
    denoiser = load_denoiser(os.path.join(folder, "checkpoint"), TextUNet, KIND, device)
    autoencoder = load_autoencoder(os.path.join(folder, "autoencoder"), device)
    latent_shape = tuple(autoencoder.facts["latent_shape"])
    if denoiser.sample_shape != latent_shape:
        raise CheckpointError(
            f"{folder}: the model makes latents {denoiser.sample_shape}, its autoencoder wants {latent_shape}"
        )
    scale = denoiser.facts["options"]["latent_scale"]
    if scale != autoencoder.scale:
        raise CheckpointError(
            f"{folder}: the model's latents have the scale {scale}, its autoencoder's {autoencoder.scale}: another one"
        )
    return TextToImage(denoiser, autoencoder, Captions(**denoiser.facts["options"]["captions"]))
