"""--data DIR as a user gives it: coloured pictures of another size through training, sampling and judging; and what is said when it doesn't fit."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from support.examples import run, succeed

from minidiff.models import Classifier, ClassifierConfig
from minidiff.training.checkpoint import load_checkpoint
from minidiff.training.classification import save_classifier

SHORT = ["--epochs", 1, "--workers", 1]


def draw(folder, n):
    """n pictures of a disc or a square, wide and tall, PNG and JPEG, in a subfolder for each kind."""
    rng = np.random.default_rng(0)
    for i in range(n):
        picture = Image.new("RGB", [(30, 20), (20, 26)][i % 2], tuple(rng.integers(0, 60, 3).tolist()))
        kind = ("disc", "square")[i // 2 % 2]
        shape = ImageDraw.Draw(picture).ellipse if kind == "disc" else ImageDraw.Draw(picture).rectangle
        x, y = picture.width / 2, picture.height / 2
        shape([x - 6, y - 6, x + 6, y + 6], fill=tuple(rng.integers(100, 256, 3).tolist()))
        (folder / kind).mkdir(parents=True, exist_ok=True)
        picture.save(folder / kind / f"{i}.{('png', 'jpg')[i // 4 % 2]}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """pictures/, and a classifier of them in classifier/."""
    folder = tmp_path_factory.mktemp("own")
    draw(folder / "pictures", 40)
    succeed("train_classifier.py", "--data", folder / "pictures", "--size", 16, "--out", folder / "classifier", *SHORT)
    return folder


def samples_in(out):
    return np.load(out / "samples.npz")["samples"]


def test_train_with_a_judge_move_the_pictures_resume_sample_and_judge(folder, tmp_path):
    small = ["--channels", 8, "--timesteps", 20, "--patch-size", 2, "--workers", 1]
    pictures, out = folder / "pictures", tmp_path / "run"
    said = succeed("train_mnist_ddpm.py", "--data", pictures, "--size", 16, "--out", out, "--epochs", 1, "--samples", 6, "--sampling-steps", 3, "--judge", folder / "classifier", *small)
    assert f"own pictures: 40 coloured pictures in 2 classes from {pictures}, 16 x 16." in said
    assert samples_in(out).shape == (6, 3, 16, 16)
    assert np.asarray(Image.open(out / "samples.png")).std(axis=2).max() > 20  # not grey
    described = load_checkpoint(out / "checkpoint", "ddpm").description
    assert described["dataset"]["image_shape"] == [3, 16, 16] and described["options"]["batch_size"] == 38

    before, moved = (pictures / "disc" / "0.png").read_bytes(), pictures.rename(folder / "moved")
    try:
        result = run("train_mnist_ddpm.py", "--resume", "--out", out, "--epochs", 2)
        assert result.returncode == 2 and f"its pictures were in --data {pictures}, and there is no such folder" in result.stderr
        again = ["--resume", "--out", out, "--epochs", 2, "--sampling-steps", 3, "--samples", 8]
        assert "continuing at step 1" in succeed("train_mnist_ddpm.py", *again, "--data", moved)
        Image.new("RGB", (20, 20)).save(moved / "disc" / "0.png")
        result = run("train_mnist_ddpm.py", *again, "--data", moved)
        assert result.returncode == 2 and "this is own pictures from" in result.stderr and "the checksum is" in result.stderr
    finally:
        (moved / "disc" / "0.png").write_bytes(before)
        moved.rename(pictures)

    succeed("sample_mnist.py", "--checkpoint", out / "checkpoint", "--out", tmp_path / "s", "--samples", 4, "--frames", 2, "--steps", 3, "--sampler", "heun")
    assert np.load(tmp_path / "s" / "heun-3.npz")["samples"].shape == (4, 3, 16, 16)
    assert Image.open(tmp_path / "s" / "heun-3.gif").n_frames == 2
    judged = succeed("evaluate.py", "--samples", out / "samples.npz", "--classifier", folder / "classifier", "--data", pictures, "--size", 16)
    assert "of own pictures right" in judged and judged.count("8 samples: ") == 3
    bits = succeed("evaluate.py", "--bits-per-dim", out / "checkpoint", "--data", pictures, "--size", 16, "--images", 4)
    assert "for 4 images of own pictures in 20 terms" in bits


def test_the_judge_counts_when_few_pictures_are_there(folder, tmp_path):
    """40 pictures are fewer than a preview's 64 samples need; the figures are there all the same."""
    out = tmp_path / "run"
    said = succeed("train_mnist_ddpm.py", "--data", folder / "pictures", "--size", 16, "--out", out, "--channels", 8, "--timesteps", 20, "--samples", 4,
                   "--sampling-steps", 3, "--minutes", 0.1, "--held-out", 4, "--judge", folder / "classifier", "--workers", 1)  # fmt: skip
    assert "does not judge" not in said
    header, *rows = (line.split(",") for line in (out / "metrics.csv").read_text().splitlines())
    assert header[-2:] == ["confident", "frechet_ratio"] and rows


