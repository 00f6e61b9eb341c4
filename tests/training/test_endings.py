"""Whatever ends a run early, the step that was reached is saved, and the Ending says why."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.training import RunSettings, Trainer, Workers, load_checkpoint, run
from minidiff.training.lock import only_run_in

HOW_LONG = RunSettings(steps=30, quiet=True)


def make_trainer():
    rng = RNG(0)
    model = UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), rng)
    loader = Loader((rng.uniform((20, 1, 4, 4)) * 255).astype(np.uint8), None, 8, rng, drop_last=True)
    return Trainer(model, make_schedule("linear", 10), loader, AdamW(model.named_parameters()), rng)


def at_step(trainer, number, act):
    """Let act() happen while step `number` is done."""
    draw = trainer.draw_batch

    def draw_batch():
        if trainer.step == number - 1:
            act()
        return draw()

    trainer.draw_batch = draw_batch


def finish(folder, count):
    """Go on with the run in the folder, and return its parameters at the end."""
    trainer = make_trainer()
    if folder is not None:
        trainer.load(folder / "checkpoint")
    with Workers(trainer.model, count) as workers:
        for _ in range(trainer.step, 8):
            trainer.progress = HOW_LONG.progress(trainer)
            trainer.steps(workers).__next__()
    return trainer.model.state_dict()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU"])
def test_a_signal_ends_with_a_checkpoint_and_128_plus_its_number(name, tmp_path):
    number, trainer = getattr(signal, name), make_trainer()
    at_step(trainer, 3, lambda: os.kill(os.getpid(), number))
    with Workers(trainer.model, 1) as workers:
        ending = run(trainer, tmp_path, workers, HOW_LONG)
    assert not ending and ending.status == 128 + number and name in ending.reason
    assert load_checkpoint(tmp_path / "checkpoint").description["step"] == 3


def test_sigterm_may_come_twice(tmp_path):
    trainer = make_trainer()
    at_step(trainer, 2, lambda: [signal.raise_signal(signal.SIGTERM) for _ in range(3)])
    with Workers(trainer.model, 1) as workers:
        assert run(trainer, tmp_path, workers, HOW_LONG).status == 143
    assert load_checkpoint(tmp_path / "checkpoint").description["step"] == 2


@pytest.mark.filterwarnings("ignore:a worker process was killed")
def test_a_killed_worker_costs_nothing_and_the_run_repeats_to_the_bit(tmp_path):
    trainer = make_trainer()
    with Workers(trainer.model, 2) as workers:
        at_step(trainer, 3, lambda: workers._others[0].process.kill())
        ending = run(trainer, tmp_path, workers, HOW_LONG)
    assert ending.status == 1 and "killed by signal 9" in ending.reason
    assert load_checkpoint(tmp_path / "checkpoint").description["step"] == 3
    expected = finish(None, 2)
    for name, array in finish(tmp_path, 2).items():
        np.testing.assert_array_equal(array, expected[name])


def test_an_output_that_is_full_or_closed_ends_with_a_checkpoint(tmp_path, monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        trainer = make_trainer()
        with Workers(trainer.model, 1) as workers:
            ending = run(trainer, tmp_path, workers, RunSettings(steps=10**6, preview_minutes=0.001))
        monkeypatch.undo()
        try:
            full.flush()
        except OSError:
            pass
        assert ending.status == 1 and "No space left" in ending.reason
        step = load_checkpoint(tmp_path / "checkpoint").description["step"]
        assert step == trainer.step < 10**6
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_a_disk_that_is_full_leaves_the_checkpoint_before(tmp_path):
    trainer = make_trainer()
    save = trainer.save

    def full(folder, options=None):
        if trainer.step > 2:
            raise OSError(28, "cannot write: No space left on device", str(folder))
        save(folder, options)

    trainer.save = full
    with Workers(trainer.model, 1) as workers:
        ending = run(trainer, tmp_path, workers, RunSettings(steps=9, preview_minutes=1e-9, quiet=True))
    assert ending.status == 1 and "No space left" in ending.reason and not ending.saved
    assert load_checkpoint(tmp_path / "checkpoint").description["step"] == 2


def test_two_runs_in_one_folder_and_the_lock_dies_with_its_process(tmp_path):
    code = "import sys, time\nfrom minidiff.training.lock import only_run_in\nwith only_run_in(sys.argv[1]):\n    print('in', flush=True)\n    time.sleep(60)\n"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "in\n"
    with pytest.raises(ValueError, match="another run works in this folder"), only_run_in(tmp_path):
        pass
    process.kill()
    process.communicate()
    with only_run_in(tmp_path):
        assert not list(tmp_path.iterdir())
    with only_run_in(tmp_path):
        pass
