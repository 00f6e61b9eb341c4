from dataclasses import asdict

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff import optim
from minidiff.models import Classifier, ClassifierConfig


def make(**settings):
    return Classifier(ClassifierConfig(**{"image_size": 8, "n_classes": 3, "n_channels": 8, "n_features": 16, "dropout": 0.0, **settings}), md.RNG(0))


def test_shapes_and_config():
    net = make(image_channels=2)
    x = md.RNG(1).normal((4, 2, 8, 8))
    assert net(x).shape == (4, 3) and net.features(x).shape == (4, 16)
    again = Classifier(ClassifierConfig(**asdict(net.config)))
    again.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(again(x).data, net(x).data)


def test_it_learns_to_tell_three_patterns():
    """Stripes across, stripes down, and a plain square, under noise."""
    rng = md.RNG(0)
    patterns = np.zeros((3, 1, 8, 8), np.float32)
    patterns[0, 0, ::2], patterns[1, 0, :, ::2], patterns[2, 0, 2:6, 2:6] = 1, 1, 1
    net = make()
    optimizer = optim.AdamW(net.named_parameters(), lr=1e-2)

    def batch(n):
        labels = rng.integers(0, 3, (n,))
        return patterns[labels] + 0.5 * rng.normal((n, 1, 8, 8)), labels

    for _ in range(30):
        x, labels = batch(16)
        optimizer.zero_grad()
        F.cross_entropy(net(x), labels).backward()
        optimizer.step()
    x, labels = batch(100)
    assert (net(x).data.argmax(1) == labels).mean() >= 0.97


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 1, 12, 8), (1, 8, 8)])
def test_images_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"Classifier: x must be \(B, 1, 8, 8\), got shape"):
        make()(md.Tensor(np.zeros(shape, np.float32)))


def test_image_sizes_that_can_not_be_halved_twice():
    with pytest.raises(ValueError, match=r"Classifier: image_size must be a multiple of 4 \(two poolings halve it\), got 30"):
        make(image_size=30)
