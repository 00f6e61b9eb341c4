"""The times t of a training: uniform as in Algorithm 1, or logit-normal."""

import math

import numpy as np
import pytest

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.training import Trainer, TrainerSettings
from minidiff.training.times import DISTRIBUTIONS, logit_normal, uniform

SCHEDULE = make_schedule("linear", 40)


def normal_cdf(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def test_logit_normal_times_have_the_density_of_their_formula():
    """P(t = k) = P((k - 1) / T < sigmoid(z) <= k / T), z ~ N(0, 1)."""
    n = 200_000
    t = logit_normal(SCHEDULE, n, RNG(0))
    assert t.dtype == np.int64 and t.min() >= 1 and t.max() <= 40
    edges = [-math.inf, *(math.log(k / (40 - k)) for k in range(1, 40)), math.inf]
    expected = np.diff([normal_cdf(edge) for edge in edges])
    counts = np.bincount(t, minlength=41)[1:]
    assert np.all(np.abs(counts - n * expected) < 5 * np.sqrt(n * expected) + 1)


def test_uniform_times_are_those_of_algorithm_1():
    np.testing.assert_array_equal(uniform(SCHEDULE, 9, RNG(3)), RNG(3).integers(1, 41, (9,)))


def make_trainer(**settings):
    rng = RNG(0)
    model = UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), rng)
    loader = Loader(np.zeros((500, 1, 4, 4), np.uint8), None, 500, rng)
    optimizer = AdamW(model.named_parameters())
    return Trainer(model, SCHEDULE, loader, optimizer, rng, TrainerSettings(**settings))


def test_a_trainer_draws_by_its_settings():
    by_name = {name: make_trainer(times=name).draw_batch()["t"] for name in DISTRIBUTIONS}
    np.testing.assert_array_equal(by_name["uniform"], make_trainer().draw_batch()["t"])
    outside = {name: ((t <= 4) | (t > 36)).mean() for name, t in by_name.items()}
    assert outside["uniform"] > 0.15 and outside["logit-normal"] < 0.06


def test_an_unknown_distribution_is_refused():
    with pytest.raises(ValueError, match="settings.times must be 'uniform' or 'logit-normal', got 'beta'"):
        make_trainer(times="beta")
