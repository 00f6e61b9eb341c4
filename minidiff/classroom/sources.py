"""The network that a walk runs on: a checkpoint's, or an exact predictor that needs none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidiff.beyond.pairs import any_eps_theta
from minidiff.data import make_digits, to_float
from minidiff.diffusion.ddim import ddim_steps
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.losses import draw_training_noise, training_terms
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import Schedule, make_schedule
from minidiff.diffusion.step import Step
from minidiff.engine.random import RNG
from minidiff.sampling.solvers import SamplerSettings, sampler_steps

ALGORITHMS = ("ddpm", "ddim", "heun", "dpm++", "sa", "flow-euler", "flow-heun", "train")
N_DIGITS = 200


class Source(NamedTuple):
    """A predictor, its schedule, the shape of a sample, and where images to train on come from.

    decode: of a latent model, from scaled latents to images.
    """

    eps_theta: Callable[[Any, Any], Any]
    schedule: Schedule
    shape: tuple[int, ...]
    draw: Callable[[int, RNG], Any]
    decode: Callable[[Any], Any] | None = None


def make_source(
    name: str, T: int = 1000, schedule: str = "linear", prompt: str = "three", guidance: float = 1.0
) -> Source:
    """The source called `name`: "oracle", "digits", or the folder of a run.

    "oracle" is two clusters of points, "digits" drawn digits, both with their exact predictor.
    prompt, guidance: what a latent model draws, and how strongly it is guided there (1: not).
    """
    if name == "oracle":
        mixture = GaussianMixture([0.7, 0.3], [[-0.8, 0.2], [0.8, -0.2]], 0.05)
        return _exact(mixture, make_schedule(schedule, T))
    if name == "digits":
        images = to_float(make_digits(N_DIGITS, seed=0).images)
        return _exact(GaussianMixture(np.ones(N_DIGITS), images, 0.1), make_schedule(schedule, T))
    if (Path(name) / "autoencoder").is_dir() or (Path(name) / "autoencoder.npz").is_file():
        return _latent(name, prompt, guidance)
    return _trained(name)


def _exact(mixture: GaussianMixture, schedule: Schedule) -> Source:
    return Source(
        mixture.eps_theta(schedule),
        schedule,
        mixture.shape,
        lambda n, rng: mixture.sample(n, rng, dtype=np.float32),
    )


def _trained(folder: str) -> Source:
    from minidiff.models import UNet
    from minidiff.sampling.denoiser import load_denoiser

    denoiser = load_denoiser(folder, UNet)
    eps_theta = any_eps_theta(denoiser.model, denoiser.prediction, denoiser.schedule)
    images = to_float(make_digits(N_DIGITS, seed=0).images)
    return Source(
        eps_theta,
        denoiser.schedule,
        denoiser.sample_shape,
        lambda n, rng: images[rng.integers(0, len(images), (n,))],
    )


def _latent(folder: str, prompt: str, guidance: float) -> Source:
    from minidiff.sampling.latents import encode_images
    from minidiff.sampling.text_to_image import load_text_to_image
    from minidiff.training.workers import Workers

    model = load_text_to_image(folder)
    workers = Workers(model.denoiser.model.eval(), 1)
    predictors = cache(lambda n: model.eps_theta(workers, [prompt] * n, guidance))
    predictors(1)  # an unknown word is told before the walk begins

    def draw(n: int, rng: RNG) -> Any:
        images = make_digits(N_DIGITS, seed=0).images[rng.integers(0, N_DIGITS, (n,))]
        return encode_images(Workers(model.autoencoder.model, 1), images) * model.autoencoder.scale

    return Source(
        lambda z_t, t: predictors(len(z_t))(z_t, t),
        model.denoiser.schedule, model.denoiser.sample_shape, draw, model.autoencoder.decode,
    )  # fmt: skip


def steps_of(
    algorithm: str,
    source: Source,
    rng: RNG,
    *,
    n: int = 1,
    steps: int | None = None,
    eta: float = 0.0,
    t: int | None = None,
) -> Iterator[Step]:
    """The Steps of one of ALGORITHMS on the source.

    n: images; steps: of all samplers but DDPM; eta: of DDIM and SA-Solver;
    t: for "train", the time of every image.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(
            f"step: the algorithm must be one of {', '.join(ALGORITHMS)}, got {algorithm!r}"
        )
    clip = 1.0 if len(source.shape) == 3 and source.decode is None else None
    if algorithm == "ddpm":
        yield from ddpm_steps(source.eps_theta, (n, *source.shape), source.schedule, rng, clip=clip)
    elif algorithm == "ddim":
        yield from ddim_steps(
            source.eps_theta,
            (n, *source.shape),
            source.schedule,
            rng,
            steps=steps,
            eta=eta,
            clip=clip,
        )
    elif algorithm != "train":
        settings = SamplerSettings(algorithm, steps, clip=clip, eta=eta)
        shape, network = (n, *source.shape), source.eps_theta
        yield from sampler_steps(network, "eps", source.schedule, shape, rng, settings)
    while algorithm == "train":
        x_0 = source.draw(n, rng)
        if t is None:
            times, eps = draw_training_noise(x_0, source.schedule, rng)
        else:
            times, eps = np.full(n, t), rng.normal(x_0.shape, dtype=x_0.dtype)
        yield training_terms(source.eps_theta, x_0, times, eps, source.schedule)
