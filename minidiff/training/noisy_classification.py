"""Training the classifier of noisy images, asking how good it is at each noise, and its gradient for guided sampling."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidiff import functional as F
from minidiff.data.loader import Loader
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.guidance import gradient_of_classifier
from minidiff.diffusion.losses import draw_training_noise
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.backend import array_module, device_of, to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.models import NoisyClassifier
from minidiff.optim import Optimizer
from minidiff.sampling.predictor import evaluating, predictor
from minidiff.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from minidiff.training.classification import classifier_steps
from minidiff.training.workers import Workers

KIND = "noisy_classifier"


def noisy_classifier_steps(
    loader: Loader,
    optimizer: Optimizer,
    schedule: Schedule,
    rng: RNG,
    epochs: int,
    workers: Workers,
) -> Iterator[float]:
    """As `classifier_steps`, on x_t ~ q(x_t | x_0) with t ~ Uniform({1, ..., T}), a time and a noise of its own for each image."""

    def noisy(x_0: Any, rng: RNG) -> dict[str, Any]:
        x_0 = to_device(x_0, rng.device)
        t, eps = draw_training_noise(x_0, schedule, rng)
        return {"x": q_sample(x_0, t, eps, schedule), "t": t}

    return classifier_steps(loader, optimizer, rng, epochs, workers, noisy)


def accuracy_per_t(
    workers: Workers, x_0: Any, labels: np.ndarray, schedule: Schedule, rng: RNG, parts: int = 5
) -> list[tuple[int, int, float]]:
    """The share that the workers' model gets right in each of `parts` equal ranges of t.    -> [(first t, last t, share), ...]

    x_0: (N, ...) float32 in [-1, 1] and labels (N,), all of which are noised anew for each range, to times drawn in it.
    """
    if not 1 <= parts <= schedule.T:
        raise ValueError(f"accuracy_per_t: parts must be in 1..T = 1..{schedule.T}, got {parts}")
    x_0 = to_device(x_0, rng.device)
    edges = [schedule.T * i // parts for i in range(parts + 1)]
    shares = []
    with evaluating(workers.model):
        for first, last in zip(edges, edges[1:], strict=False):
            t = rng.integers(first + 1, last + 1, (len(x_0),))
            logits = predictor(workers)(q_sample(x_0, t, rng.normal(x_0.shape), schedule), t)
            shares.append(
                (first + 1, last, float((to_cpu(logits).argmax(axis=1) == labels).mean()))
            )
    return shares


def log_probability(model: Callable[..., Any], x_t: Any, t: Any) -> Tensor:
    """log p_phi(y | x_t) for every class.    x_t: (B, ...), t: (B,) -> (B, n_classes)."""
    return F.log_softmax(model(x_t, t), axis=1)


def class_gradient(workers: Workers, y: Any) -> Callable[[Any, Any], Any]:
    """gradient(x_t, t) = grad log p_phi(y | x_t) for a sampler, the batch cut over the processes.    y: (B,) ints, one per image,
    on any device."""

    def gradient(x_t: Any, t: Any) -> Any:
        if len(y) != len(x_t):
            raise ValueError(
                f"class_gradient: y must hold one class per image, got {len(y)} for x_t of shape {tuple(x_t.shape)}"
            )
        parts = workers.map(_class_gradient, {"x": x_t, "t": t, "y": y})
        return parts[0] if len(parts) == 1 else array_module(x_t).concatenate(parts)

    return gradient


def _class_gradient(model: NoisyClassifier, x: Any, t: Any, y: Any) -> Any:
    y = to_device(y, device_of(x))
    return gradient_of_classifier(lambda x_t, t: log_probability(model, x_t, t), y)(x, t)


def save_noisy_classifier(
    folder: str | os.PathLike[str],
    model: NoisyClassifier,
    schedule: Schedule,
    facts: dict[str, Any],
) -> None:
    """Write the model, the schedule whose t it knows, and further JSON-able facts."""
    description = {"model": model.config, "schedule": schedule.config, **facts}
    save_checkpoint(
        folder,
        KIND,
        description,
        {f"model.{name}": array for name, array in model.state_dict().items()},
    )


def load_noisy_classifier(
    folder: str | os.PathLike[str], schedule: Schedule, device: str = "cpu"
) -> NoisyClassifier:
    """What `save_noisy_classifier` wrote, in evaluation mode.    schedule: the denoiser's, by which samples will be drawn.

    Raises CheckpointError if it is of another kind, or was trained with another schedule: a t would then mean another noise.
    """
    checkpoint = load_checkpoint(folder, KIND)
    own = checkpoint.description["schedule"]
    if own != schedule.config:
        raise CheckpointError(
            f"{folder}: its schedule is {own}, the denoiser's is {schedule.config}"
        )
    model = NoisyClassifier(**checkpoint.description["model"])
    model.load_state_dict(checkpoint.part("model"))
    model.to(device).eval()
    return model
