"""Diffusion of waves: the measure of purity means something, the network sees in time, and a short training beats noise."""

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minidiff as md
from minidiff import RNG
from minidiff.diffusion import ddim_sample, make_schedule
from minidiff.training import DivergenceError

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "signals.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("signals_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_waves_have_one_frequency_and_variance_1(example):
    waves = example.draw_waves(500, RNG(0))
    assert waves.shape == (500, 1, 1, example.LENGTH) and waves.dtype == np.float32
    np.testing.assert_allclose(example.purity(waves), 1, rtol=1e-5)
    np.testing.assert_allclose(waves.var(axis=-1), 1, rtol=1e-4)
    strongest = np.abs(np.fft.rfft(waves[:, 0, 0])).argmax(axis=1)
    assert set(strongest) == set(range(2, 9))


def test_purity_is_low_for_noise_and_half_for_two_tones(example):
    assert example.purity(RNG(0).normal((200, 1, 1, 64))).mean() < 0.2
    l = np.arange(64) / 64  # noqa: E741  (as in the formula)
    both = np.sin(2 * np.pi * 3 * l) + np.sin(2 * np.pi * 5 * l)
    np.testing.assert_allclose(example.purity(both[None]), [0.5])


def test_the_network_sees_the_whole_signal_and_no_other_one(example):
    model, t = example.SignalDenoiser(16, RNG(0)), np.array([3, 3])
    x = md.Tensor(RNG(1).normal((2, 1, 1, example.LENGTH)), requires_grad=True)
    model(x, t)[0, 0, 0, example.LENGTH // 2].backward()
    assert (x.grad[0] != 0).all() and not x.grad[1].any()


def test_a_short_training_makes_purer_tones_than_noise(example):
    rng, schedule = RNG(0), make_schedule("linear", 50)
    model = example.SignalDenoiser(16, rng)
    losses = example.train(model, schedule, rng, 150)
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:10])
    start = rng.normal((60, 1, 1, example.LENGTH))
    pure = example.purity(ddim_sample(model, start, schedule, steps=20)).mean()
    assert pure > example.purity(start).mean() + 0.05


def test_the_program_writes_its_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["signals.py", "--out", str(tmp_path), "--steps", "3", "--channels", "16", "--samples", "4"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr().out
    assert "strongest frequency, data    100.0%" in said and "wrote signals.png" in said
    with Image.open(tmp_path / "signals.png") as picture:
        assert picture.format == "PNG"


def test_a_training_that_diverges_ends(example):
    """As every training does: no picture of noise that looks like a result."""
    model = example.SignalDenoiser(16, RNG(0))
    weight = model.start.weight
    weight.assign(np.full(weight.shape, np.nan, np.float32))
    with pytest.raises(DivergenceError, match="the training diverged: the loss of step 1 is nan"):
        example.train(model, make_schedule("linear", 50), RNG(0), 5)
