"""Both phases as a user runs them: an autoencoder, a model of its latents, words, holes; and what they say when something is wrong."""

import shutil

import numpy as np
import pytest
from PIL import Image
from support.examples import run, succeed, write_digits

from minidiff.data import draw_digits
from minidiff.engine.random import RNG
from minidiff.training.checkpoint import load_checkpoint


def refuse(script, *arguments):
    result = run(script, *arguments)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Options for 200 drawn digits in MNIST's own format."""
    folder = tmp_path_factory.mktemp("data")
    write_digits(folder, 200)
    return ["--data", "mnist", "--data-dir", folder]


@pytest.fixture(scope="module")
def autoencoder(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("vqvae")
    succeed("train_mnist_vqvae.py", *data, "--channels", 8, "--codes", 16, "--epochs", 2, "--out", out)
    return out


@pytest.fixture(scope="module")
def ldm(data, autoencoder, tmp_path_factory):
    out = tmp_path_factory.mktemp("ldm")
    text = succeed(
        "train_mnist_ldm.py", *data, "--autoencoder", autoencoder, "--channels", 8, "--blocks", 1, "--timesteps", 20, "--epochs", 2,
        "--samples", 20, "--sampling-steps", 3, "--out", out,
    )  # fmt: skip
    assert "words: a, an, thin, thick, upright, slanted, zero" in text
    return out


def test_phase_2_writes_samples_with_their_prompts(ldm):
    names = {"autoencoder", "checkpoint", "loss.png", "metrics.csv", "samples.npz", "samples.png", "trajectory.png"}
    assert {path.name for path in ldm.iterdir()} == names
    file = np.load(ldm / "samples.npz")
    samples, labels = file["samples"], file["labels"]
    assert samples.shape == (20, 1, 28, 28) and samples.dtype == np.float32 and samples.min() >= 0 and samples.max() <= 1
    np.testing.assert_array_equal(labels, [*range(10), *range(10)])
    assert all(prompt.endswith(word) for prompt, word in zip(file["prompts"][[7, 18]], ["seven", "eight"], strict=True))
    assert load_checkpoint(ldm / "checkpoint", "ldm").description["step"] == 10


def test_words_become_images_and_images_become_others(ldm, tmp_path):
    succeed("sample_text.py", "--ldm", ldm, "--prompt", "a thin eight", "--prompt", "Two!", "--samples", 3, "--steps", 4, "--out", tmp_path)
    file = np.load(tmp_path / "samples.npz")
    assert file["samples"].shape == (6, 1, 28, 28) and file["samples"].dtype == np.float32
    assert file["prompts"].tolist() == ["a thin eight"] * 3 + ["Two!"] * 3 and file["labels"].tolist() == [8] * 3 + [2] * 3
    assert Image.open(tmp_path / "trajectory.gif").n_frames == 4 and (tmp_path / "samples.png").exists()

    Image.fromarray(draw_digits(np.array([4]), RNG(1))[0, 0]).save(tmp_path / "four.png")
    arguments = ["--ldm", ldm, "--image", tmp_path / "four.png", "--steps", 1, "--samples", 1]
    succeed("sample_text.py", *arguments, "--out", tmp_path / "one")
    for strength in ("0.1", "1"):
        out = tmp_path / strength
        arguments = ["--image", tmp_path / "four.png", "--strength", strength, "--steps", 10, "--samples", 2, "--out", out]
        succeed("sample_text.py", "--ldm", ldm, *arguments)
        assert np.load(out / "samples.npz")["samples"].shape == (2, 1, 28, 28)
    little, much = (Image.open(tmp_path / strength / "trajectory.gif").n_frames for strength in ("0.1", "1"))
    assert little < much == 10


def test_both_kinds_of_runs_go_on_with_their_own_options(data, autoencoder, ldm, tmp_path):
    small = ["--channels", 8, "--epochs", 1, "--samples", 4, "--sampling-steps", 2, "--classifier", tmp_path]
    succeed(
        "inpaint_mnist.py", *data, "--autoencoder", autoencoder, "--condition", "map", "--seed", 3, *small, "--out", tmp_path / "map"
    )  # fmt: skip
    more = ["--resume", "--epochs", 2, "--samples", 4, "--sampling-steps", 2, "--classifier", tmp_path, "--out", tmp_path / "map"]
    assert "continuing at step 5," in succeed("inpaint_mnist.py", *more)
    facts = load_checkpoint(tmp_path / "map" / "checkpoint", "concat").description
    assert facts["step"] == 10 and facts["options"]["condition"] == "map" and facts["options"]["seed"] == 3

    shutil.copytree(ldm, tmp_path / "ldm")
    text = succeed("train_mnist_ldm.py", "--resume", "--epochs", 3, "--samples", 3, "--sampling-steps", 2, "--out", tmp_path / "ldm")
    assert "continuing at step 10," in text
    assert load_checkpoint(tmp_path / "ldm" / "checkpoint", "ldm").description["step"] == 15


def test_a_hole_is_filled_and_what_was_known_is_kept(data, autoencoder, tmp_path):
    for condition in ("mask", "class", "map"):
        out = tmp_path / condition
        succeed(
            "inpaint_mnist.py", *data, "--autoencoder", autoencoder, "--condition", condition, "--channels", 8, "--epochs", 1,
            "--samples", 6, "--sampling-steps", 3, "--classifier", tmp_path, "--out", out,
        )  # fmt: skip
        file = np.load(out / "samples.npz")
        assert file["samples"].shape == (30, 1, 28, 28) and file["labels"].shape == (30,)
        draws = file["samples"].reshape(5, 6, 28, 28)
        same = (draws == draws[0]).all(axis=0).mean()
        assert (same > 0.2) == (condition == "mask") and (out / "inpainting.png").exists()


def test_errors_in_one_line(data, ldm, autoencoder, tmp_path):
    unknown = refuse("sample_text.py", "--ldm", ldm, "--prompt", "a purple eight", "--out", tmp_path)
    assert "'purple' is not a known word" in unknown and "Known are: a, an, thin" in unknown
    assert "kind 'autoencoder', wanted is 'ddpm'" in refuse(
        "sample_mnist.py", "--checkpoint", autoencoder / "checkpoint", "--out", tmp_path
    )
    assert "kind 'ldm', wanted is 'autoencoder'" in refuse("train_mnist_ldm.py", *data, "--autoencoder", ldm, "--out", tmp_path)
    assert "there is no checkpoint here" in refuse("sample_text.py", "--ldm", tmp_path, "--out", tmp_path)
    assert "--image: wanted a picture file, got" in refuse(
        "sample_text.py", "--ldm", ldm, "--steps", 4, "--image", ldm / "samples.npz", "--out", tmp_path
    )
    assert "--steps must be in 1..T = 1..20, got 21" in refuse("sample_text.py", "--ldm", ldm, "--steps", 21, "--out", tmp_path)
    assert "the autoencoder was trained on MNIST-format files (1, 28, 28), got digits (1, 28, 28)" in refuse(
        "train_mnist_ldm.py", "--data", "digits", "--autoencoder", autoencoder, "--out", tmp_path
    )
    assert "--sampling-steps must be in 1..T = 1..20, got 50" in refuse("train_mnist_ldm.py", "--timesteps", 20, "--out", tmp_path)
    assert "--strength must be in (0, 1], got 2" in refuse("sample_text.py", "--ldm", ldm, "--strength", 2)
