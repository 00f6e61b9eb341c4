"""Phase 1 as a user starts it: both regularisers, an interruption, Fashion-MNIST, and what it says when something is wrong."""

import re
import signal
import subprocess
import time

import pytest
from PIL import Image
from support import examples
from support.examples import command, write_digits

from minidiff.data import load_dataset
from minidiff.data.mnist import FASHION, MNIST
from minidiff.sampling.latents import encode_images, load_autoencoder, reconstruct
from minidiff.training.checkpoint import load_checkpoint, save_checkpoint
from minidiff.training.workers import Workers

SMALL = ["--channels", 8, "--latent-channels", 3, "--codes", 16, "--batch-size", 16]
STEPS = 3  # an epoch of the 52 images that are not held out


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder of 64 drawn digits, which stand for MNIST and, in fashion/, for Fashion-MNIST."""
    folder = tmp_path_factory.mktemp("data")
    for source, place in ((MNIST, folder), (FASHION, folder / "fashion")):
        write_digits(place, 64, source)
    return folder


def run(*arguments):
    return examples.run("train_mnist_vqvae.py", *arguments)


@pytest.mark.parametrize("regularizer, data", [("vq", "mnist"), ("kl", "fashion")])
def test_it_ends_with_pictures_a_checkpoint_and_figures_that_are_true(data_dir, tmp_path, regularizer, data):
    arguments = ["--data", data, "--data-dir", data_dir, "--out", tmp_path, "--epochs", 2, "--regularizer", regularizer]
    result = run(*SMALL, *arguments)
    assert result.returncode == 0, result.stderr
    assert {"mnist": "MNIST", "fashion": "Fashion-MNIST"}[data] in result.stdout
    pictures = {"vq": ["code_usage.png", "loss.png", "metrics.csv", "perplexity.png", "reconstructions.png"], "kl": ["loss.png", "metrics.csv", "reconstructions.png"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", *pictures[regularizer]]
    assert Image.open(tmp_path / "reconstructions.png").width == 10 * 90 + 6  # 10 of the 12 held-out images, and below each what is left

    trained = load_autoencoder(tmp_path / "checkpoint")
    assert trained.facts["step"] == 2 * STEPS and trained.model.regularizer == regularizer
    train, held_out = load_dataset(data, data_dir).split(12, 0)
    with Workers(trained.model, 1) as workers:
        expected, z = reconstruct(workers, held_out.images), encode_images(workers, train.images)
    assert z.shape == (52, 3, 7, 7) and (z * trained.scale).var() == pytest.approx(1, rel=1e-4)
    printed = r"12 held-out images: mean squared error ([\d.]+) per pixel in \[0, 1\] scale(.*); latent scale ([\d.]+)"
    mse, perplexity, scale = re.search(printed, result.stdout).groups()
    assert float(mse) == pytest.approx(expected.mse, abs=1e-4) and float(scale) == pytest.approx(trained.scale, abs=1e-3)
    assert perplexity == (f", codebook perplexity {expected.perplexity(16):.1f} of 16" if regularizer == "vq" else "")


def test_ctrl_c_saves_and_resume_goes_on_with_the_runs_own_options(data_dir, tmp_path):
    options = ["--data", "mnist", "--data-dir", data_dir]
    process = subprocess.Popen(
        command("train_mnist_vqvae.py", *SMALL, *options, "--out", tmp_path, "--ema-codebook", "--epochs", 100_000),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    line = ""
    while ": loss " not in line:  # it trains
        line += process.stdout.read(1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert f"--resume --out {tmp_path}" in output and "Interrupted; saved" in output
    facts = load_checkpoint(tmp_path / "checkpoint").description
    assert facts["step"] >= 1 and "latent_scale" not in facts["options"]

    epochs = facts["step"] // STEPS + 1
    result = run("--resume", "--out", tmp_path, "--epochs", epochs)
    assert result.returncode == 0, result.stderr
    assert f"continuing at step {facts['step']}" in result.stdout
    trained = load_autoencoder(tmp_path / "checkpoint")
    assert trained.facts["step"] == epochs * STEPS and trained.facts["model"] == facts["model"] and facts["model"]["ema"]


def test_mistakes_are_told_in_one_line(data_dir, tmp_path):
    save_checkpoint(tmp_path / "other" / "checkpoint", "ddpm", {}, {})
    base = [*SMALL, "--data", "mnist", "--data-dir", data_dir, "--epochs", 1, "--out", tmp_path / "o"]
    cases = [
        ([*base, "--channels", "10"], "Autoencoder: n_channels must be a multiple of 4 and at least 8, got 10"),
        (["--resume", "--out", tmp_path / "other"], "this is a checkpoint of kind 'ddpm', wanted is 'autoencoder'"),
    ]
    for arguments, message in cases:
        result = run(*arguments)
        assert result.returncode == 2, (arguments, result.stdout, result.stderr)
        assert message in result.stderr and "Traceback" not in result.stderr, (arguments, result.stderr)
