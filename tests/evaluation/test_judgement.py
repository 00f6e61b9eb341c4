import numpy as np
import pytest

from minidiff import functional as F
from minidiff import no_grad
from minidiff.data import draw_digits, to_float
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.evaluation.judgement import judge, load_classifier
from minidiff.models import Classifier, ClassifierConfig
from minidiff.training.checkpoint import CheckpointError, save_checkpoint
from minidiff.training.classification import save_classifier
from minidiff.training.workers import Workers


def test_judge_is_the_network_in_evaluation_mode_whatever_the_chunks():
    model = Classifier(ClassifierConfig(n_channels=4), RNG(0))
    x = to_float(draw_digits(np.arange(13) % 10, RNG(1)))
    with Workers(model, 2) as workers:
        judgement = judge(workers, x, chunk=3)
    assert model.training  # as before
    model.eval()
    with no_grad():
        np.testing.assert_allclose(judgement.probabilities, F.softmax(model(Tensor(x))).data, atol=1e-6)
    np.testing.assert_allclose(judgement.confidence, judgement.probabilities.max(axis=1))


def test_a_classifier_is_loaded_and_another_kind_is_refused(tmp_path):
    model = Classifier(ClassifierConfig(n_channels=4), RNG(5))
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
    save_classifier(tmp_path / "c", model, {})
    loaded = load_classifier(tmp_path / "c")
    np.testing.assert_array_equal(loaded.lin2.weight.data, model.lin2.weight.data)
    save_checkpoint(tmp_path / "d", "ddpm", {"model": {}}, arrays)
    with pytest.raises(CheckpointError, match="kind 'ddpm', wanted is 'classifier'"):
        load_classifier(tmp_path / "d")
