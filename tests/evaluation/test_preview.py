"""The figures of a preview: the loss on images that were held out, and the judge of its samples."""

import numpy as np
import pytest

from minidiff.data import Dataset, draw_digits, to_float
from minidiff.diffusion.losses import L_simple
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.evaluation import PreviewJudge, held_out_loss, preview_judge, sample_quality
from minidiff.models import Classifier, UNet, UNetConfig
from minidiff.training import Workers
from minidiff.training.classification import save_classifier

SCHEDULE = make_schedule("linear", 30)


@pytest.fixture(scope="module")
def digits():
    return draw_digits(np.arange(60) % 10, RNG(0))


@pytest.fixture
def model():
    return UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), RNG(1))


@pytest.mark.parametrize("prediction", ["eps", "v", "velocity"])
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
        target = {"eps": eps, "v": a * eps - b * x_0[i], "velocity": eps - x_0[i]}[prediction]
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


def test_of_few_real_images_half_as_many_samples_are_judged(digits):
    judge = PreviewJudge(Classifier(rng=RNG(2)), digits)
    samples = to_float(digits[:40])
    assert judge.figures(samples) == judge.figures(samples[:30]) != judge.figures(samples[:20])


def data_set(images, name="digits", classes=10):
    return Dataset(images, np.arange(len(images)) % classes, name, "", tuple(map(str, range(classes))))


def test_no_classifier_no_judge(tmp_path, digits):
    assert preview_judge(tmp_path / "none", data_set(digits), data_set(digits)) == (None, "")


def test_a_classifier_of_other_pictures_does_not_judge(tmp_path, digits):
    own, coloured = data_set(digits, "own pictures"), data_set(digits.repeat(3, axis=1), "own pictures")
    other = data_set(digits[::-1].copy(), "own pictures")
    save_classifier(tmp_path / "mnist", Classifier(rng=RNG(0)), {"dataset": data_set(digits, "MNIST").identity()})
    save_classifier(tmp_path / "own", Classifier(rng=RNG(0)), {"dataset": own.identity()})
    for name, dataset in [("mnist", data_set(digits)), ("own", own)]:
        judge, note = preview_judge(tmp_path / name, dataset, dataset)
        assert judge is not None and note == ""
    for name, dataset in [("mnist", own), ("mnist", coloured), ("own", other), ("own", data_set(digits)), ("mnist", data_set(digits, classes=3))]:
        judge, note = preview_judge(tmp_path / name, dataset, dataset)
        assert judge is None and "does not judge: it knows" in note and "train_classifier.py with the same --data" in note
    assert "knows MNIST, 10 classes of images (1, 28, 28); this is own pictures, 10 of (3, 28, 28)" in preview_judge(tmp_path / "mnist", coloured, coloured)[1]
