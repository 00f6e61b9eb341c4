"""metrics.csv has a row every 20 steps and at previews, without gaps or doubles over interruptions."""

import math
import signal

import numpy as np
import pytest

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.training import RunSettings, Trainer, Workers, run
from minidiff.training.metrics import COLUMNS, MetricsFile, read_metrics

HOW_LONG = RunSettings(steps=50, quiet=True)


def make_trainer():
    rng = RNG(0)
    model = UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), rng)
    loader = Loader((rng.uniform((20, 1, 4, 4)) * 255).astype(np.uint8), None, 8, rng, drop_last=True)
    return Trainer(model, make_schedule("linear", 10), loader, AdamW(model.named_parameters()), rng)


def train(trainer, folder, settings=HOW_LONG, **others):
    with Workers(trainer.model, 1) as workers:
        return run(trainer, folder, workers, settings, **others)


def test_a_row_every_20_steps_and_at_the_end(tmp_path):
    trainer, seen = make_trainer(), []
    assert train(trainer, tmp_path, log=seen.append)
    found = read_metrics(tmp_path / "metrics.csv")
    assert found["step"] == [20, 40, 50] == [row["step"] for row in seen]
    parts = trainer.losses[:20], trainer.losses[20:40], trainer.losses[40:]
    np.testing.assert_allclose(found["loss"], [part.mean() for part in parts], rtol=1e-5)
    assert found["seconds"] == sorted(found["seconds"]) and found["lr"][-1] == pytest.approx(trainer.optimizer.lr, 1e-5)
    assert min(found["gradient_norm"]) > 0 and all(map(math.isnan, found["confident"]))


def test_figures_of_a_preview_stand_in_the_row_of_its_step(tmp_path, capsys):
    figures = {"held_out_loss": 0.25, "confident": 0.5, "frechet_ratio": 2.0}
    settings = RunSettings(steps=3, preview_minutes=1e-9)
    assert train(make_trainer(), tmp_path, settings, preview=lambda trainer: figures)
    found = read_metrics(tmp_path / "metrics.csv")
    assert found["step"] == [1, 2, 3] and found["held_out_loss"][:2] == [0.25, 0.25]
    assert math.isnan(found["held_out_loss"][2])
    said = capsys.readouterr().out
    assert "held out 0.2500, classifier sure of 50%, Frechet distance 2.0 x that of real images" in said
    assert "\r" not in said and said.count("step 2, ") == 1  # this is no terminal: no frames of a bar


def test_an_unknown_figure_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"wanted figures among step, .*, got \['beauty'\]"):
        train(make_trainer(), tmp_path, RunSettings(steps=3, preview_minutes=1e-9, quiet=True), preview=lambda trainer: {"beauty": 1})


def test_a_resumed_run_has_each_step_once(tmp_path):
    trainer = make_trainer()
    draw = trainer.draw_batch

    def draw_batch():
        if trainer.step == 32:
            signal.raise_signal(signal.SIGTERM)
        return draw()

    trainer.draw_batch = draw_batch
    assert train(trainer, tmp_path).status == 143
    with (tmp_path / "metrics.csv").open("a") as file:  # as if it had been killed later, within a row
        file.write("40,1.0,9.0,0.1,1.0,,,\n60,1.")
    again = make_trainer()
    again.load(tmp_path / "checkpoint")
    assert again.step == 33
    assert train(again, tmp_path)
    found = read_metrics(tmp_path / "metrics.csv")
    assert found["step"] == [20, 40, 50]
    np.testing.assert_allclose(found["loss"][1], again.losses[20:40].mean(), rtol=1e-5)


def test_a_new_run_begins_a_new_file(tmp_path):
    train(make_trainer(), tmp_path)
    train(make_trainer(), tmp_path, RunSettings(steps=20, quiet=True))
    assert read_metrics(tmp_path / "metrics.csv")["step"] == [20]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "step,loss\n"])
def test_a_file_with_other_columns_is_refused_and_stays(text, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"metrics.csv: its columns must be {', '.join(COLUMNS)}, got .*move it away"):
        MetricsFile(path, step=3)
    assert path.read_text() == text and len(list(tmp_path.iterdir())) == 1


def test_rows_that_make_no_sense_are_left_out(tmp_path):
    path = tmp_path / "metrics.csv"
    good = "20,1,1,1,1,,,\n"
    path.write_text(",".join(COLUMNS) + "\n" + good + "x,1,1,1,1,,,\n20,1,1,1,1,,,\n1,2\n30,1,1,1,1,,,,,,\n40,1,1,1,1,,,\n")
    assert MetricsFile(path, step=35).last_step == 20
    assert path.read_text().splitlines()[1:] == [good.strip()]


def test_a_full_disk_ends_the_run_saved(tmp_path, monkeypatch):
    def full(self, figures):
        raise OSError(28, "No space left on device", str(self.path))

    monkeypatch.setattr(MetricsFile, "write", full)
    ending = train(make_trainer(), tmp_path)
    assert ending.status == 1 and "No space left" in ending.reason and ending.saved
