"""Weights that come with the package: minidiff/weights/, float16 in .npz files for NumPy alone.

A folder there looks like that of a run, with `checkpoint.npz` in the place of `checkpoint/`. So
every loader takes it: `load_denoiser(shipped_run("mnist"), UNet)`. What training needs to go on
(optimiser, random numbers) is left out. Each file says how it was made: the command, the data, the
seed and the figures.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from minidiff.data.atomic import atomic_write
from minidiff.data.npz import read_whole_npz
from minidiff.engine.printing import PACKAGE

WEIGHTS = PACKAGE / "weights"
# folder: kind of checkpoint; mnist_on_pixels is the U-Net of the slides, 28-14-7
RUNS = {"mnist": "ddpm", "mnist_on_pixels": "ddpm", "ldm": "ldm", "classifier": "classifier"}
LEFT_OUT = ("optimizer", "rng", "loader", "ema", "format")
MOST_BYTES = 6 * 2**20  # of all weights together
MOST_UNPACKED = 2**28  # of one file: 128 million float16
DESCRIPTION = "description"  # the name of the JSON among the arrays


def shipped_run(name: str) -> Path:
    """The folder of the shipped weights of that name, one of RUNS.

    Raises: ValueError for another name; FileNotFoundError if this copy of the package has none.
    """
    if name not in RUNS:
        raise ValueError(f"shipped_run: name must be one of {', '.join(RUNS)}, got {name!r}")
    folder, file = WEIGHTS / name, WEIGHTS / file_of(name)
    if not file.is_file():
        raise FileNotFoundError(
            f"no weights come with this copy of minidiff for {name!r}: {file} is missing; "
            "train a run and name it"
        )
    return folder


def file_of(name: str) -> str:
    """Where the network of a run lies in WEIGHTS. A classifier's run is itself a checkpoint."""
    return f"{name}.npz" if name == "classifier" else f"{name}/checkpoint.npz"


def run_or_shipped(folder: str | None, usual: str, name: str) -> tuple[str, str]:
    """The run that a program samples from: the one named, else the usual one, else the shipped.

    folder: what the user named, or None; usual: where training writes by default
    -> the folder, and a sentence that says which it is
    """
    if folder is not None:
        return folder, f"sampling from {folder}"
    if Path(usual).is_dir():
        return usual, f"sampling from {usual}"
    shipped = shipped_run(name)
    return str(shipped), (
        f"sampling from the weights that come with minidiff ({name}), since there is no {usual}"
    )


def weights_file(folder: str | os.PathLike[str]) -> Path | None:
    """The .npz of shipped weights that stands for the checkpoint `folder`, if there is one."""
    path = Path(folder)
    if path.suffix != ".npz":  # "." and ".." say no name
        path = path if path.name not in ("", "..") else Path(os.path.abspath(path))
        path = path.parent / f"{path.name}.npz"
    return path if path.is_file() else None


def write_weights(
    path: str | os.PathLike[str], kind: str, description: dict[str, Any],
    arrays: dict[str, np.ndarray], made: dict[str, Any],
) -> int:  # fmt: skip
    """Write float16 weights.

    arrays: {"ema.conv1.weight": array, ...}; made: how, which is kept beside them
    -> bytes written

    Raises: ValueError if a number is too large for float16.
    """
    kept = {key: value for key, value in description.items() if key not in LEFT_OUT}
    halves: dict[str, Any] = {}
    for name, array in arrays.items():
        with np.errstate(over="ignore"):
            halves[name] = array.astype(np.float16)
        if not np.isfinite(halves[name]).all():
            raise ValueError(f"write_weights: {name} has numbers that float16 can't hold")
    text = json.dumps({"kind": kind, "made": made, **kept})
    halves[DESCRIPTION] = np.frombuffer(text.encode(), np.uint8)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **halves)
    return path.stat().st_size


def read_weights(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """-> kind, description, arrays as float32.

    Raises: ValueError if the file is damaged, too large, or holds no weights.
    """
    wanted = "weights that `python -m minidiff weights` made"
    found = read_whole_npz(path, wanted, DESCRIPTION, MOST_UNPACKED)
    text = found.pop(DESCRIPTION)
    try:
        description = json.loads(text.tobytes())
        kind = description.pop("kind")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: damaged weights ({type(error).__name__}: {error})") from error
    for name, array in found.items():
        if array.dtype.kind != "f":
            got = f"{name} has dtype {array.dtype}, wanted is a float"
            raise ValueError(f"{path}: damaged weights ({got})")
    return kind, description, {name: array.astype(np.float32) for name, array in found.items()}
