"""A classifier of noisy images: it learns, knows less where there is more noise, and its gradient leads samplers to the class."""

import numpy as np
import pytest

from minidiff.data import Loader
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.ddpm import ddpm_sample
from minidiff.diffusion.guidance import guide_with_classifier, shift_mean
from minidiff.diffusion.oracle import GaussianMixture, log_classifier
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import Tensor
from minidiff.evaluation.metrics import accuracy_per_t
from minidiff.models import NoisyClassifier, NoisyClassifierConfig
from minidiff.optim import AdamW
from minidiff.sampling.classifier_guidance import (
    class_gradient,
    load_noisy_classifier,
    log_probability,
)
from minidiff.training.checkpoint import CheckpointError, save_checkpoint
from minidiff.training.noisy_classification import noisy_classifier_steps, save_noisy_classifier
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


@pytest.fixture(scope="module")
def trained():
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


def test_it_is_right_without_noise_and_no_better_than_chance_in_pure_noise(trained):
    x_0, labels = draw(400, 5)
    with Workers(trained, 2) as workers:
        shares = accuracy_per_t(workers, x_0, labels, SCHEDULE, RNG(2), parts=5)
    assert [(first, last) for first, last, _ in shares] == [(1, 8), (9, 16), (17, 24), (25, 32), (33, 40)]
    accuracies = [share for *_, share in shares]
    assert accuracies[0] == 1 and accuracies[1] > 0.97
    assert 0.45 < accuracies[-1] < 0.9
    with Workers(trained, 1) as workers:
        *_, (first, last, at_T) = accuracy_per_t(workers, x_0, labels, SCHEDULE, RNG(2), parts=40)
    assert (first, last) == (40, 40) and abs(at_T - 0.5) < 0.125  # 5 standard deviations


def test_its_probabilities_are_those_of_the_exact_classifier(trained):
    """Bayes' rule for the two patterns; at a middle t, where both are far from certain."""
    x_0, labels = draw(200, 6)
    t = np.full(200, 28)
    noise = RNG(7).normal(x_0.shape)
    alpha_bar = SCHEDULE.alpha_bar(28)
    x_t = np.float32(np.sqrt(alpha_bar)) * x_0 + np.float32(np.sqrt(1 - alpha_bar)) * noise
    exact = np.exp(log_classifier(x_t, t, 1, DATA, SCHEDULE))
    found = np.exp(log_p(trained, x_t, t, np.ones(200, int)))
    assert exact.std() > 0.3  # otherwise the comparison says nothing
    assert np.abs(found - exact).mean() < 0.12


def test_the_gradient_is_that_of_finite_differences_whatever_the_number_of_workers():
    model = make()
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(np.float64)
    model.eval()
    x_t, t, y = RNG(3).normal((9, 1, 4, 4), np.float64), np.arange(1, 10) * 4, np.arange(9) % 2
    with Workers(model, 1) as workers:
        gradient = class_gradient(workers, y)(x_t, t)
    with Workers(model, 2) as workers, no_grad():  # as in a sampler
        np.testing.assert_allclose(class_gradient(workers, y)(x_t, t), gradient, rtol=1e-9, atol=1e-12)
    direction, h = RNG(4).normal(x_t.shape, np.float64), 1e-5
    expected = (log_p(model, x_t + h * direction, t, y) - log_p(model, x_t - h * direction, t, y)) / (2 * h)
    np.testing.assert_allclose((gradient * direction).sum(axis=(1, 2, 3)), expected, rtol=1e-5, atol=1e-9)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_on_a_gpu_the_gradient_is_the_same_and_the_wanted_classes_may_come_from_the_host(cuda):
    x_t, t, y = RNG(3).normal((4, 1, 4, 4)), np.arange(1, 5) * 10, np.arange(4) % 2
    gradients = []
    for device in ("cpu", "cuda"):
        model = make().to(device).eval()
        with Workers(model, 1) as workers, no_grad():
            gradients.append(class_gradient(workers, y)(to_device(x_t, device), t))
    assert type(gradients[1]) is cuda[0].ndarray
    np.testing.assert_allclose(to_cpu(gradients[1]), gradients[0], rtol=1e-3, atol=1e-5)


def test_a_step_along_the_gradient_raises_the_log_probability_of_the_wanted_class_only(trained):
    x_t, t, y = RNG(3).normal((16, 1, 4, 4)), np.full(16, 20), np.arange(16) % 2
    with Workers(trained, 1) as workers:
        moved = x_t + 0.05 * class_gradient(workers, y)(x_t, t)
    assert (log_p(trained, moved, t, y) > log_p(trained, x_t, t, y)).all()
    assert (log_p(trained, moved, t, 1 - y) < log_p(trained, x_t, t, 1 - y)).all()


@pytest.mark.parametrize("algorithm", [1, 2])
def test_guided_samples_are_of_the_wanted_class_and_unguided_ones_are_not(trained, algorithm):
    """The denoiser is exact, the classifier is the trained one: from half of the samples to nearly all, by either algorithm."""
    y = np.arange(40) % 2
    eps_theta = DATA.eps_theta(SCHEDULE)
    right = {}
    for s in (0.0, 4.0):
        with Workers(trained, 1) as workers:
            gradient = class_gradient(workers, y)
            if algorithm == 1:
                x_0 = ddpm_sample(eps_theta, (40, 1, 4, 4), SCHEDULE, RNG(8), guide=shift_mean(gradient, s))
            else:
                x_0 = ddim_sample(guide_with_classifier(eps_theta, gradient, SCHEDULE, s), (40, 1, 4, 4), SCHEDULE, RNG(8), steps=20)
        distances = ((x_0[:, None] - PATTERNS) ** 2).sum(axis=(2, 3, 4))
        right[s] = (distances.argmin(axis=1) == y).mean()
    assert 0.2 < right[0.0] < 0.8 and right[4.0] > 0.9, right


def test_a_class_for_each_image_is_wanted(trained):
    with Workers(trained, 1) as workers, pytest.raises(ValueError, match=r"class_gradient: y must hold one class per image, got 3 for x_t"):
        class_gradient(workers, np.zeros(3, int))(np.zeros((2, 1, 4, 4), np.float32), np.ones(2, int))
    with Workers(trained, 1) as workers, pytest.raises(ValueError, match=r"accuracy_per_t: parts must be in 1..T = 1..40, got 41"):
        accuracy_per_t(workers, *draw(4, 0), SCHEDULE, RNG(0), parts=41)


def test_it_is_saved_and_loaded_and_what_does_not_fit_is_refused(trained, tmp_path):
    save_noisy_classifier(tmp_path / "n", trained, SCHEDULE, {"seed": 3})
    loaded = load_noisy_classifier(tmp_path / "n", SCHEDULE)
    assert not loaded.training
    for name, array in loaded.state_dict().items():
        np.testing.assert_array_equal(array, trained.state_dict()[name])
    with pytest.raises(CheckpointError, match=r"its schedule is .*'cosine', 'T': 40.*, the denoiser's is .*'linear', 'T': 40"):
        load_noisy_classifier(tmp_path / "n", make_schedule("linear", 40))
    save_checkpoint(tmp_path / "c", "classifier", {"model": {}}, {})
    with pytest.raises(CheckpointError, match="this is a checkpoint of kind 'classifier', wanted is 'noisy_classifier'"):
        load_noisy_classifier(tmp_path / "c", SCHEDULE)
