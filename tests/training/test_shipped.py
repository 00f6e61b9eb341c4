"""The weights that come with the package, and how they are made of a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.fuzzing import cases, damaged, no_hang

from minidiff.__main__ import main
from minidiff.classroom import ship_weights
from minidiff.classroom.sources import make_source
from minidiff.evaluation import load_classifier
from minidiff.models import UNet
from minidiff.sampling import load_denoiser, load_text_to_image
from minidiff.training import CheckpointError, load_checkpoint, shipped, shipped_run

ROOT = Path(__file__).resolve().parents[2]
OLD_RUNS = ROOT / "tests" / "training" / "checkpoints_of_0_1"


def test_they_are_small_and_say_how_they_were_made():
    files = sorted(shipped.WEIGHTS.rglob("*.npz"))
    assert {path.relative_to(shipped.WEIGHTS).as_posix() for path in files} == {
        "mnist/checkpoint.npz", "mnist_on_pixels/checkpoint.npz", "ldm/checkpoint.npz", "ldm/autoencoder.npz", "classifier.npz",
    }  # fmt: skip
    assert sum(path.stat().st_size for path in files) < shipped.MOST_BYTES == 6 * 1024**2
    for path in files:
        _, description, arrays = shipped.read_weights(path)
        made = description["made"]
        assert made["command"].startswith("python examples/train_") and made["data"] and made["seed"] is not None
        assert all(array.dtype == np.float32 for array in arrays.values())
        assert str(ROOT) not in str(description) and "/tmp" not in str(description)
        assert (description.get("dataset") or {}).get("folder") is None


def test_every_loader_takes_them():
    assert load_denoiser(shipped_run("mnist"), UNet).sample_shape == (1, 28, 28)
    assert load_text_to_image(shipped_run("ldm")).autoencoder.scale > 0
    assert load_classifier(shipped_run("classifier")).parameter_count() > 0
    assert make_source(str(shipped_run("mnist"))).shape == (1, 28, 28)
    assert make_source(str(shipped_run("ldm"))).decode is not None


def test_loading_equals_the_checkpoint_to_rounding(tmp_path):
    run = OLD_RUNS / "classifier"
    ship_weights.ship(str(run), "9 of 10", "few digits", weights=tmp_path)
    before, after = load_checkpoint(run), load_checkpoint(tmp_path / "classifier")
    assert after.kind == before.kind and after.description["made"]["figures"] == "9 of 10"
    wanted = {f"model.{name}": array for name, array in before.part("model").items()}
    assert set(after.arrays) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(after.arrays[name], array.astype(np.float16).astype(np.float32))
        assert np.abs(after.arrays[name] - array).max() <= 2**-11 * np.abs(array).max() + 2**-25


def test_a_shipped_network_keeps_its_averaged_parameters(tmp_path):
    run = OLD_RUNS / "unet"
    ship_weights.ship(str(run), weights=tmp_path)
    before, after = load_denoiser(run, UNet), load_denoiser(tmp_path / "mnist_on_pixels", UNet)
    for (name, a), (_, b) in zip(before.model.named_parameters(), after.model.named_parameters(), strict=True):
        np.testing.assert_allclose(b.data, a.data, rtol=2**-10, atol=1e-6, err_msg=name)


def test_a_run_that_is_not_shipped_is_told(capsys):
    assert main(["weights", "--from", str(OLD_RUNS / "points")]) == 2
    assert "kind must be one of ddpm, ldm, classifier, got 'points'" in capsys.readouterr().err


def test_numbers_that_float16_cannot_hold_are_told(tmp_path):
    with pytest.raises(ValueError, match="write_weights: model.w has numbers that float16 can't hold"):
        shipped.write_weights(tmp_path / "w.npz", "ddpm", {}, {"model.w": np.array([1e6], np.float32)}, {})
    assert list(tmp_path.iterdir()) == []


def test_too_much_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(ship_weights, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match="of at most 100: too much to come with the package"):
        ship_weights.ship(str(OLD_RUNS / "classifier"), weights=tmp_path)


@pytest.mark.parametrize("data", [b"", b"no zip at all", None])
def test_damaged_weights_are_told(tmp_path, data):
    whole = (shipped.WEIGHTS / "classifier.npz").read_bytes()
    (tmp_path / "checkpoint.npz").write_bytes(whole[: len(whole) // 2] if data is None else data)
    with pytest.raises(CheckpointError, match="wanted weights that `python -m minidiff weights` made: it is no npz file, or it is cut off"):
        load_checkpoint(tmp_path / "checkpoint")


def text(**facts):
    return np.frombuffer(json.dumps({"kind": "ddpm", **facts}).encode(), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"samples": np.zeros(3)}, "there is no array `description`, only 'samples'"),
        ({"description": np.frombuffer(b"[1]", np.uint8)}, "damaged weights"),
        ({"description": np.frombuffer(b"[" * 10**5, np.uint8)}, "damaged weights"),
        ({"description": text(), "model.w": np.zeros(3, complex)}, "damaged weights .model.w has dtype complex128, wanted is a float"),
        ({"description": text(), "model.w": np.array(["a"])}, "damaged weights .model.w has dtype <U1, wanted is a float"),
        ({"description": text(), "model.w": np.array([None])}, "model.w.npy has a header that makes no sense: object are no plain numbers"),
        ({"description": text(), "model.w": np.zeros(2**19, "f"), "model.x": np.zeros(2**19, "f")}, r"model.x.npy has 2,097,\d+ bytes, more than 902,"),
    ],
)
def test_weights_that_make_no_sense_are_told_in_one_line_before_they_are_unpacked(tmp_path, monkeypatch, arrays, message):
    """The last one is 1/1000 as long on the disk: a bomb."""
    monkeypatch.setattr(shipped, "MOST_UNPACKED", 3_000_000)
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(tmp_path / "x")
    assert "\n" not in str(caught.value)


def test_flipped_and_lost_bytes_of_weights_end_in_one_line(tmp_path):
    whole, refused = (shipped.WEIGHTS / "classifier.npz").read_bytes(), 0
    for _, random in cases(60, seed=8):
        (tmp_path / "x.npz").write_bytes(damaged(whole, random))
        try:
            with no_hang():
                load_classifier(tmp_path / "x")
        except CheckpointError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 40


@pytest.mark.parametrize("folder", [".", "..", "../..", "/"])
def test_a_folder_that_is_named_by_dots_may_be_a_checkpoint(tmp_path, monkeypatch, folder):
    """`cd runs/mnist/checkpoint`, then `--checkpoint .`"""
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    with pytest.raises(CheckpointError, match="there is no checkpoint here"):
        load_checkpoint(folder)
    place = Path(folder).resolve()
    if place != Path("/"):
        (place.parent / f"{place.name}.npz").write_bytes((shipped.WEIGHTS / "classifier.npz").read_bytes())
        assert load_checkpoint(folder).kind == "classifier"


def test_another_kind_is_told():
    with pytest.raises(CheckpointError, match="these are weights of kind 'classifier', wanted is 'ddpm'"):
        load_denoiser(shipped_run("classifier"), UNet)


def test_missing_and_unknown_weights_are_told(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="name must be one of mnist, mnist_on_pixels, ldm, classifier, got 'cats'"):
        shipped_run("cats")
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    with pytest.raises(FileNotFoundError, match="no weights come with this copy of minidiff for 'mnist'"):
        shipped_run("mnist")


def test_which_run_is_taken(tmp_path):
    (tmp_path / "usual").mkdir()
    assert shipped.run_or_shipped("mine", str(tmp_path / "usual"), "mnist")[0] == "mine"
    assert shipped.run_or_shipped(None, str(tmp_path / "usual"), "mnist")[0] == str(tmp_path / "usual")
    folder, said = shipped.run_or_shipped(None, str(tmp_path / "nothing"), "mnist")
    assert folder == str(shipped_run("mnist")) and "weights that come with minidiff (mnist)" in said


@pytest.mark.parametrize(
    ("words", "written"),
    [(["sample_mnist.py", "--samples", "2", "--steps", "3"], "ddim-3.png"), (["sample_text.py", "--samples", "1", "--steps", "3"], "samples.png")],
)
def test_the_samplers_need_no_run(tmp_path, words, written):
    command = [sys.executable, str(ROOT / "examples" / words[0]), *words[1:], "--workers", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "sampling from the weights that come with minidiff" in done.stdout
    assert (tmp_path / "out" / written).exists()


def test_what_comes_with_the_package_is_listed(capsys):
    assert main(["weights"]) == 0
    text = capsys.readouterr().out
    assert "mnist/checkpoint: " in text and "command  python examples/train_mnist_ddpm.py" in text
