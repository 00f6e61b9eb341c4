"""The figures of a preview: the loss on images that were held out, and the judge of its samples."""

import numpy as np
import pytest

from minidiff.data import draw_digits, to_float
from minidiff.diffusion.losses import L_simple
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.evaluation import PreviewJudge, held_out_loss, preview_judge, sample_quality
from minidiff.models import Classifier, UNet, UNetConfig
from minidiff.training import Workers

SCHEDULE = make_schedule("linear", 30)


@pytest.fixture(scope="module")
def digits():
    return draw_digits(np.arange(60) % 10, RNG(0))


@pytest.fixture
def model():
    return UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), RNG(1))


@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("count", [1, 2])
def test_held_out_loss_is_the_mean_over_times_spread_evenly(model, digits, prediction, count):
    x_0 = to_float(digits[:30])
    with Workers(model, count) as workers:
        found = held_out_loss(workers, x_0, SCHEDULE, prediction)
        assert held_out_loss(workers, x_0, SCHEDULE, prediction) == found
    losses = []
    for i, eps in enumerate(RNG(0).normal(x_0.shape)):
        t = np.array([i + 1])
        alpha_bar = float(SCHEDULE.at(i + 1).alpha_bar)
        a, b = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
        x_t = (a * x_0[i] + b * eps)[None].astype(np.float32)
        target = eps if prediction == "eps" else a * eps - b * x_0[i]
        losses.append(L_simple(target[None].astype(np.float32), model(Tensor(x_t), t).data))
    assert found == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_judge_says_what_sample_quality_says(digits):
    classifier = Classifier(rng=RNG(2))
    samples = to_float(digits[:20])
    judge = PreviewJudge(classifier, digits, seed=5)
    with Workers(classifier, 1) as workers:
        wanted = sample_quality(workers, samples, judge.images, seed=5)
    for _ in range(2):
        figures = judge.figures(samples)
        assert figures == {"confident": wanted.confident, "frechet_ratio": wanted.frechet / wanted.floor}


def test_too_few_real_images_are_refused(digits):
    judge = PreviewJudge(Classifier(rng=RNG(2)), digits)
    with pytest.raises(ValueError, match="40 samples need at least 80 real images beside them, got 60"):
        judge.figures(to_float(digits[:40]))


def test_no_classifier_no_judge(tmp_path, digits):
    assert preview_judge(tmp_path / "none", digits) is None
