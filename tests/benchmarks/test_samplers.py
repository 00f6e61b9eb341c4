"""The benchmark runs on a tiny run of the examples, and its table says what was measured."""

import re
import subprocess
import sys
from pathlib import Path

from support.examples import succeed, write_digits

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_it_writes_a_table_of_what_it_measured(tmp_path):
    write_digits(tmp_path / "data", 64)
    data = ["--data", "mnist", "--data-dir", tmp_path / "data"]
    small = ["--channels", "8", "--timesteps", "20", "--batch-size", "16", "--samples", "4", "--sampling-steps", "2", "--epochs", "1"]
    succeed("train_mnist_ddpm.py", *data, *small, "--schedule", "straight", "--out", tmp_path / "run")
    succeed("train_classifier.py", *data, "--epochs", "1", "--batch-size", "16", "--out", tmp_path / "classifier")
    out = tmp_path / "table.md"
    options = [*data, "--checkpoint", tmp_path / "run", "--classifier", tmp_path / "classifier", "--samples", "12", "--batch", "8"]
    command = [sys.executable, BENCHMARKS / "samplers.py", *options, "--calls", "3", "5", "--write", out]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    table = out.read_text()
    assert table in result.stdout and "| sampler | times | 3 calls | 5 calls |" in table
    rows = [line for line in table.splitlines() if re.match(r"\| (ddim|ddpm|heun|dpm|flow)", line)]
    assert len(rows) == 12
    cells = [re.fullmatch(r"\| \S+ \| \S+ \| (.*) \| (.*) \|", row).groups() for row in rows]
    assert cells[2] == cells[3] == ("-", "-"), "DDPM cannot start where no signal is left"
    assert all(re.fullmatch(r"[\d.]+ / (\*\*)?[\d.]+(\*\*)?", cell) for pair in cells[:2] + cells[4:] for cell in pair)
    assert "heun, uniform, 5 calls" in result.stdout and "heun, uniform, 3 calls" in result.stdout
    assert re.search(r"- 5 calls: \S+ with \S+ times, [\d.]+ against [\d.]+ of DDIM", table)
