"""The gradient of a trained classifier of noisy images, and samples that it guides."""

import numpy as np
import pytest
from support.noisy_classifiers import (
    DATA,
    PATTERNS,
    SCHEDULE,
    draw,
    log_p,
    make,
    trained_classifier,
)

from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.ddpm import ddpm_sample
from minidiff.diffusion.guidance import guide_with_classifier, shift_mean
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.random import RNG
from minidiff.engine.tape import no_grad
from minidiff.evaluation.metrics import accuracy_per_t
from minidiff.sampling.classifier_guidance import (
    class_gradient,
)
from minidiff.training.workers import Workers


@pytest.fixture
def trained():
    return trained_classifier()


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
