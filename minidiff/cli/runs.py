"""A training run of a command line: its folder, going on with it, and how it ends."""

from __future__ import annotations

import atexit
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from minidiff.cli.options import Options, Parser
from minidiff.cli.ranks import one_of_ranks, rank_words
from minidiff.data.by_name import NAMES, is_place
from minidiff.training.checkpoint import CheckpointError, load_checkpoint, make_folder, understood
from minidiff.training.distributed import leave_by_abort, world
from minidiff.training.lock import only_run_in
from minidiff.training.loop import TrainingLoop
from minidiff.training.run import Ending, RunSettings
from minidiff.training.screen import Screen

# for --resume: the options that every training run takes from its checkpoint, come what may
OF_EVERY_RUN = ("batch_size", "lr", "seed", "data")
# these are never taken from a checkpoint
OF_TODAY = ("out", "device", "resume", "overwrite", "distributed")
WRITTEN = (".png", ".npz", ".gif", ".csv")


def run_settings(options: Options, batches: int, **others: Any) -> RunSettings:
    """The limits of a training run from its options.    batches: in an epoch"""
    steps = None if options.epochs is None else options.epochs * batches
    return RunSettings(steps, options.minutes, **others)


def restore(
    options: Options, parser: Parser, kind: str, of_run: Sequence[str], place: str = "checkpoint"
) -> dict[str, Any]:
    """For --resume: set the options as the run in --out has them.

    of_run: the options that decide what the run is, beside OF_EVERY_RUN. They can't be changed.
    The others keep a value that is given today.
    place: of the checkpoint, in --out
    -> all options of that run, and its further facts

    Raises: CheckpointError if there is no such run, if it is of a version without one of `of_run`,
    or if an option makes no sense; ValueError if another value is given for one of `of_run`.
    """
    folder = f"{options.out}/{place}"
    checkpoint = load_checkpoint(folder, kind)
    fixed = (*of_run, *(name for name in OF_EVERY_RUN if hasattr(options, name)))
    with understood(folder):
        saved = checkpoint.description["options"]
        missing = [name for name in fixed if name not in saved]
        if missing:
            raise CheckpointError(
                f"{folder}: written by another version: it does not say {', '.join(missing)}"
            )
        saved = _with_data_of_today(saved, options, folder)
        actions = {action.dest: action for action in parser.settable()}
        stored = {
            name: parser.value(actions[name], saved[name])
            for name in saved
            if name in actions and name not in OF_TODAY
        }
    for name in fixed:
        if name in options.given and getattr(options, name) != stored[name]:
            option = actions[name].option_strings[-1]
            raise ValueError(
                f"{option} {getattr(options, name)}: the run in {options.out} has {stored[name]}; "
                f"leave it out, or begin another run"
            )
    given = options.given
    if given & {"minutes", "epochs"}:  # the length belongs to the run, unless another is given
        stored = {name: stored[name] for name in stored if name not in ("minutes", "epochs")}
    for name, value in stored.items():
        if name in fixed or name not in given:
            setattr(options, name, value)
    data_dir = getattr(options, "data_dir", None)
    if data_dir and not os.path.isdir(data_dir):
        raise CheckpointError(
            f"{folder}: its data were in --data-dir {data_dir}, and there is no such "
            f"folder here ({os.getcwd()}): give its place by --data-dir"
        )
    return saved


def _with_data_of_today(saved: dict[str, Any], options: Options, folder: str) -> dict[str, Any]:
    """The options of a run whose own pictures may have been moved: --data then says where to.

    The checksum in the checkpoint tells whether they are the same.

    Raises: CheckpointError if they are not where they were, and --data does not say where.
    """
    before, now = saved.get("data"), getattr(options, "data", None)
    if not isinstance(before, str) or before in NAMES or "/" not in before.replace(os.sep, "/"):
        return saved
    if "data" in options.given and now not in NAMES:
        return {**saved, "data": now}
    if not is_place(before):
        raise CheckpointError(
            f"{folder}: its pictures were in --data {before}, and there is no such folder or "
            f"file here ({os.getcwd()}): give its place by --data"
        )
    return saved


def resume(trainer: TrainingLoop, options: Options, place: str = "checkpoint") -> None:
    """Go on with the run in --out, and say where it is."""
    trainer.load(f"{options.out}/{place}")
    minutes = trainer.seconds / 60
    print(f"continuing at step {trainer.step}, after {minutes:.1f} minutes of training")


def end_early(ending: Ending, options: Options, place: str = "checkpoint") -> NoReturn:
    """End the program: say why, what is saved, and which command goes on with the run.

    Of several ranks, one says it.
    """
    words = [sys.executable, sys.argv[0], "--resume", "--out", os.path.abspath(options.out)]
    words = [*rank_words(options), *words]
    if getattr(options, "distributed", False):
        words += ["--distributed"]
    if getattr(options, "device", "cpu") != "cpu":
        words += ["--device", options.device]
    if getattr(options, "data_dir", None):
        words += ["--data-dir", options.data_dir]
    where = f"{options.out}/{place}"
    saved = f"saved in {where}" if ending.saved else f"not saved; {where} is as it was before"
    text = f"\nInterrupted; {saved} ({ending.reason}). Continue with:\n  {shlex.join(words)}"
    if not ending.saved and not os.path.exists(f"{where}/checkpoint.json"):
        text = f"\nInterrupted before anything was saved ({ending.reason}). Begin it again."
    for stream in (Screen.of(sys.stdout), Screen.of(sys.stderr)):  # the first may have failed
        if not ending.reason or stream.file is None:
            continue
        print(text, file=stream)
        stream.flush()
        if not stream.broken:
            break
        stream.give_up()
    if ending.rank_lost:
        atexit.register(leave_by_abort, world(), ending.status)
    raise SystemExit(ending.status)


@contextmanager
def run_folder(
    options: Options, place: str = "checkpoint", trains: bool = True
) -> Iterator[None]:
    """Make the folder --out and keep other runs out of it.

    place: of the checkpoint, in --out. trains: whether there will be one

    Raises: ValueError if another run works there, if there is a finished or interrupted one and
    neither --resume nor --overwrite is given, or if a folder is where a file will be.
    """
    with one_of_ranks(options) as leads, _made(options.out, leads) as folder:
        older = os.path.dirname(place)  # where older versions put a classifier's
        there = any((folder / name / "checkpoint.json").exists() for name in (place, older))
        if trains and leads and there and not options.resume and not options.overwrite:
            raise ValueError(
                f"{options.out}: a run is there already: go on with it (--resume), replace it "
                "(--overwrite), or choose another --out"
            )
        if leads:
            check_places(options.out)
        for path in (folder / place, *(folder / place).parents):
            if path.exists() and not path.is_dir():
                raise ValueError(f"{path}: a file is where a folder will be")
        yield


@contextmanager
def _made(out: str, leads: bool) -> Iterator[Path]:
    """The folder, made and locked by the process that leads."""
    if leads:
        with only_run_in(make_folder(out)):
            yield Path(out)
    else:
        yield Path(out)


def check_places(folder: str) -> None:
    """Refuse folders that are where pictures and arrays will be written, before any work.

    Raises: ValueError, which names one.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(WRITTEN) and entry.is_dir():
                raise ValueError(f"{entry.path}: a folder is where a file will be written")
