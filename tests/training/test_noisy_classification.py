"""A classifier of noisy images: it learns, knows less where there is more noise, and its gradient leads samplers to the class."""

import numpy as np
import pytest
from support.noisy_classifiers import DATA, SCHEDULE, draw, log_p, trained_classifier

from minidiff.diffusion.oracle import log_classifier
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.evaluation.metrics import accuracy_per_t
from minidiff.sampling.classifier_guidance import (
    load_noisy_classifier,
)
from minidiff.training.checkpoint import CheckpointError, save_checkpoint
from minidiff.training.noisy_classification import save_noisy_classifier
from minidiff.training.workers import Workers


@pytest.fixture
def trained():
    return trained_classifier()


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
    alpha_bar = SCHEDULE.at(28).alpha_bar
    x_t = np.float32(np.sqrt(alpha_bar)) * x_0 + np.float32(np.sqrt(1 - alpha_bar)) * noise
    exact = np.exp(log_classifier(x_t, t, 1, DATA, SCHEDULE))
    found = np.exp(log_p(trained, x_t, t, np.ones(200, int)))
    assert exact.std() > 0.3  # otherwise the comparison says nothing
    assert np.abs(found - exact).mean() < 0.12


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
