import numpy as np
import pytest

from minidiff.data import Loader, draw_digits, to_float
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.evaluation.judgement import judge
from minidiff.models import Classifier, ClassifierConfig
from minidiff.optim import AdamW
from minidiff.training.classification import classifier_steps
from minidiff.training.workers import Workers


def test_it_learns_to_tell_drawn_digits_apart():
    labels = np.arange(700) % 10
    images = draw_digits(labels, RNG(0))
    rng = RNG(1)
    model = Classifier(ClassifierConfig(n_channels=4, n_features=32), rng)
    loader = Loader(images[:500], labels[:500], 50, rng)
    with Workers(model, 2) as workers:
        losses = list(classifier_steps(loader, AdamW(model.named_parameters(), lr=5e-3), rng, 6, workers))
        judgement = judge(workers, to_float(images[500:]))
    assert len(losses) == 60 and np.mean(losses[-5:]) < 0.5 * losses[0]
    assert (judgement.labels == labels[500:]).mean() > 0.8


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"Classifier: x must be \(B, 1, 28, 28\), got shape \(2, 1, 32, 32\)"):
        Classifier()(Tensor(np.zeros((2, 1, 32, 32), np.float32)))
    with pytest.raises(ValueError, match="image_size must be a multiple of 4"):
        ClassifierConfig(image_size=30)
