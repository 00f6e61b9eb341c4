"""The example programs as a user runs them, and small data in MNIST's own format for them to read."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from minidiff.data import draw_digits, write_idx
from minidiff.data.mnist import MNIST
from minidiff.engine.random import RNG

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def command(script, *arguments):
    """The words that start examples/`script`."""
    return [sys.executable, str(EXAMPLES / script), *map(str, arguments)]


def run(script, *arguments, environment=None):
    """Run it to its end.    -> what `subprocess.run` returns, with stdout and stderr as text"""
    environment = {**os.environ, **(environment or {})}
    return subprocess.run(command(script, *arguments), capture_output=True, text=True, env=environment, timeout=300)


def succeed(script, *arguments):
    """Run it; it must end well.    -> what it printed"""
    result = run(script, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def write_digits(folder, n, source=MNIST):
    """n >= 10 drawn digits as the 10,000 that belong to `source`, whose labels begin as those do.    -> images, labels"""
    folder.mkdir(exist_ok=True)
    labels = np.array([*source.first_labels["t10k"], *np.arange(n - len(source.first_labels["t10k"])) % 10])
    images = draw_digits(labels, RNG(0))
    write_idx(folder / "t10k-images-idx3-ubyte.gz", images[:, 0])
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", labels.astype(np.uint8))
    return images, labels
