"""benchmarks/attention_tiles.py has little time on a GPU: here it runs without one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from minidiff.kernels.cuda.library import load

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "attention_tiles.py"


def test_a_dry_run_times_every_tile_and_marks_the_parts_that_the_model_takes():
    if load("cpu")[0] is None:
        pytest.skip(load("cpu")[1])
    result = subprocess.run([sys.executable, str(SCRIPT), "--dry-run"], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    fast, tf32x3 = (line for line in result.stdout.splitlines() if line.startswith("| 2, 7, 4 |"))
    number = r"\d+\.\d"
    assert re.fullmatch(rf"\| 2, 7, 4 \| fast \| auto {number}, small {number}, narrow {number}, medium {number}, large {number} \| 1\* {number} \|", fast)
    assert re.fullmatch(rf"\| 2, 7, 4 \| tf32x3 \| auto {number}, small {number}, large {number} \| 1\* {number} \|", tf32x3)
