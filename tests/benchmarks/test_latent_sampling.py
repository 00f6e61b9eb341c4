"""The benchmark runs, and its table says what was measured."""

import re
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_it_writes_a_table_of_what_it_measured(tmp_path):
    out = tmp_path / "table.md"
    options = ["--images", "8", "--steps", "1", "--rounds", "1", "--write", str(out)]
    result = subprocess.run([sys.executable, str(BENCHMARKS / "latent_sampling.py"), *options], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    table = out.read_text()
    assert table in result.stdout and "--images 8 --steps 1 --rounds 1" in table
    ratios = [float(ratio) for ratio in re.findall(r"\| ([0-9.]+) \|$", table, re.M)]
    assert len(ratios) == 3 and ratios[2] == 1.0 and min(ratios) > 0
