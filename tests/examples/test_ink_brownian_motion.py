import importlib.util
import sys

import numpy as np
import pytest

from minidiff.classroom.coverage import repository
from minidiff.engine.random import RNG


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("ink", repository() / "examples" / "ink_brownian_motion.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_variance_of_free_ink_grows_by_the_same_amount_every_step(example):
    """20,000 particles, 30 kicks, far from the walls: within 5 standard errors of t KICK^2."""
    *_, x = example.ink_steps(np.zeros((20_000, 2)), 30, RNG(0))
    expected = 30 * example.KICK**2
    assert abs(x[:, 0].var() / expected - 1) < 5 * np.sqrt(2 / 20_000)


def test_the_glass_keeps_the_ink_and_fills_evenly(example):
    """A uniform distribution on [-a, a] has the variance a^2 / 3."""
    *_, x = example.ink_steps(np.zeros((4000, 2)), 2000, RNG(0))
    assert np.abs(x).max() <= example.GLASS
    assert x.var() == pytest.approx(example.GLASS**2 / 3, rel=0.05)


def test_the_program_writes_its_picture(example, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["ink", "--particles", "60", "--out", str(tmp_path)])
    example.main(example.parse_options())
    assert (tmp_path / "ink.png").stat().st_size > 5000
    assert "t = 1000" in capsys.readouterr().out
