"""The points as a user starts them, in a run of seconds; and that the figures of nearness mean something."""

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidiff.data import swiss_roll, swiss_roll_curve
from minidiff.engine.random import RNG
from minidiff.training.checkpoint import load_checkpoint

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "swiss_roll.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("swiss_roll", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(monkeypatch, capsys):
    """run(*arguments) -> exit status, stdout, stderr of the program, in this process: an import of everything takes longer than a run."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code
        return (status, *capsys.readouterr())

    return run


def shares(output):
    """{"data": 99.7, "DDPM": ..., ...}: the first percentage of each line of the table."""
    lines = [line.split() for line in output.splitlines() if line.count("%") == 2]
    return {words[0].rstrip(","): float(words[words.index("%") - 1]) for words in lines}


def test_a_short_run_writes_everything_and_is_nearer_to_the_roll_than_noise(run, tmp_path):
    small = ["--steps", 350, "--points", 2000, "--samples", 300, "--timesteps", 40, "--lr", 0.01]
    status, output, errors = run("--out", tmp_path, *small)
    assert status == 0, errors
    names = ["checkpoint", "field.png", "forward.png", "loss.png", "metrics.csv", "reverse.png", "samples.npz", "ways.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in ("field", "forward", "reverse", "ways"):
        assert min(Image.open(tmp_path / f"{name}.png").size) > 200
    assert load_checkpoint(tmp_path / "checkpoint", "points").description["step"] == 350
    samples = np.load(tmp_path / "samples.npz")
    assert samples["ddpm"].shape == samples["ddim"].shape == (300, 2)
    share = shares(output)
    assert share["data"] > 98 and share["noise"] < 35
    assert share["DDPM"] > share["noise"] + 20 and share["DDIM"] > share["noise"] + 20


def test_nearness_is_high_for_the_roll_low_for_noise_and_sees_points_that_are_all_the_same(example):
    curve = swiss_roll_curve(500)
    near, covered = example.nearness(swiss_roll(500, seed=2), curve)
    assert near > 0.98 and covered > 0.98
    near, covered = example.nearness(RNG(0).normal((500, 2)), curve)
    assert near < 0.3
    near, covered = example.nearness(np.tile(curve[100], (500, 1)), curve)
    assert near == 1 and covered < 0.05


def test_a_schedule_of_few_steps_is_drawn_too(run, tmp_path):
    status, _, errors = run("--out", tmp_path, "--timesteps", 2, "--sampling-steps", 1, "--steps", 2, "--points", 40, "--samples", 9)
    assert status == 0, errors


def test_mistakes_are_told_in_one_line(run, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, message in (
        (["--hidden", 20], "PointDenoiser: n_hidden must be a multiple of 8 and at least 16, got 20"),
        (["--timesteps", 5, "--sampling-steps", 6], "--sampling-steps must be in 1..T = 1..5 (--timesteps), got 6"),
        (["--steps", 0], "argument --steps: wanted a whole number >= 1, got 0"),
        (["--out", tmp_path / "file" / "x"], "cannot make the folder"),
    ):
        status, _, errors = run("--out", tmp_path, *arguments)
        assert status == 2 and message in errors and "Traceback" not in errors, errors
