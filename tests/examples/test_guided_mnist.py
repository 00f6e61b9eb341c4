"""Classifier guidance as a user starts it, on a U-Net and with classifiers of a few seconds; and what it says when something is wrong."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.examples import write_digits

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import Classifier, ClassifierConfig, UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.training.checkpoint import load_checkpoint, save_checkpoint
from minidiff.training.classification import save_classifier
from minidiff.training.noisy_classification import KIND
from minidiff.training.trainer import Trainer, TrainerSettings

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "guided_mnist.py"
SMALL = ["--channels", 4, "--epochs", 1, "--per-class", 2, "--sampling-steps", 3, "--workers", 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """MNIST's own format in data/, checkpoints of untrained networks in denoiser/, small/ (for 14 x 14 pixels) and classifier/."""
    folder = tmp_path_factory.mktemp("guided")
    images, labels = write_digits(folder / "data", 64)
    rng = RNG(0)
    for name, pictures in (("denoiser", images), ("small", images[:, :, ::2, ::2])):
        unet = UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), rng)
        loader = Loader(pictures, labels, 8, rng)
        Trainer(unet, make_schedule("cosine", 5), loader, AdamW(unet.named_parameters()), rng, TrainerSettings(prediction="v")).save(folder / name)
    judge = Classifier(ClassifierConfig(n_channels=4), rng)
    save_classifier(folder / "classifier", judge, {})
    return folder


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """run(*arguments) -> exit status, stdout, stderr of the program, in this process: an import of everything takes longer than a run."""
    common = ["--denoiser", folder / "denoiser", "--data-dir", folder / "data", *SMALL]

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, [*common, *arguments])])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code
        return (status, *capsys.readouterr())

    return run


def test_it_trains_the_noisy_classifier_guides_to_all_classes_and_is_judged(run, folder, tmp_path):
    status, output, errors = run("--out", tmp_path / "all", "--classifier", folder / "classifier")
    assert status == 0, errors
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["guided.png", "noisy_classifier", "samples.npz"]
    arrays = np.load(tmp_path / "all" / "samples.npz")
    samples = arrays["samples"]
    assert samples.shape == (20, 1, 28, 28) and samples.dtype == np.float32 and samples.min() >= 0 and samples.max() <= 1
    assert arrays["labels"].tolist() == np.arange(10).repeat(2).tolist()
    assert "t =    1..   1" in output and "t =    5..   5" in output
    assert "scale    0: the classifier" in output and "scale    3: the classifier" in output
    facts = load_checkpoint(tmp_path / "all" / "noisy_classifier" / "checkpoint", KIND).description
    assert facts["schedule"] == {"name": "cosine", "T": 5} and len(facts["options"]["accuracy_per_t"]) == 5

    again = tmp_path / "again"  # from the saved one: nothing is trained, the samples are the same
    saved = ["--noisy-classifier", tmp_path / "all" / "noisy_classifier"]
    status, output, errors = run("--out", again, *saved, "--classifier", folder / "none")
    assert status == 0, errors
    assert "training" not in output and "train_classifier.py makes one" in output
    np.testing.assert_array_equal(np.load(again / "samples.npz")["samples"], samples)

    for algorithm in (1, 2):  # one label, at four scales
        out = tmp_path / f"label-{algorithm}"
        status, output, errors = run("--out", out, *saved, "--label", 3, "--algorithm", algorithm, "--scale", 50)
        assert status == 0, errors
        one = np.load(out / "samples.npz")
        assert one["samples"].shape == (2, 1, 28, 28) and one["labels"].tolist() == [3, 3]
        assert Image.open(out / "guided.png").size[1] > 4 * 84  # four rows
    for other in (samples[6:8], np.load(tmp_path / "label-1" / "samples.npz")["samples"]):
        assert np.abs(one["samples"] - other).max() > 0.01


def test_mistakes_are_told_in_one_line(run, folder, tmp_path):
    other = tmp_path / "other"
    save_checkpoint(other, KIND, {"model": {}, "schedule": {"name": "linear", "T": 9}}, {})
    for arguments, message in (
        (["--denoiser", folder / "small"], "the denoiser makes images of (1, 14, 14), MNIST-format files has (1, 28, 28)"),
        (["--denoiser", folder / "classifier"], "this is a checkpoint of kind 'classifier', wanted is 'ddpm'"),
        (["--noisy-classifier", folder / "classifier"], "this is a checkpoint of kind 'classifier', wanted is 'noisy_classifier'"),
        (["--noisy-classifier", tmp_path / "none"], "there is no checkpoint here"),
        (["--noisy-classifier", other], "its schedule is {'name': 'linear', 'T': 9}, the denoiser's is {'name': 'cosine', 'T': 5}"),
        (["--classifier", folder / "denoiser"], "this is a checkpoint of kind 'ddpm', wanted is 'classifier'"),
        (["--label", 10], "--label must be in 0..9, got 10"),
        (["--sampling-steps", 6], "--sampling-steps must be in 1..T = 1..5, got 6"),
        (["--eta", 1.5], "argument --eta: wanted a number in [0, 1], got 1.5"),
        (["--scale", -1], "argument --scale: wanted a number > 0, got -1"),
    ):
        status, output, errors = run("--out", tmp_path / "o", *arguments)
        assert status == 2 and message in errors and "Traceback" not in errors, (arguments, output, errors)
