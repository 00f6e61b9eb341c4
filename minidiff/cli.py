"""Parts that the command lines of the examples share: options, errors in one line, resuming."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from minidiff.data import NAMES
from minidiff.engine.backend import use_device
from minidiff.training.checkpoint import CheckpointError, load_checkpoint, make_folder
from minidiff.training.lock import only_run_in
from minidiff.training.loop import TrainingLoop
from minidiff.training.run import Ending, RunSettings

Options = argparse.Namespace

# for --resume: the options that every training run takes from its checkpoint
OF_EVERY_RUN = ("batch_size", "lr", "ema", "seed", "data", "data_dir", "workers")


# -- types of options ------------------------------------------------------------------------------


def _number(text: str, wanted: str, kind: Callable[[str], Any], fits: Callable[[Any], bool]) -> Any:
    value = kind(text)
    if not fits(value):
        raise argparse.ArgumentTypeError(f"wanted {wanted}, got {text}")
    return value


def positive_int(text: str) -> int:
    return _number(text, "a whole number >= 1", int, lambda value: value >= 1)


def seed(text: str) -> int:
    return _number(text, "a whole number >= 0", int, lambda value: value >= 0)


def positive_float(text: str) -> float:
    return _number(text, "a number > 0", float, lambda value: 0 < value < float("inf"))


def at_least_0(text: str) -> float:
    return _number(text, "a number >= 0", float, lambda value: 0 <= value < float("inf"))


def fraction(text: str) -> float:
    return _number(text, "a number in [0, 1)", float, lambda value: 0 <= value < 1)


def zero_to_one(text: str) -> float:
    return _number(text, "a number in [0, 1]", float, lambda value: 0 <= value <= 1)


def device(text: str) -> str:
    """A device that is there. It becomes the current one."""
    try:
        use_device(text)
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


# -- groups of options -----------------------------------------------------------------------------


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that prints the description with its own line breaks."""
    keep = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, formatter_class=keep)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """--device, --workers and --seed."""
    add = parser.add_argument
    add("--device", type=device, default="cpu", help="cpu (default), cuda or cuda:N")
    add(
        "--workers", type=positive_int,
        help="processes that share a batch (default: one per core; 1 for pdb)",
    )  # fmt: skip
    add("--seed", type=seed, default=0)


def add_data_options(parser: Any, default: str) -> None:
    """--data and --data-dir."""
    parser.add_argument(
        "--data", default=default, choices=NAMES,
        help="auto: MNIST if it can be had, else digits that the program draws",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", type=os.path.abspath,
        help="folder of the IDX files (default: $MINIDIFF_DATA, the user's cache, a download)",
    )  # fmt: skip


def add_training_options(
    parser: argparse.ArgumentParser, *, out: str, minutes: float, lr: float = 2e-3,
    batch_size: int = 64, ema: float | None = 0.995, graph: bool = False,
) -> None:  # fmt: skip
    """The data, --out, --resume, how long to train, and the numbers of the optimiser.

    minutes: the default time limit. ema: the default decay of averaged parameters, None for a
    training without them. graph: whether the step can be a CUDA graph.
    """
    add_common_options(parser)
    add_data_options(parser, "auto")
    add = parser.add_argument
    add("--out", default=out, help=f"folder for everything that is written (default: {out})")
    add("--resume", action="store_true", help="go on with the run in --out, with its options")
    add_overwrite(parser)
    add(
        "--minutes", type=positive_float,
        help=f"train so long (default: {minutes:g}, unless --epochs is given)",
    )  # fmt: skip
    add("--epochs", type=positive_int, help="train so many passes over the data")
    add("--batch-size", type=positive_int, default=batch_size)
    add("--lr", type=positive_float, default=lr, help="the highest learning rate")
    if ema is not None:
        add(
            "--ema", type=fraction, default=ema,
            help="decay of the averaged parameters, from which samples are drawn",
        )  # fmt: skip
    if graph:
        add(
            "--graph", action="store_true",
            help="on a GPU, record the training step as a CUDA graph and replay it",
        )  # fmt: skip
    parser.set_defaults(default_minutes=minutes)


def add_sampler_options(
    parser: argparse.ArgumentParser, *, steps: int, eta: float, name: str = "--sampling-steps",
    note: str = "",
) -> None:  # fmt: skip
    """The steps of DDIM and its --eta.    note: goes on with the help of the latter."""
    parser.add_argument(name, type=positive_int, default=steps, help="S, the number of steps")
    parser.add_argument(
        "--eta", type=zero_to_one, default=eta,
        help=f"DDIM's eta: 0 is deterministic, 1 draws as much noise as DDPM{note}",
    )  # fmt: skip


