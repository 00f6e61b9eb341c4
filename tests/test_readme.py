"""The README's first screen: a picture, a short program that runs, and two commands."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
PROGRAM = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)


def test_a_picture_then_a_program_then_two_commands_come_first():
    picture, program, install, tests = (
        README.index(text) for text in ("![", "```python", "examples/train_mnist_ddpm.py\n", "-m pytest\n")
    )
    assert picture < program < install < tests
    assert README[:tests].count("![") == 1
    assert (Path(__file__).resolve().parents[1] / re.search(r"!\[.*?\]\((.*?)\)", README).group(1)).is_file()


def test_the_program_has_at_most_twenty_lines_that_fit_on_a_projector():
    lines = [line for line in PROGRAM.splitlines() if line.strip()]
    assert len(lines) <= 20 and max(map(len, lines)) <= 90


def test_the_program_takes_a_training_step_and_samples(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(PROGRAM, "README.md", "exec"), names)
    assert "Step train" in capsys.readouterr().out
    assert names["trainer"].step == 1 and names["x_0"].shape == (4, 1, 28, 28)
    assert np.isfinite(names["x_0"]).all() and names["schedule"].T == 1000
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.format == "PNG"
