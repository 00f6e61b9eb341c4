"""The judge: an interrupted training is not believed, goes on to the bit, and nothing that is not finite replaces it."""

import runpy
import signal

import numpy as np
import pytest
from support.examples import EXAMPLES, write_digits
from support.programs import arguments

from minidiff.data import load_dataset
from minidiff.evaluation import credentials, find_classifier
from minidiff.training import ClassifierTrainer
from minidiff.training.checkpoint import CheckpointError, load_checkpoint

NAME = "train_classifier.py"


@pytest.fixture
def run(tmp_path, capsys):
    """run(*words) -> exit status, what it printed and its errors."""
    write_digits(tmp_path / "data", 64)
    common = ["--data-dir", tmp_path / "data", "--batch-size", 16, "--workers", 1]

    def run(*words, data=common):
        status = 0
        with arguments(NAME, *data, *words):
            try:
                runpy.run_path(str(EXAMPLES / NAME), run_name="__main__")
            except SystemExit as end:
                status = end.code
        return (status, *capsys.readouterr())

    return run


def test_it_goes_on_to_the_bit_and_is_believed_only_at_its_end(run, tmp_path, monkeypatch):
    draw = ClassifierTrainer.draw_batch

    def interrupted(self):
        if self.step == 4:
            signal.raise_signal(signal.SIGINT)
        return draw(self)

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierTrainer, "draw_batch", interrupted)
        status, printed, errors = run("--out", tmp_path / "c", "--epochs", 3)
    assert status == 130 and "Interrupted; saved in" in printed, errors
    with pytest.raises(CheckpointError, match="the training of this classifier did not end: go on with --resume"):
        find_classifier(tmp_path / "c")
    with pytest.raises(CheckpointError, match="this classifier has no accuracy: train_classifier.py did not end"):
        credentials(tmp_path / "c")
    status, printed, errors = run("--out", tmp_path / "c", "--resume", data=[])
    assert status == 0 and "continuing at step 5" in printed, errors
    assert run("--out", tmp_path / "straight", "--epochs", 3)[0] == 0
    once, twice = (load_checkpoint(tmp_path / name / "checkpoint", "classifier") for name in ("straight", "c"))
    for key, array in once.arrays.items():
        np.testing.assert_array_equal(array, twice.arrays[key])
    known = credentials(tmp_path / "c")
    assert f"{100 * known.accuracy:.2f} % of {known.held_out} held-out images are right" in printed and known.held_out == 12
    assert find_classifier(tmp_path / "c") is not None and find_classifier(tmp_path / "none") is None
    assert once.description["dataset"] == load_dataset("mnist", tmp_path / "data").identity()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lr", "inf"], "argument --lr: wanted at most 1,000,000, got inf"),
        (["--epochs", "0"], "argument --epochs: wanted a whole number >= 1, got 0"),
        (["--lr", "1e6", "--epochs", "9", "--overwrite"], "error: the training diverged: "),
        ([], "a run is there already"),
    ],
)
def test_rubbish_does_not_replace_it(run, tmp_path, words, message):
    assert run("--out", tmp_path / "c", "--epochs", 1)[0] == 0
    before = load_checkpoint(tmp_path / "c" / "checkpoint")
    with np.errstate(all="ignore"):
        status, _, errors = run("--out", tmp_path / "c", *words)
    assert status == 2 and message in errors, errors
    after = load_checkpoint(tmp_path / "c" / "checkpoint")
    assert after.description == before.description


def test_another_data_set_is_refused_at_resume(run, tmp_path):
    assert run("--out", tmp_path / "c", "--epochs", 1)[0] == 0
    write_digits(tmp_path / "other", 74)
    status, _, errors = run("--out", tmp_path / "c", "--resume", data=["--data-dir", tmp_path / "other"])
    assert status == 2 and "the run was trained on" in errors and "the number of images is 74 but was 64" in errors, errors
