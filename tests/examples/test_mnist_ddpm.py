"""The main job as a user starts it: train, interrupt, resume, sample; and what it says when something is wrong."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from support.examples import command, run, write_digits
from support.programs import module_of, options_of

from minidiff.training.checkpoint import load_checkpoint

SMALL = ["--data", "mnist", "--channels", "8", "--timesteps", "20", "--batch-size", "16", "--samples", "6", "--sampling-steps", "3", "--held-out", "0"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder of 64 drawn digits in MNIST's own format."""
    folder = tmp_path_factory.mktemp("data")
    write_digits(folder, 64)
    return folder


def test_train_then_sample(data_dir, tmp_path):
    out = tmp_path / "run"
    result = run("train_mnist_ddpm.py", *SMALL, "--data-dir", data_dir, "--out", out, "--epochs", 2)
    assert result.returncode == 0, result.stderr
    assert "holds only the t10k set" in result.stdout
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint", "loss.png", "loss_per_t.png", "metrics.csv", "samples.npz", "samples.png"]
    assert load_checkpoint(out / "checkpoint", "ddpm").description["step"] == 8
    samples = np.load(out / "samples.npz")["samples"]
    assert samples.shape == (6, 1, 28, 28) and samples.dtype == np.float32 and samples.min() >= 0 and samples.max() <= 1

    for sampler, name in ((["ddim", "--steps", 4], "ddim-4"), (["ddpm", "--variance", "beta"], "ddpm-20")):
        arguments = ["--checkpoint", out / "checkpoint", "--out", tmp_path / "s", "--samples", 5, "--frames", 3, "--sampler", *sampler]
        result = run("sample_mnist.py", *arguments)
        assert result.returncode == 0, result.stderr
        assert np.load(tmp_path / "s" / f"{name}.npz")["samples"].shape == (5, 1, 28, 28)
        assert Image.open(tmp_path / "s" / f"{name}.gif").n_frames == 3
        assert (tmp_path / "s" / f"{name}.png").exists()


