"""A run ends when it should, and Ctrl-C leaves a checkpoint that continues."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.training.checkpoint import load_checkpoint
from minidiff.training.interrupt import delayed_interrupt
from minidiff.training.run import RunSettings, run
from minidiff.training.trainer import Trainer
from minidiff.training.workers import Workers


@pytest.fixture
def trainer():
    rng = RNG(0)
    model = UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), rng)
    loader = Loader((rng.uniform((20, 1, 4, 4)) * 255).astype(np.uint8), None, 4, rng)
    return Trainer(model, make_schedule("linear", 10), loader, AdamW(model.named_parameters()), rng)


def test_stops_at_the_number_of_steps_and_writes(trainer, tmp_path):
    with Workers(trainer.model, 1) as workers:
        assert run(trainer, tmp_path, workers, RunSettings(steps=6, quiet=True), {"a": 1})
    assert trainer.step == 6
    checkpoint = load_checkpoint(tmp_path / "checkpoint", "ddpm")
    assert checkpoint.description["step"] == 6 and checkpoint.description["options"] == {"a": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "loss.png", "metrics.csv"]


def test_stops_at_the_time_limit_and_a_finished_run_does_nothing_more(trainer, tmp_path):
    with Workers(trainer.model, 1) as workers:
        assert run(trainer, tmp_path, workers, RunSettings(minutes=0.005, quiet=True))
        steps = trainer.step
        assert steps >= 1 and trainer.seconds >= 0.3
        assert run(trainer, tmp_path, workers, RunSettings(minutes=0.005, quiet=True))
    assert trainer.step == steps


def test_previews_and_checkpoints_come_while_it_runs(trainer, tmp_path):
    seen = []

    def preview(trainer):
        seen.append((trainer.step, load_checkpoint(tmp_path / "checkpoint").description["step"]))

    with Workers(trainer.model, 1) as workers:
        run(trainer, tmp_path, workers, RunSettings(steps=5, preview_minutes=1e-9, quiet=True), preview=preview)
    assert seen == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_interrupt_ends_after_the_step_and_saves(trainer, tmp_path):
    steps = trainer.steps

    def interrupted_steps(workers):
        for step in steps(workers):
            if trainer.step == 3:
                os.kill(os.getpid(), signal.SIGINT)
            yield step

    trainer.steps = interrupted_steps
    with Workers(trainer.model, 1) as workers:
        assert not run(trainer, tmp_path, workers, RunSettings(steps=100, quiet=True))
    assert load_checkpoint(tmp_path / "checkpoint").description["step"] == 3


def test_the_second_interrupt_stops_at_once_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), delayed_interrupt() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert interrupted
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_without_an_end_is_refused(trainer, tmp_path):
    with Workers(trainer.model, 1) as workers, pytest.raises(ValueError, match="give steps or minutes, or both"):
        run(trainer, tmp_path, workers, RunSettings(quiet=True))


def test_the_learning_rate_falls_to_the_end(trainer, tmp_path):
    trainer.settings = replace(trainer.settings, lr_warmup=0)
    rates = []
    begin = trainer.optimizer.begin_step
    trainer.optimizer.begin_step = lambda: (rates.append(trainer.optimizer.lr), begin())
    with Workers(trainer.model, 1) as workers:
        run(trainer, tmp_path, workers, RunSettings(steps=10, quiet=True))
    assert rates[0] == trainer.lr
    assert all(a > b for a, b in zip(rates, rates[1:], strict=False))
    assert rates[5] == pytest.approx(0.51 * trainer.lr) and rates[-1] < 0.06 * trainer.lr


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"steps": 0}, ValueError, "run: steps must be an int >= 1, got 0"),
        ({"steps": -1}, ValueError, "run: steps must be an int >= 1, got -1"),
        ({"steps": 2.5}, TypeError, "run: steps must be an int >= 1, got 2.5"),
        ({"steps": "3"}, TypeError, "run: steps must be an int >= 1, got '3'"),
        ({"steps": True}, TypeError, "run: steps must be an int >= 1, got True"),
        ({"minutes": float("nan")}, ValueError, "run: minutes must be a number > 0, got nan"),
        ({"minutes": 0}, ValueError, "run: minutes must be a number > 0, got 0"),
        ({"minutes": "1"}, ValueError, "run: minutes must be a number > 0, got '1'"),
        ({"steps": 1, "preview_minutes": None}, ValueError, "run: preview_minutes must be a number > 0, got None"),
    ],
)
def test_a_length_that_no_run_would_reach_is_refused(settings, error, message):
    """0 steps, or NaN minutes, would have trained for ever."""
    with pytest.raises(error, match=message):
        RunSettings(**settings)


def test_numbers_of_numpy_are_a_length():
    assert RunSettings(steps=np.int64(3), minutes=np.float32(0.5)).steps == 3
