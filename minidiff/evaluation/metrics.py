"""Measures of samples and of models: a classifier's opinion, the Frechet distance, bits/dim.

The Frechet distance here is the FID's formula (Heusel et al. 2017) with the features of minidiff's
own classifier in place of the Inception network's. Its values can be compared with each other, but
not with published FIDs. It depends on the number of samples, so it is always stated beside the
floor: the distance of as many real images from the rest of the real ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidiff.data.scaling import check_labels, to_float
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.gaussian import bits_per_dim
from minidiff.diffusion.noise_prediction import predict_noise
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.vlb import vlb
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.evaluation.judgement import Judgement, judge
from minidiff.sampling.predictor import evaluating, predictor
from minidiff.training.workers import Workers


def frechet_distance(a: Any, b: Any) -> float:
    """|mean_a - mean_b|^2 + trace(C_a + C_b - 2 (C_a C_b)^(1/2)), C the covariances.

    a: (N, D), b: (M, D) features, N and M >= 2
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"frechet_distance: wanted features (N, D) and (M, D) with N, M >= 2, got {a.shape} "
            f"and {b.shape}"
        )
    C_a, C_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root_a = _square_root(C_a)
    # C_a C_b and C_a^(1/2) C_b C_a^(1/2) have the same eigenvalues; the second is symmetric
    eigenvalues = np.linalg.eigvalsh(root_a @ C_b @ root_a)
    trace_of_root = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    distance = ((a.mean(0) - b.mean(0)) ** 2).sum()
    distance += np.trace(C_a) + np.trace(C_b) - 2 * trace_of_root
    return float(np.maximum(distance, 0))  # rounding makes it -1e-15 where a is b


def _square_root(C: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance matrix."""
    values, vectors = np.linalg.eigh(C)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def agreement(workers: Workers, samples: Any, labels: Any) -> tuple[float, np.ndarray]:
    """The share of samples in which the workers' model, a Classifier, sees what was asked for.

    samples: (N, C, H, W) float in [-1, 1]; labels: (N,) ints in 0..n_classes-1
    -> over all, and by class (n_classes,), NaN for a class that was not asked for
    """
    judgement = judge(workers, samples)
    n_classes = judgement.probabilities.shape[1]
    if labels.shape != (len(samples),):
        raise ValueError(
            f"agreement: labels must be ({len(samples)},), one for each sample, got {labels.shape}"
        )
    check_labels("agreement: labels", labels, n_classes)
    right = judgement.labels == labels
    asked = np.bincount(labels, minlength=n_classes)
    by_class = np.bincount(labels, right, n_classes) / np.where(asked, asked, np.nan)
    return float(right.mean()), by_class


class SampleQuality(NamedTuple):
    """A classifier's opinion of samples. `print` shows it in one line."""

    n_samples: int
    confident: float  # share with a top probability >= 0.9
    class_shares: np.ndarray  # (n_classes,)
    frechet: float  # distance of the samples from the real images
    floor: float  # distance of as many real images from the other real ones

    def __str__(self) -> str:
        shares = " ".join(f"{100 * share:.1f}" for share in self.class_shares)
        return (
            f"{self.n_samples} samples: {100 * self.confident:.1f} % with a top probability >= "
            f"0.9; shares of the classes in %: {shares}; "
            f"Frechet distance {self.frechet:.2f} = {self.frechet / self.floor:.1f} x that of as "
            f"many real images ({self.floor:.2f})"
        )


def sample_quality(
    workers: Workers, samples: Any, real_images: Any, seed: int = 0
) -> SampleQuality:
    """Ask the workers' model, a Classifier, about samples.

    samples: (N, C, H, W) float in [-1, 1]; real_images: (M, C, H, W) uint8, M >= 2 N
    """
    _check_enough(len(samples), len(real_images))
    return quality_of(judge(workers, samples), judge(workers, to_float(real_images)), seed)


def quality_of(of_samples: Judgement, of_real: Judgement, seed: int = 0) -> SampleQuality:
    """The same from what the classifier answered, for N samples and M >= 2 N real images."""
    n, n_real = len(of_samples.features), len(of_real.features)
    _check_enough(n, n_real)
    order = RNG(seed).permutation(n_real)
    as_many, rest = of_real.features[order[:n]], of_real.features[order[n:]]
    n_classes = of_samples.probabilities.shape[1]
    return SampleQuality(
        n_samples=n,
        confident=float((of_samples.confidence >= 0.9).mean()),
        class_shares=np.bincount(of_samples.labels, minlength=n_classes) / n,
        frechet=frechet_distance(of_samples.features, rest),
        floor=frechet_distance(as_many, rest),
    )


def _check_enough(n: int, n_real: int) -> None:
    if n_real < 2 * n:
        raise ValueError(
            f"sample_quality: {n} samples need at least {2 * n} real images beside them, got "
            f"{n_real}"
        )


def bits_per_dimension(
    eps_theta: Any, images: Any, schedule: Schedule, rng: RNG, **options: Any
) -> float:
    """The variational bound on the cost of sending images, in bits per pixel and channel.

    It is L_T + ... + L_0 (slide "Loss Function"), T calls of eps_theta.
    images: (N, C, H, W) uint8, which the model was not trained with; options: `vlb_steps` takes
    variance ("beta"), clip (None) and sigma_1 (None), those of the sampler whose model is measured
    """
    x_0 = to_device(to_float(images), rng.device)
    nats = vlb(eps_theta, x_0, schedule, rng, **options)
    return bits_per_dim(float(nats.mean()), x_0[0].size)


def loss_per_t(
    eps_theta: Any, images: Any, schedule: Schedule, rng: RNG, times: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """The error of eps_theta at `times` times from 1 to T, the same images at each.

    images: (N, C, H, W) uint8
    -> t: int64 (times * N,), loss: float32 (times * N,), the mean square over each image
    """
    x_0 = to_device(to_float(images), rng.device)
    all_t, losses = [], []
    for t in np.unique(np.linspace(1, schedule.T, times).round().astype(np.int64)):
        eps = rng.normal(x_0.shape)
        eps_hat = predict_noise(eps_theta, q_sample(x_0, int(t), eps, schedule), int(t))
        all_t.append(np.full(len(x_0), t))
        losses.append(to_cpu(((eps - eps_hat) ** 2).mean(axis=(1, 2, 3))))
    return np.concatenate(all_t), np.concatenate(losses)


def accuracy_per_t(
    workers: Workers, x_0: Any, labels: np.ndarray, schedule: Schedule, rng: RNG, parts: int = 5
) -> list[tuple[int, int, float]]:
    """The share that a classifier of noisy images gets right in each of `parts` equal ranges of t.

    All images are noised anew for each range, to times drawn in it. The workers have the
    classifier. x_0: (N, ...) float32 in [-1, 1]; labels: (N,) -> [(first t, last t, share), ...]
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
