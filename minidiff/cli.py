"""What the examples' command lines have in common: options, errors in one line, and a clean end on Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from minidiff.data import NAMES
from minidiff.engine.backend import use_device
from minidiff.training.checkpoint import CheckpointError, load_checkpoint


def positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number >= 1, got {text}")
    return value


def positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"wanted a number > 0, got {text}")
    return value


def fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"wanted a number in [0, 1), got {text}")
    return value


def zero_to_one(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"wanted a number in [0, 1], got {text}")
    return value


def at_least_0(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"wanted a number >= 0, got {text}")
    return value


def seed(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"wanted a whole number >= 0, got {text}")
    return value


def device(text: str) -> str:
    """A device that is there, made the current one."""
    try:
        use_device(text)
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", type=device, default="cpu", help="cpu (default), cuda or cuda:N"
    )
    parser.add_argument(
        "--workers",
        type=positive_int,
        help="processes sharing a batch (default: one per core; 1 for pdb)",
    )
    parser.add_argument("--seed", type=seed, default=0)


def add_training_options(
    parser: argparse.ArgumentParser, *, out: str, minutes: float, data: str = "auto", lr: float = 2e-3, batch_size: int = 64,
    ema: float | None = 0.995, graph: bool = False,
) -> None:  # fmt: skip
    """--data, --out, --resume, how long to train, and the optimiser's numbers.    minutes: the default time limit.

    ema: the default decay of averaged parameters; None for a training without them. graph: whether the step can be a CUDA graph.
    """
    add_common_options(parser)
    parser.add_argument(
        "--data",
        default=data,
        choices=NAMES,
        help="auto: MNIST if it can be had, else digits drawn by the program",
    )
    parser.add_argument(
        "--data-dir",
        help="folder of the IDX files (else $MINIDIFF_DATA, the user's cache, a download)",
    )
    parser.add_argument(
        "--out", default=out, help=f"folder for everything that is written (default: {out})"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --out, with its options"
    )
    parser.add_argument(
        "--minutes",
        type=positive_float,
        help=f"train so long (default: {minutes:g}, unless --epochs is given)",
    )
    parser.add_argument("--epochs", type=positive_int, help="train so many passes over the data")
    parser.add_argument("--batch-size", type=positive_int, default=batch_size)
    parser.add_argument("--lr", type=positive_float, default=lr, help="the highest learning rate")
    if ema is not None:
        parser.add_argument(
            "--ema",
            type=fraction,
            default=ema,
            help="decay of the averaged parameters, from which samples are drawn",
        )
    if graph:
        parser.add_argument(
            "--graph",
            action="store_true",
            help="on a GPU, record the training step as a CUDA graph and replay it",
        )
    parser.set_defaults(default_minutes=minutes)


def add_sampling_options(
    parser: argparse.ArgumentParser, samples: int = 512, steps: int = 50, eta: float = 1.0
) -> None:
    parser.add_argument(
        "--samples", type=positive_int, default=samples, help="how many images to draw"
    )
    parser.add_argument(
        "--sampling-steps", type=positive_int, default=steps, help="S, the steps of DDIM"
    )
    parser.add_argument(
        "--eta",
        type=zero_to_one,
        default=eta,
        help="DDIM's eta: 0 deterministic, 1 as much noise as DDPM",
    )


def check_limits(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Without --epochs and --minutes, the default minutes hold; what would fail after the training only is refused now."""
    if options.minutes is None and options.epochs is None:
        options.minutes = options.default_minutes
    steps, T = getattr(options, "sampling_steps", 1), getattr(options, "timesteps", 1000)
    if steps > T:
        parser.error(f"--sampling-steps must be in 1..T = 1..{T}, got {steps}")


def restore(options: argparse.Namespace, kind: str, names: Sequence[str]) -> dict[str, Any]:
    """For --resume: the options `names` as the run in --out has them.    -> all of that run's, its further facts among them.

    Raises CheckpointError if there is no such run, or if it is of a version that had not all of them.
    """
    folder = f"{options.out}/checkpoint"
    saved = load_checkpoint(folder, kind).description["options"]
    missing = [name for name in names if name not in saved]
    if missing:
        raise CheckpointError(
            f"{folder}: written by another version: it does not say {', '.join(missing)}"
        )
    for name in names:
        setattr(options, name, saved[name])
    return saved


@contextmanager
def one_line_error(*kinds: type[Exception]) -> Iterator[None]:
    """A user's mistake ends the program with its message and exit status 2, not with a traceback."""
    try:
        yield
    except kinds as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
