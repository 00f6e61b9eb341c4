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
    out = tmp_path / "table.json"
    options = [*data, "--checkpoint", tmp_path / "run", "--classifier", tmp_path / "classifier", "--samples", "12", "--batch", "8"]

    def measured(*more):
        command = [sys.executable, BENCHMARKS / "samplers.py", *options, "--calls", "3", "5", "--write", out, *more]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)

    result = measured("--ways", "ddim:uniform", "ddpm:uniform", "heun:log-snr", "flow-heun:uniform")
    assert result.returncode == 0, result.stderr
    table = out.with_suffix(".md").read_text()
    assert table in result.stdout and "| sampler | times | 3 calls | 5 calls |" in table
    found = cells_of(table)
    assert list(found) == ["ddim | uniform", "ddpm | uniform", "flow-heun | uniform", "heun | log-snr"]
    assert found.pop("ddpm | uniform") == ["-", "-"], "DDPM cannot start where no signal is left"
    assert all(re.fullmatch(r"[\d.]+ / (\*\*)?[\d.]+(\*\*)?", cell) for pair in found.values() for cell in pair)
    assert "heun, log-snr, 5 calls" in result.stdout and "heun, log-snr, 3 calls" in result.stdout
    assert re.search(r"- 5 calls: \S+ with \S+ times, [\d.]+ against [\d.]+ of DDIM", table)

    result = measured("--ways", "sa:inner:1", "dpm++:inner", "--calls", "5")  # another part of the same table
    assert result.returncode == 0, result.stderr
    longer = cells_of(out.with_suffix(".md").read_text())
    assert longer["sa, eta = 1 | inner"][0] == "not run" and " / " in longer["sa, eta = 1 | inner"][1]
    assert plain(found["ddim | uniform"]) == plain(longer["ddim | uniform"]) and len(longer) == 6

    for more, message in (
        (["--samples", "8"], "it holds rows of samples = 12, wanted 8; name another file"),
        (["--ways", "euler:uniform"], "sampler must be one of ddim, ddpm, heun"),
    ):
        result = measured(*more)
        assert result.returncode != 0 and message in result.stderr
    assert cells_of(out.with_suffix(".md").read_text()) == longer


def cells_of(table):
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if re.match(r"\| (ddim|ddpm|heun|dpm|flow|sa[ ,])", line)]
    return {" | ".join(row[:2]): row[2:] for row in rows}


def plain(cells):
    return [cell.replace("*", "") for cell in cells]