def add_sampling_options(
    parser: argparse.ArgumentParser, samples: int = 512, steps: int = 50, eta: float = 1.0
) -> None:
    """--samples, and the options of DDIM."""
    parser.add_argument(
        "--samples", type=positive_int, default=samples, help="how many images to draw"
    )
    add_sampler_options(parser, steps=steps, eta=eta)


def check_limits(options: Options, parser: argparse.ArgumentParser) -> None:
    """Set the default minutes if no limit is given, and refuse too many sampling steps.

    They would fail only after the training.
    """
    if options.minutes is None and options.epochs is None:
        options.minutes = options.default_minutes
    steps, T = getattr(options, "sampling_steps", 1), getattr(options, "timesteps", 1000)
    if steps > T:
        parser.error(f"--sampling-steps must be in 1..T = 1..{T}, got {steps}")


# -- a run -----------------------------------------------------------------------------------------


def run_settings(options: Options, batches: int, **others: Any) -> RunSettings:
    """The limits of a training run from its options.    batches: in an epoch"""
    steps = None if options.epochs is None else options.epochs * batches
    return RunSettings(steps, options.minutes, **others)


def restore(options: Options, kind: str, names: Sequence[str]) -> dict[str, Any]:
    """For --resume: set the options `names` as the run in --out has them.

    -> all options of that run, and its further facts

    Raises: CheckpointError if there is no such run, or if it is of a version without one of them.
    """
    folder = f"{options.out}/checkpoint"
    saved = load_checkpoint(folder, kind).description["options"]
    missing = [name for name in names if name not in saved]
    if missing:
        raise CheckpointError(
            f"{folder}: written by another version: it does not say {', '.join(missing)}"
        )
    data_dir = getattr(options, "data_dir", None)
    for name in names:
        setattr(options, name, saved[name])
    if data_dir:  # the data may have moved
        options.data_dir = data_dir
    if options.minutes is None and options.epochs is None:  # the length belongs to the run
        options.minutes, options.epochs = saved.get("minutes"), saved.get("epochs")
    if options.data_dir and not os.path.isdir(options.data_dir):
        raise CheckpointError(
            f"{folder}: its data were in --data-dir {options.data_dir}, and there is no such "
            f"folder here ({os.getcwd()}): give its place by --data-dir"
        )
    return saved


def resume(trainer: TrainingLoop, options: Options) -> None:
    """Go on with the run in --out, and say where it is."""
    trainer.load(f"{options.out}/checkpoint")
    minutes = trainer.seconds / 60
    print(f"continuing at step {trainer.step}, after {minutes:.1f} minutes of training")


def end_early(ending: Ending, options: Options) -> NoReturn:
    """End the program: say why, what is saved, and which command goes on with the run."""
    words = [sys.executable, sys.argv[0], "--resume", "--out", os.path.abspath(options.out)]
    if getattr(options, "device", "cpu") != "cpu":
        words += ["--device", options.device]
    if getattr(options, "data_dir", None):
        words += ["--data-dir", options.data_dir]
    where = f"{options.out}/checkpoint"
    saved = f"saved in {where}" if ending.saved else f"not saved; {where} is as it was before"
    text = f"\nInterrupted; {saved} ({ending.reason}). Continue with:\n  {shlex.join(words)}"
    for stream in (sys.stdout, sys.stderr):  # the first may be what has failed
        try:
            print(text, file=stream, flush=True)
            break
        except (OSError, ValueError):
            with suppress(OSError, ValueError):  # else the flush at exit fails again
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(ending.status)


@contextmanager
def run_folder(options: Options, checkpoint: str = "checkpoint") -> Iterator[None]:
    """Make the folder --out and keep other runs out of it.

    Raises: ValueError if another run works there, or if there is a finished or interrupted one and
    neither --resume nor --overwrite is given.
    """
    folder = make_folder(options.out)
    with only_run_in(folder):
        there = (folder / checkpoint / "checkpoint.json").exists()
        if there and not getattr(options, "resume", False) and not options.overwrite:
            go_on = "go on with it (--resume), " if hasattr(options, "resume") else ""
            raise ValueError(
                f"{options.out}: a run is there already: {go_on}replace it (--overwrite), or "
                "choose another --out"
            )
        for path in folder.iterdir():
            if path.suffix in (".png", ".npz", ".gif") and path.is_dir():
                raise ValueError(f"{path}: a folder is where a file will be written")
        yield


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the run that is in --out"
    )


@contextmanager
def one_line_error(*kinds: type[Exception]) -> Iterator[None]:
    """End the program at a user's mistake with its message and exit status 2, without a traceback.

    kinds: by default those that a wrong option, file or device causes.
    """
    caught = kinds or (CheckpointError, ValueError, OSError, RuntimeError)
    try:
        yield
    except caught as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
