"""Every example with an output that is closed (`| head -1`) or full: its work is saved, the exit status is not 0, no traceback."""

import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
from support.examples import EXAMPLES, command, write_digits
from support.programs import EVERY_PROGRAM, PROGRAMS, arguments

from minidiff.training.checkpoint import load_checkpoint

TRAIN = ["--data", "mnist", "--channels", 8, "--batch-size", 16, "--workers", 1, "--epochs", 2]
SAMPLE = ["--samples", 10, "--sampling-steps", 2]
COMMANDS = {  # in an order in which each finds what it needs
    "ink_brownian_motion.py": ["--particles", 20],
    "swiss_roll.py": ["--steps", 3, "--points", 40, "--samples", 9, "--timesteps", 4, "--sampling-steps", 2, "--hidden", 16],
    "train_classifier.py": ["--data", "mnist", "--batch-size", 16, "--workers", 1, "--epochs", 2, "--out", "runs/classifier"],
    "train_mnist_ddpm.py": [*TRAIN, *SAMPLE, "--timesteps", 5],
    "train_mnist_vqvae.py": [*TRAIN, "--latent-channels", 2, "--codes", 8],
    "train_mnist_ldm.py": [*TRAIN, *SAMPLE, "--timesteps", 5, "--autoencoder", "runs/vqvae"],
    "inpaint_mnist.py": [*TRAIN, *SAMPLE, "--autoencoder", "runs/vqvae"],
    "guided_mnist.py": ["--channels", 4, "--epochs", 2, "--per-class", 1, "--sampling-steps", 2, "--workers", 1, "--batch-size", 16],
    "sample_mnist.py": ["--steps", 2, "--samples", 2, "--frames", 2, "--workers", 1],
    "sample_text.py": ["--ldm", "runs/ldm", "--steps", 2, "--samples", 2, "--workers", 1],
    "evaluate.py": ["--bits-per-dim", "runs/mnist/checkpoint", "--images", 2, "--workers", 1],
    "signals.py": ["--steps", 40, "--channels", 16, "--samples", 4],
    "interop.py": ["--steps", 2, "--training-steps", 3],
}  # fmt: skip
CHECKPOINTS = {
    "swiss_roll.py": "swiss_roll/checkpoint", "train_classifier.py": "classifier/checkpoint", "train_mnist_ddpm.py": "mnist/checkpoint",
    "train_mnist_vqvae.py": "vqvae/checkpoint", "train_mnist_ldm.py": "ldm/checkpoint", "inpaint_mnist.py": "inpaint/checkpoint",
    "guided_mnist.py": "guided/noisy_classifier/checkpoint",
}  # fmt: skip


def full():
    return open("/dev/full", "w")


def closed():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def status_of(name, *words, stdout=None):
    before = sys.stdout
    sys.stdout = before if stdout is None else stdout
    try:
        with arguments(name, *words):
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return 0
    except SystemExit as end:
        return end.code
    finally:
        sys.stdout = before


@pytest.fixture(scope="module", params=[full, closed])
def place(request, tmp_path_factory):
    """A folder to work in, with data of 160 digits, and the broken output."""
    folder = tmp_path_factory.mktemp("broken")
    write_digits(folder / "data", 160)
    before, was = os.getcwd(), os.environ.get("MINIDIFF_DATA")
    os.chdir(folder)
    os.environ["MINIDIFF_DATA"] = str(folder / "data")
    yield folder, request.param
    os.chdir(before)
    if was is None:
        del os.environ["MINIDIFF_DATA"]
    else:
        os.environ["MINIDIFF_DATA"] = was


def test_every_example_is_here():
    assert sorted(COMMANDS) == EVERY_PROGRAM


@pytest.mark.parametrize("name", [name for name in COMMANDS if name in PROGRAMS])
def test_the_work_is_saved_and_goes_on(name, place, capfd):
    folder, broken = place
    status = status_of(name, *COMMANDS[name], stdout=broken())
    errors = capfd.readouterr().err
    assert status == 1 and "Traceback" not in errors and "Exception ignored" not in errors, errors
    reason = "No space left on device" if broken is full else "Broken pipe"
    assert f"the output cannot be written ({reason})" in errors
    if name not in CHECKPOINTS:
        return
    checkpoint = folder / "runs" / CHECKPOINTS[name]
    assert load_checkpoint(checkpoint).description["step"] == 1
    assert "Interrupted; saved in" in errors and "--resume --out" in errors
    assert status_of(name, "--resume") == 0
    assert load_checkpoint(checkpoint).description["step"] > 1
    if name == "train_mnist_ddpm.py":  # as if nothing had been
        assert status_of(name, *COMMANDS[name], "--out", "straight") == 0
        for key, array in load_checkpoint("straight/checkpoint").arrays.items():
            np.testing.assert_array_equal(array, load_checkpoint(checkpoint).arrays[key])


def test_in_a_shell(tmp_path):
    words = " ".join(command("ink_brownian_motion.py", "--particles", 20, "--out", tmp_path / "ink"))
    text = f"set -o pipefail; {words} | true; echo $?; {words} > /dev/full; echo $?; {words} --help | true; echo $?; {words} >&-; echo $?"
    result = subprocess.run(["bash", "-c", text], capture_output=True, text=True)
    assert result.stdout.split() == ["1", "1", "1", "0"], result
    assert "Traceback" not in result.stderr and "Exception ignored" not in result.stderr
    assert (tmp_path / "ink" / "ink.png").exists()