def test_latents_captions_and_holes(folder, tmp_path):
    data = ["--data", folder / "pictures", "--size", 16]
    succeed("train_mnist_vqvae.py", *data, "--out", tmp_path / "vq", "--channels", 8, *SHORT)
    said = succeed("train_mnist_ldm.py", *data, "--autoencoder", tmp_path / "vq", "--out", tmp_path / "ldm", "--channels", 8, "--samples", 4, "--sampling-steps", 3, *SHORT)
    assert "words: a, an, disc, square" in said and samples_in(tmp_path / "ldm").shape == (4, 3, 16, 16)
    succeed("sample_text.py", "--ldm", tmp_path / "ldm", "--prompt", "a square", "--samples", 2, "--steps", 3, "--out", tmp_path / "text")
    assert samples_in(tmp_path / "text").shape == (2, 3, 16, 16)
    said = succeed("inpaint_mnist.py", *data, "--autoencoder", tmp_path / "vq", "--out", tmp_path / "holes", "--channels", 8, "--samples", 3, "--sampling-steps", 3,
                   "--classifier", folder / "classifier", *SHORT)  # fmt: skip
    assert "of 15 samples" in said and samples_in(tmp_path / "holes").shape == (15, 3, 16, 16)


def test_guidance_to_own_classes(folder, tmp_path):
    out = tmp_path / "run"
    data = ["--data", folder / "pictures", "--size", 16]
    succeed("train_mnist_ddpm.py", *data, "--out", out, "--channels", 8, "--timesteps", 20, "--samples", 2, "--sampling-steps", 3, *SHORT)
    small = ["--denoiser", out / "checkpoint", "--channels", 4, "--per-class", 2, "--sampling-steps", 3]
    said = succeed("guided_mnist.py", *data, *small, "--out", tmp_path / "g", "--classifier", folder / "classifier", *SHORT)
    assert "sees the wanted one in" in said and np.load(tmp_path / "g" / "samples.npz")["labels"].tolist() == [0, 0, 1, 1]
    result = run("guided_mnist.py", *data, *small, "--label", 2, "--out", tmp_path / "h", *SHORT)
    assert result.returncode == 2 and "--label must be in 0..1, got 2" in result.stderr


def test_mistakes_are_told_in_one_line(folder, tmp_path):
    pictures = folder / "pictures"
    np.savez(tmp_path / "one.npz", images=np.zeros((20, 8, 8), np.uint8))
    (tmp_path / "nothing").mkdir()
    out = ["--out", tmp_path / "o", "--epochs", 1]
    for script, arguments, message in (
        ("train_mnist_ddpm.py", ["--data", "minst"], "argument --data: wanted one of mnist, fashion, digits, auto, or a folder of pictures or an .npz file that is there, got minst"),
        ("train_mnist_ddpm.py", ["--data", pictures, "--size", 30], "argument --size: wanted a multiple of 4 in 8..512, got 30"),
        ("train_mnist_ddpm.py", ["--data", "digits", "--size", 32], "--size and --grey go with --data DIR: the pictures of digits are grey, 28 x 28"),
        ("train_mnist_ddpm.py", ["--data", tmp_path / "nothing"], "wanted files .png, .jpg, .jpeg, ... in it or in its subfolders, got none"),
        ("train_mnist_ddpm.py", ["--data", pictures / "disc" / "0.png"], "wanted a folder of pictures or an .npz file, got"),
        ("train_classifier.py", ["--data", tmp_path / "one.npz"], "wanted at least two classes to tell apart, got one: put the pictures of each class into a subfolder"),
        ("train_mnist_ddpm.py", ["--data", pictures, "--batch-size", 64], "batch_size must be in 1..N = 1..38, got 64"),
    ):
        result = run(script, *arguments, *out)
        assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr, (arguments, result.stderr)
        assert not (tmp_path / "o" / "checkpoint").exists()


def test_a_classifier_of_digits_does_not_judge_them(folder, tmp_path):
    """The default classifier may be one of MNIST: it is named and left out, before the training."""
    save_classifier(tmp_path / "digits", Classifier(ClassifierConfig(n_channels=4)), {"dataset": {"name": "MNIST"}})
    said = succeed("train_mnist_ddpm.py", "--data", folder / "pictures", "--size", 16, "--out", tmp_path / "o", "--channels", 8, "--timesteps", 20, "--samples", 2,
                   "--sampling-steps", 3, "--judge", tmp_path / "digits", *SHORT)  # fmt: skip
    assert "does not judge: it knows MNIST, 10 classes of images (1, 28, 28); this is own pictures, 2 of (3, 16, 16)" in said