def test_ctrl_c_saves_and_says_how_to_resume(data_dir, tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        command("train_mnist_ddpm.py", *SMALL, "--data-dir", data_dir, "--out", out, "--epochs", 100_000),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    line = ""
    while ": loss " not in line:  # it trains
        letter = process.stdout.read(1)
        assert letter, f"it ended before it trained: {process.communicate()[1]}"
        line += letter
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert f"--resume --out {out}" in output and "Interrupted; saved" in output
    step = load_checkpoint(out / "checkpoint").description["step"]
    assert step >= 1

    assert output.split("Continue with:")[1].split()[0] == sys.executable
    assert load_checkpoint(out / "checkpoint").description["options"]["epochs"] == 100_000  # --resume restores it

    result = run("train_mnist_ddpm.py", *SMALL, "--data-dir", data_dir, "--out", out, "--epochs", 1)
    assert result.returncode == 2 and "a run is there already: go on with it (--resume), replace it (--overwrite)" in result.stderr
    assert load_checkpoint(out / "checkpoint").description["step"] == step

    epochs = step // 4 + 1
    result = run("train_mnist_ddpm.py", "--resume", "--out", out, "--epochs", epochs, "--samples", 6, "--sampling-steps", 3)
    assert result.returncode == 0, result.stderr
    assert f"continuing at step {step}" in result.stdout
    assert load_checkpoint(out / "checkpoint").description["step"] == epochs * 4


def test_mistakes_are_told_in_one_line(data_dir, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    base = [*SMALL, "--data-dir", data_dir, "--epochs", 1]
    nowhere = {"MINIDIFF_DATA": str(tmp_path / "empty"), "XDG_CACHE_HOME": str(tmp_path / "empty"), "https_proxy": "http://127.0.0.1:9"}
    cases = [
        ([*base, "--out", tmp_path / "file" / "x"], None, "cannot make the folder"),
        ([*base, "--out", tmp_path / "o", "--channels", "7"], None, "UNet: n_channels must be a multiple of 4, got 7"),
        ([*base, "--out", tmp_path / "o", "--schedule", "quadratic"], None, "invalid choice: 'quadratic'"),
        ([*base, "--out", tmp_path / "o", "--lr", "-1"], None, "argument --lr: wanted a number > 0, got -1"),
        ([*base, "--out", tmp_path / "o", "--ema", "1"], None, r"argument --ema: wanted a number in [0, 1), got 1"),
        ([*base, "--out", tmp_path / "o", "--device", "gpu"], None, "device: wanted 'cpu', 'cuda' or 'cuda:N', got 'gpu'"),
        ([*base, "--out", tmp_path / "o", "--batch-size", "65"], None, "batch_size must be in 1..N = 1..64, got 65"),
        (["--resume", "--out", tmp_path / "empty"], None, "there is no checkpoint here"),
        (["--data", "mnist", "--out", tmp_path / "o", "--epochs", "1"], nowhere, "MNIST"),
    ]
    for arguments, environment, message in cases:
        result = run("train_mnist_ddpm.py", *arguments, environment=environment)
        assert result.returncode == 2, (arguments, result.stdout, result.stderr)
        assert message in result.stderr and "Traceback" not in result.stderr, (arguments, result.stderr)


def test_a_learned_variance_from_training_to_bits_per_dim(data_dir, tmp_path):
    """--variance learned is in the checkpoint; sampling and the bound take it, and refuse it for another run."""
    out = tmp_path / "run"
    result = run("train_mnist_ddpm.py", *SMALL, "--data-dir", data_dir, "--out", out, "--epochs", 1, "--variance", "learned")
    assert result.returncode == 0, result.stderr
    assert load_checkpoint(out / "checkpoint").description["model"]["learned_variance"] is True
    result = run("train_mnist_ddpm.py", "--resume", "--out", out, "--epochs", 2, "--sampling-steps", 3, "--samples", 3)
    assert result.returncode == 0, result.stderr

    arguments = ["--checkpoint", out / "checkpoint", "--out", tmp_path / "s", "--samples", 3, "--frames", 2, "--sampler", "ddpm"]
    result = run("sample_mnist.py", *arguments, "--variance", "learned")
    assert result.returncode == 0, result.stderr
    evaluate = ["--bits-per-dim", out / "checkpoint", "--data-dir", data_dir, "--images", 4]
    found = []
    for options in (["--variance", "learned", "--clip", 1], ["--variance", "beta"], ["--variance", "beta", "--sigma-1", "beta_tilde_2"]):
        result = run("evaluate.py", *evaluate, *options)
        assert result.returncode == 0, result.stderr
        found.append(float(result.stdout.split()[0]))
    assert len(set(found)) == 3


def test_a_variance_that_was_not_learned_is_refused(data_dir, tmp_path):
    out = tmp_path / "run"
    result = run("train_mnist_ddpm.py", *SMALL, "--data-dir", data_dir, "--out", out, "--epochs", 1, "--predict", "mu_tilde")
    assert result.returncode == 0, result.stderr
    result = run("sample_mnist.py", "--checkpoint", out / "checkpoint", "--out", tmp_path / "s", "--sampler", "ddpm", "--variance", "learned")
    assert result.returncode != 0
    assert "variance 'learned' wants a network that returns Prediction(eps, v), got ndarray" in result.stderr
    result = run("train_mnist_ddpm.py", *SMALL, "--data-dir", data_dir, "--out", out, "--graph", "--variance", "learned", "--overwrite")
    assert result.returncode == 2 and "--graph records L_simple only" in result.stderr


def test_images_that_are_held_out_are_not_trained_with(data_dir, tmp_path):
    """What is held out is not trained with, and the checkpoint knows both options."""
    result = run(
        "train_mnist_ddpm.py", *SMALL[:-2], "--data-dir", data_dir, "--out", tmp_path / "run", "--epochs", 2, "--held-out", 16, "--times", "logit-normal",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    facts = load_checkpoint(tmp_path / "run" / "checkpoint", "ddpm").description
    assert facts["options"]["held_out"] == 16 and facts["options"]["times"] == "logit-normal"
    assert facts["step"] == 6  # of 48 images, not of 64


BEYOND = {
    "velocity on the straight path": ["--predict", "velocity", "--schedule", "straight"],
    "v to pure noise": ["--predict", "v", "--zero-terminal-snr", "--weighting", "min_snr"],
    "velocity on the deck's path": ["--predict", "velocity", "--weighting", "edm"],
}


@pytest.mark.parametrize("options", BEYOND.values(), ids=BEYOND)
def test_what_comes_after_the_deck_trains_resumes_and_samples(data_dir, tmp_path, options):
    out = tmp_path / "run"
    result = run("train_mnist_ddpm.py", *SMALL, "--data-dir", data_dir, "--out", out, "--epochs", 1, *options)
    assert result.returncode == 0, result.stderr
    result = run("train_mnist_ddpm.py", "--resume", "--out", out, "--epochs", 2, "--sampling-steps", 3, "--samples", 3)
    assert result.returncode == 0, result.stderr
    facts = load_checkpoint(out / "checkpoint", "ddpm").description
    assert facts["step"] == 8 and facts["prediction"] == options[1]
    assert facts["schedule"].get("zero_terminal", False) == ("--zero-terminal-snr" in options)
    assert facts.get("weighting") == (options[-1] if "--weighting" in options else None)
    ends_in_noise = "straight" in options or "--zero-terminal-snr" in options
    for sampler in ("ddim", "heun", "dpm++", "sa", "flow-euler", "flow-heun") if "straight" in options else ("dpm++",):
        arguments = ["--checkpoint", out / "checkpoint", "--out", tmp_path / "s", "--samples", 2, "--frames", 2, "--sampler", sampler]
        result = run("sample_mnist.py", *arguments, "--steps", 4, "--spacing", "log-snr")
        assert result.returncode == 0, result.stderr
        assert np.isfinite(np.load(tmp_path / "s" / f"{sampler}-4.npz")["samples"]).all()
    result = run("sample_mnist.py", "--checkpoint", out / "checkpoint", "--out", tmp_path / "s", "--samples", 2, "--sampler", "ddpm")
    assert result.returncode == (2 if ends_in_noise else 0), result.stderr
    assert "alpha_bar_T = 0 leaves no x_0_hat in an eps: take ddim with eta = 1" in result.stderr or not ends_in_noise
    bits = run("evaluate.py", "--bits-per-dim", out / "checkpoint", "--data-dir", data_dir, "--images", 2)
    assert bits.returncode == (2 if ends_in_noise else 0), bits.stderr
    assert "no x_0_hat from eps at alpha_bar_t = 0" in bits.stderr or not ends_in_noise


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--predict", "eps", "--zero-terminal-snr"], "the schedule ends in pure noise"),
        (["--variance", "learned", "--schedule", "straight"], "the schedule ends in pure noise"),
        (["--predict", "mu_tilde", "--weighting", "p2"], "--weighting knows eps, x_0, v and velocity, not mu_tilde"),
        (["--variance", "learned", "--predict", "velocity"], "--variance learned has a loss of its own"),
        (["--graph", "--weighting", "edm"], "--graph records L_simple only: it goes without --weighting"),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_training(data_dir, tmp_path, options, message):
    result = run("train_mnist_ddpm.py", *SMALL, "--data-dir", data_dir, "--out", tmp_path / "o", "--epochs", 1, *options)
    assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr, result.stderr


def test_deck_takes_the_settings_of_the_slides_where_none_is_given(data_dir, tmp_path):
    small = ["--data", "mnist", "--timesteps", "20", "--batch-size", "16", "--samples", "4", "--sampling-steps", "3", "--held-out", "0"]
    result = run("train_mnist_ddpm.py", *small, "--channels", 4, "--data-dir", data_dir, "--out", tmp_path / "run", "--epochs", 1, "--deck", "--lr", "2e-3")
    assert result.returncode == 0, result.stderr
    facts = load_checkpoint(tmp_path / "run" / "checkpoint", "ddpm").description
    options = facts["options"]
    assert (facts["prediction"], facts["schedule"]["name"], facts["optimizer"]["name"]) == ("eps", "linear", "AdamW")
    assert (options["patch_size"], options["times"], options["workers"], options["lr"]) == (1, "uniform", 1, 2e-3)


def test_a_graph_on_the_cpu_is_told_and_the_run_goes_on(capsys):
    options = options_of(module_of("train_mnist_ddpm.py"), "--graph", "--device", "cpu")
    assert options.graph and options.optimizer == "adamw"
    assert "--graph is for a GPU: on the CPU each step runs as without it" in capsys.readouterr().out


def test_a_run_keeps_an_early_network_and_sampling_is_guided_by_it(data_dir, tmp_path):
    out = tmp_path / "run"
    result = run("train_mnist_ddpm.py", *SMALL, "--data-dir", data_dir, "--out", out, "--epochs", 3)
    assert result.returncode == 0 and "eta = 1, guidance 2" in result.stdout, result.stderr
    checkpoint = load_checkpoint(out / "checkpoint")
    assert checkpoint.description["early_step"] == 3  # of 12: the first that began after 0.12 of the run
    assert checkpoint.part("early").keys() == checkpoint.part("ema").keys()

    sampled = {}
    for strength in (None, 1, 3):
        words = [] if strength is None else ["--guidance", strength]
        result = run("sample_mnist.py", "--checkpoint", out, "--out", tmp_path / "s", "--samples", 3, "--steps", 3, *words)
        assert result.returncode == 0, result.stderr
        said = "guided away from an early version of itself, strength" in result.stdout
        assert said == (strength != 1)
        sampled[strength] = np.load(tmp_path / "s" / "ddim-3.npz")["samples"]
    assert np.abs(sampled[None] - sampled[1]).max() > 1e-4 and np.abs(sampled[3] - sampled[None]).max() > 1e-4


def test_a_run_without_guidance_keeps_none_and_says_so(data_dir, tmp_path):
    out = tmp_path / "run"
    result = run("train_mnist_ddpm.py", *SMALL, "--data-dir", data_dir, "--out", out, "--epochs", 1, "--guidance", 1)
    assert result.returncode == 0, result.stderr
    assert not load_checkpoint(out / "checkpoint").part("early")
    result = run("sample_mnist.py", "--checkpoint", out, "--out", tmp_path / "s", "--guidance", 2)
    assert result.returncode == 2 and "--guidance 2: the run kept no early version of its network" in result.stderr
