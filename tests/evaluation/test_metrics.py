"""The Frechet distance against its closed form, and the judgement of samples on cases with known answers."""

import numpy as np
import pytest

from minidiff.data import draw_digits, to_float
from minidiff.diffusion.schedule import make_schedule
from minidiff.diffusion.vlb import vlb_steps
from minidiff.engine.random import RNG
from minidiff.evaluation.metrics import (
    agreement,
    bits_per_dimension,
    frechet_distance,
    loss_per_t,
    sample_quality,
)
from minidiff.models import Classifier
from minidiff.training.workers import Workers


def with_moments(mean, covariance, n, rng):
    """n points whose sample mean and covariance are exactly these."""
    x = rng.normal((n, len(mean)), np.float64)
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return x @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_commuting_gaussians():
    rng = RNG(0)
    a = with_moments([0.0, 1.0], np.diag([4.0, 9.0]), 50, rng)
    b = with_moments([3.0, 1.0], np.diag([1.0, 16.0]), 60, rng)
    assert frechet_distance(a, b) == pytest.approx(3**2 + (2 - 1) ** 2 + (3 - 4) ** 2, rel=1e-9)


def test_frechet_distance_of_correlated_gaussians():
    """Against the matrix square root found by Newton's iteration (Denman & Beavers 1976)."""
    rng = RNG(1)
    C_a, C_b = np.array([[2.0, 0.8], [0.8, 1.0]]), np.array([[1.5, -0.6], [-0.6, 0.9]])
    a, b = with_moments([0, 0], C_a, 40, rng), with_moments([1, -2], C_b, 40, rng)
    Y, Z = C_a @ C_b, np.eye(2)
    for _ in range(40):
        Y, Z = (Y + np.linalg.inv(Z)) / 2, (Z + np.linalg.inv(Y)) / 2
    assert frechet_distance(a, b) == pytest.approx(5 + np.trace(C_a + C_b - 2 * Y), rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_is_never_negative():
    """Rounding would make some of these -1e-15, which prints as -0.0; not a number stays not a number."""
    for seed in range(40):
        a = np.random.default_rng(seed).normal(size=(6, 5))
        assert 0 <= frechet_distance(a, a) < 1e-9 and not np.signbit(frechet_distance(a, a))
    with np.errstate(invalid="ignore"):
        try:
            assert np.isnan(frechet_distance(np.full((3, 2), np.nan), a[:3, :2]))
        except np.linalg.LinAlgError:  # some builds of LAPACK say so instead
            pass


def test_frechet_distance_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"wanted features \(N, D\) and \(M, D\) with N, M >= 2, got \(3, 2\) and \(3, 4\)"):
        frechet_distance(np.zeros((3, 2)), np.zeros((3, 4)))


def test_sample_quality_tells_real_images_from_one_class_and_from_noise():
    """With an untrained network as features: the distances must still order the three cases."""
    labels = np.arange(600) % 10
    real = draw_digits(labels, RNG(0))
    classifier = Classifier(rng=RNG(0))
    with Workers(classifier, 2) as workers:
        same = sample_quality(workers, to_float(draw_digits(labels[:200], RNG(1))), real)
        ones = sample_quality(workers, to_float(draw_digits(np.ones(200, np.int64), RNG(2))), real)
        noise = sample_quality(workers, RNG(3).normal((200, 1, 28, 28)).clip(-1, 1), real)
    assert same.n_samples == 200 and same.class_shares.sum() == pytest.approx(1)
    assert same.frechet < 3 * same.floor < ones.frechet < noise.frechet
    assert same.floor == ones.floor > 0
    assert "200 samples" in str(same) and "Frechet distance" in str(same)


def test_sample_quality_needs_enough_real_images():
    with Workers(Classifier(), 1) as workers, pytest.raises(ValueError, match="10 samples need at least 20 real images .*, got 19"):
        sample_quality(workers, np.zeros((10, 1, 28, 28), np.float32), np.zeros((19, 1, 28, 28), np.uint8))


def test_loss_per_t_of_known_predictors():
    schedule = make_schedule("cosine", 20)
    images = draw_digits(np.arange(32) % 10, RNG(0))
    x_0 = to_float(images)

    def perfect(x_t, t):
        alpha_bar = schedule.at(t, like=x_t).alpha_bar
        return ((x_t - np.sqrt(alpha_bar) * x_0) / np.sqrt(schedule.at(t, like=x_t).one_minus_alpha_bar)).astype(np.float32)

    t, loss = loss_per_t(perfect, images, schedule, RNG(1), times=40)
    assert sorted(set(t.tolist())) == list(range(1, 21)) and t.shape == loss.shape == (20 * 32,)
    assert loss.max() < 1e-8

    t, loss = loss_per_t(lambda x_t, t: np.zeros_like(x_t), images, schedule, RNG(1), times=5)
    assert len(set(t.tolist())) == 5
    assert loss.mean() == pytest.approx(1, abs=0.02)  # the variance of eps


def test_agreement_is_the_share_of_samples_seen_as_asked_for():
    """A network whose last layer is set so that it always sees a three."""
    classifier = Classifier(rng=RNG(0))
    classifier.lin2.weight.assign(np.zeros_like(classifier.lin2.weight.data))
    classifier.lin2.bias.assign(np.eye(10, dtype=np.float32)[3])
    labels = np.array([3, 3, 3, 1, 0])
    with Workers(classifier, 1) as workers:
        share, by_class = agreement(workers, np.zeros((5, 1, 28, 28), np.float32), labels)
        assert share == pytest.approx(0.6)
        np.testing.assert_array_equal(by_class, [0, 0, np.nan, 1, *[np.nan] * 6])
        with pytest.raises(ValueError, match=r"agreement: labels must be \(5,\), one for each sample, got \(4,\)"):
            agreement(workers, np.zeros((5, 1, 28, 28), np.float32), labels[:4])
        with pytest.raises(ValueError, match=r"agreement: labels must be in 0..9 for 10 classes but lie in 0..10"):
            agreement(workers, np.zeros((5, 1, 28, 28), np.float32), labels + [7, 0, 0, 0, 0])


def test_bits_per_dimension_of_a_perfect_predictor_is_what_the_last_step_costs():
    """With the true noise all KL terms vanish but the variance's part, and L_0 is the density of a pixel's own bin."""
    schedule = make_schedule("cosine", 20)
    images = draw_digits(np.arange(8) % 10, RNG(0))
    x_0 = to_float(images)

    def perfect(x_t, t):
        alpha_bar = schedule.at(t, like=x_t).alpha_bar
        return ((x_t - np.sqrt(alpha_bar) * x_0) / np.sqrt(schedule.at(t, like=x_t).one_minus_alpha_bar)).astype(np.float32)

    bits = bits_per_dimension(perfect, images, schedule, RNG(1))
    wrong = bits_per_dimension(lambda x_t, t: np.zeros_like(x_t), images, schedule, RNG(1))
    assert 0 < bits < 8 and wrong > 2 * bits
    expected = sum(step.bits for step in vlb_steps(perfect, x_0, schedule, RNG(1)))
    assert bits == pytest.approx(expected)
