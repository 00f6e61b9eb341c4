"""--resume: what belongs to the run, what may be changed, and what is refused."""

import os

import numpy as np
import pytest
from support.programs import PROGRAMS, module_of, options_of

from minidiff import cli
from minidiff.training.checkpoint import CheckpointError, save_checkpoint
from minidiff.training.run import Ending

SAVED = {
    "batch_size": 8, "lr": 0.1, "seed": 3, "data": "digits", "channels": 16, "samples": 7, "eta": 0.5, "sampling_steps": 4, "workers": 2,
    "minutes": None, "epochs": 9, "data_dir": None, "out": "/elsewhere", "device": "cuda", "resume": False, "overwrite": True, "graph": True, "optimizer": None,
}  # fmt: skip


@pytest.fixture
def resume(tmp_path):
    """resume(saved, *words) -> the options of a program that is called so, where a run was saved with other options."""

    def resume(saved, *words):
        out = tmp_path / "run"
        save_checkpoint(out / "checkpoint", "ddpm", {"options": saved}, {"losses": np.zeros(1)})
        parser = cli.make_parser("")
        cli.add_training_options(parser, out="runs/x", minutes=5, graph=True)
        cli.add_sampling_options(parser)
        parser.add_argument("--channels", type=cli.channels, default=32)
        parser.add_argument("--optimizer", choices=["muon", "adamw"])
        options = parser.parse_args(["--resume", "--out", str(out), *words])
        cli.restore(options, parser, "ddpm", ("channels", "optimizer"))
        cli.check_limits(options, parser)
        return options

    return resume


def test_everything_that_is_not_given_is_as_the_run_has_it_but_its_place_and_device(resume, tmp_path):
    options = vars(resume(SAVED))
    for name, value in SAVED.items():
        if name not in ("out", "device", "resume", "overwrite"):
            assert options[name] == value, name
    assert options["out"] == str(tmp_path / "run") and options["device"] == "cpu"
    assert options["resume"] is True and options["overwrite"] is False


def test_what_is_given_today_counts_where_it_may_be_changed(resume):
    options = resume(SAVED, "--samples", "2", "--eta", "0", "--workers", "1", "--minutes", "3", "--channels", "16")
    assert (options.samples, options.eta, options.workers, options.minutes, options.epochs) == (2, 0.0, 1, 3.0, None)
    assert options.sampling_steps == 4
    assert resume(SAVED, "--epochs", "512").samples == 7


def test_what_the_run_is_cannot_be_changed(resume):
    with pytest.raises(ValueError, match=r"--channels 64: the run in .*run has 16; leave it out, or begin another run"):
        resume(SAVED, "--channels", "64")
    with pytest.raises(ValueError, match="--lr 0.2: the run in .* has 0.1"):
        resume(SAVED, "--lr", "0.2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": "many"}, "its --channels is 'many': wanted a whole number >= 1"),
        ({"channels": 10**12}, "its --channels is 1000000000000: wanted at most 1,024"),
        ({"channels": [1]}, r"its --channels is \[1\]"),
        ({"channels": True}, "its --channels is True"),
        ({"lr": "1e400"}, "its --lr is '1e400': wanted at most"),
        ({"seed": None}, "its --seed is None"),
        ({"data": "../x"}, "its pictures were in --data ../x, and there is no such folder or file here .*: give its place by --data"),
        ({"data": "minst"}, "its --data is 'minst': wanted one of mnist, fashion, digits, auto, or a folder of pictures or an .npz file"),
        ({"size": 30}, "its --size is 30: wanted a multiple of 4 in 8..512"),
        ({"grey": "yes"}, "its --grey is 'yes'"),
        ({"epochs": -1}, "its --epochs is -1: wanted a whole number >= 1"),
        ({"graph": 3}, "its --graph is 3"),
        ({"optimizer": "sgd"}, "its --optimizer is 'sgd': invalid choice"),
        ({"data_dir": "/no/such/folder"}, "its data were in --data-dir /no/such/folder, and there is no such folder here .*: give its place by --data-dir"),
    ],
)
def test_options_that_make_no_sense_are_a_damaged_checkpoint(resume, change, message):
    with pytest.raises(CheckpointError, match=message):
        resume({**SAVED, **change})


def test_own_pictures_may_have_been_moved(resume, tmp_path):
    (tmp_path / "pictures").mkdir()
    saved = {**SAVED, "data": "/elsewhere/pictures", "size": 32, "grey": True}
    options = resume(saved, "--data", str(tmp_path / "pictures"))
    assert (options.data, options.size, options.grey) == (str(tmp_path / "pictures"), 32, True)
    assert resume({**saved, "data": str(tmp_path / "pictures")}).data == str(tmp_path / "pictures")
    with pytest.raises(ValueError, match="its pictures were in --data /elsewhere/pictures"):
        resume(saved, "--data", "digits")
    with pytest.raises(ValueError, match="--data .*pictures: the run in .* has digits; leave it out"):
        resume(SAVED, "--data", str(tmp_path / "pictures"))


def test_what_is_missing_is_named(resume):
    with pytest.raises(CheckpointError, match="written by another version: it does not say channels, batch_size"):
        resume({name: SAVED[name] for name in SAVED if name not in ("channels", "batch_size")})


def test_stored_paths_are_absolute_and_the_rest_is_as_it_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    options = cli.Options(out=cli.path("runs/a"), autoencoder=cli.path("../vq"), data_dir=None, lr=0.1, given=frozenset(("out",)))
    kept = cli.stored_options(options, scale=2)
    assert kept == {"out": str(tmp_path / "runs/a"), "autoencoder": str(tmp_path.parent / "vq"), "data_dir": None, "lr": 0.1, "scale": 2}
    assert os.path.isabs(kept["out"]) and options.out == "runs/a"


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_path_of_every_example_is_stored_as_an_absolute_one(name, tmp_path, monkeypatch):
    """Whoever resumes from another folder finds the data, the judge and the autoencoder where they were."""
    monkeypatch.chdir(tmp_path)
    options = options_of(module_of(name))
    places = {name for name, value in vars(options).items() if isinstance(value, str) and "/" in value}
    assert places or name == "evaluate.py"
    kept = cli.stored_options(options)
    for name in places:
        assert kept[name] == str(tmp_path / getattr(options, name)), name


def test_the_command_that_goes_on_is_said_only_where_there_is_something_to_go_on_with(tmp_path, capsys):
    options = cli.Options(out=str(tmp_path / "run"))
    full = Ending("No space left on device", 1, saved=False)
    with pytest.raises(SystemExit, match="1"):
        cli.end_early(full, options)
    assert capsys.readouterr().out == "\nInterrupted before anything was saved (No space left on device). Begin it again.\n"
    save_checkpoint(tmp_path / "run" / "checkpoint", "ddpm", {}, {"losses": np.zeros(1)})
    with pytest.raises(SystemExit, match="1"):
        cli.end_early(full, options)
    text = capsys.readouterr().out
    assert "run/checkpoint is as it was before (No space left on device)" in text and f"--resume --out {tmp_path / 'run'}" in text
