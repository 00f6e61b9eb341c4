"""A small classifier of noisy images of two patterns, and its training."""

import functools

import numpy as np

from minidiff.data import Loader
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.models import NoisyClassifier, NoisyClassifierConfig
from minidiff.optim import AdamW
from minidiff.sampling.classifier_guidance import (
    log_probability,
)
from minidiff.training.noisy_classification import noisy_classifier_steps
from minidiff.training.workers import Workers

SCHEDULE = make_schedule("cosine", 40)
PATTERNS = np.full((2, 1, 4, 4), -0.8, np.float32)
PATTERNS[0, :, :, :2], PATTERNS[1, :, :2, :] = 0.8, 0.8  # ink on the left, ink above
DATA = GaussianMixture([0.5, 0.5], PATTERNS, 0.1)


def make(dropout=0.0):
    return NoisyClassifier(NoisyClassifierConfig(1, 4, (1, 2), n_classes=2, image_size=4, dropout=dropout), RNG(0))


def draw(n, seed):
    labels = np.arange(n) % 2
    return (PATTERNS[labels] + 0.1 * RNG(seed).normal((n, 1, 4, 4))).clip(-1, 1), labels


@functools.cache
def trained_classifier():
    model, rng = make(), RNG(1)
    loader = Loader(*draw(256, 0), 32, rng, n_classes=2)
    with Workers(model, 1) as workers:
        losses = list(noisy_classifier_steps(loader, AdamW(model.named_parameters(), lr=1e-2), SCHEDULE, rng, 20, workers))
    model.eval()
    assert len(losses) == 160
    return model


def log_p(model, x_t, t, y):
    with no_grad():
        return log_probability(model, Tensor(x_t), t).data[np.arange(len(y)), y]
