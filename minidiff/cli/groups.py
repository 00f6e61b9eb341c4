"""Groups of options that several examples have."""

from __future__ import annotations

import argparse
import os
from typing import Any

from minidiff.cli.limits import (
    Place,
    data,
    device,
    fraction,
    images,
    path,
    positive_float,
    positive_int,
    seed,
    size,
    up_to,
    zero_to_one,
)
from minidiff.cli.options import Options
from minidiff.data import NAMES, Dataset, load_dataset
from minidiff.training.workers import MOST

__all__ = [
    "add_common_options", "add_data_options", "add_out", "add_resume", "add_sampler_options",
    "add_sampling_options", "add_training_options", "check_classes", "check_limits", "fit_batch",
    "load_data",
]  # fmt: skip


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """--device, --workers and --seed."""
    add = parser.add_argument
    add("--device", type=device, default="cpu", help="cpu (default), cuda or cuda:N")
    add(
        "--workers", type=up_to(MOST),
        help="processes that share a batch (default: one per core; 1 for pdb)",
    )  # fmt: skip
    add("--seed", type=seed, default=0)


def add_data_options(parser: Any, default: str) -> None:
    """--data, --data-dir, --size and --grey."""
    parser.add_argument(
        "--data", type=data, default=default, metavar=f"{{{','.join(NAMES)}}}|DIR|FILE.npz",
        help="auto: MNIST if it can be had, else digits that the program draws. DIR: a folder of "
        f"PNG or JPEG files, its subfolders are the classes (default: {default})",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=size,
        help="of pictures from --data DIR: their middle is scaled to SIZE x SIZE (default: 28)",
    )  # fmt: skip
    parser.add_argument(
        "--grey", action="store_true", help="take the pictures from --data DIR without colour"
    )
    parser.add_argument(
        "--data-dir", type=lambda text: Place(os.path.abspath(path(text))),
        help="folder of the IDX files (default: $MINIDIFF_DATA, the user's cache, a download)",
    )  # fmt: skip


def load_data(options: Options, seed: int = 0) -> Dataset:
    """The data set of --data.    seed: of digits that the program draws

    Raises: ValueError if --size or --grey is given and the data are no own pictures.
    """
    if options.data in NAMES and (options.size or options.grey):
        raise ValueError(
            "--size and --grey go with --data DIR: "
            f"the pictures of {options.data} are grey, 28 x 28"
        )
    where, size = options.data_dir, options.size
    return load_dataset(options.data, where, seed=seed, size=size, grey=options.grey)


def check_classes(dataset: Dataset) -> None:
    """Refuse data of one class where a program learns to tell classes apart.

    Raises: ValueError
    """
    if len(dataset.classes) < 2:
        raise ValueError(
            f"--data {dataset.folder}: wanted at least two classes to tell apart, got one: put the "
            "pictures of each class into a subfolder of its own (in an npz file: labels)"
        )


def fit_batch(options: Options, n: int) -> None:
    """Make the default of --batch-size no larger than the n images that there are."""
    if "batch_size" not in options.given and not getattr(options, "resume", False):
        options.batch_size = min(options.batch_size, n)


def add_out(parser: argparse.ArgumentParser, default: str) -> None:
    """--out."""
    parser.add_argument(
        "--out", type=path, default=default,
        help=f"folder for everything that is written (default: {default})",
    )  # fmt: skip


def add_resume(parser: argparse.ArgumentParser) -> None:
    """--resume and --overwrite."""
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --out, with its options"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the run that is in --out"
    )


def add_training_options(
    parser: argparse.ArgumentParser, *, out: str, minutes: float, lr: float = 2e-3,
    batch_size: int = 64, ema: float | None = 0.995, graph: bool = False, ranks: bool = False,
) -> None:  # fmt: skip
    """The data, --out, --resume, how long to train, and the numbers of the optimiser.

    minutes: the default time limit. ema: the default decay of averaged parameters, None for a
    training without them. graph: whether the step can be a CUDA graph. ranks: whether processes
    that mpirun started can share a batch.
    """
    add_common_options(parser)
    add_data_options(parser, "auto")
    add_out(parser, out)
    add_resume(parser)
    add = parser.add_argument
    add(
        "--minutes", type=positive_float,
        help=f"train so long (default: {minutes:g}, unless --epochs is given)",
    )  # fmt: skip
    add("--epochs", type=positive_int, help="train so many passes over the data")
    add("--batch-size", type=images, default=batch_size)
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
    if ranks:
        add(
            "--distributed", action="store_true",
            help="share each batch with the other processes that mpirun started",
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
        help=f"eta of DDIM and SA-Solver: 0 is deterministic, 1 draws as much noise as DDPM{note}",
    )  # fmt: skip


def add_sampling_options(
    parser: argparse.ArgumentParser, samples: int = 512, steps: int = 50, eta: float = 1.0
) -> None:
    """--samples, and the options of DDIM."""
    parser.add_argument("--samples", type=images, default=samples, help="how many images to draw")
    add_sampler_options(parser, steps=steps, eta=eta)


def check_limits(options: Options, parser: argparse.ArgumentParser) -> None:
    """Set the default minutes if no limit is given, and refuse too many sampling steps.

    They would fail only after the training.
    """
    if options.minutes is None and options.epochs is None:
        options.minutes = options.default_minutes
    if getattr(options, "distributed", False):
        if (options.workers or 1) > 1:
            parser.error(
                f"--workers {options.workers}: with --distributed each rank is one process, so "
                "start more ranks instead"
            )
        if getattr(options, "graph", False):
            parser.error("--graph records the step of one GPU: it goes without --distributed")
    steps, T = getattr(options, "sampling_steps", 1), getattr(options, "timesteps", 1000)
    if steps > T:
        parser.error(f"--sampling-steps must be in 1..T = 1..{T}, got {steps}")
