"""--distributed: the program says everything once, writes everything once, and goes on with another number of ranks."""

import pytest
from support.examples import EXAMPLES
from support.mpi import on_ranks
from support.programs import module_of, options_of

from minidiff.training.checkpoint import load_checkpoint

PROGRAM = EXAMPLES / "train_mnist_ddpm.py"
SMALL = ("--data", "digits", "--channels", 4, "--batch-size", 8, "--timesteps", 20, "--samples", 4, "--sampling-steps", 2, "--held-out", 0)


def test_it_trains_is_refused_the_same_folder_and_goes_on(tmp_path):
    out = tmp_path / "run"
    result = on_ranks(2, PROGRAM, "--distributed", *SMALL, "--minutes", 0.02, "--out", out)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("U-Net with") == result.stdout.count("wrote samples.png") == 1
    assert {path.name for path in out.iterdir()} == {"checkpoint", "loss.png", "loss_per_t.png", "metrics.csv", "samples.npz", "samples.png"}
    step = load_checkpoint(out / "checkpoint").description["step"]

    result = on_ranks(2, PROGRAM, "--distributed", *SMALL, "--minutes", 0.02, "--out", out)  # rank 0 fails, and the other must not wait
    assert result.returncode != 0 and result.stderr.count("a run is there already") == 1, result.stderr

    result = on_ranks(3, PROGRAM, "--distributed", "--resume", "--minutes", 0.04, "--out", out)
    assert result.returncode == 0 and result.stdout.count(f"continuing at step {step}") == 1, result.stderr
    assert load_checkpoint(out / "checkpoint").description["step"] > step


@pytest.mark.parametrize(
    "words, message",
    [
        (("--workers", 2), "--workers 2: with --distributed each rank is one process, so start more ranks instead"),
        (("--graph",), "--graph records the step of one GPU: it goes without --distributed"),
    ],
)
def test_options_that_do_not_go_together(words, message, capsys):
    assert options_of(module_of("train_mnist_ddpm.py"), "--distributed", *words) == 2
    assert message in capsys.readouterr().err
