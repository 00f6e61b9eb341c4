"""A checkpoint: a folder with `checkpoint.json` and one safetensors file.

The first says in words and numbers what the checkpoint is, the second holds the arrays. The arrays
are written first, under a new name. Then `checkpoint.json`, which names that file and its size, is
replaced in one step. So there is a whole checkpoint in the folder at every moment, whatever
interrupts the program.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from minidiff.data.atomic import atomic_write
from minidiff.engine.backend import to_cpu

FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint that is missing, cut off, or not of the kind that is wanted."""


class Checkpoint(NamedTuple):
    """A checkpoint that was read."""

    kind: str  # "ddpm", "classifier", ...
    description: dict[str, Any]  # facts, settings and states that JSON can hold
    arrays: dict[str, np.ndarray]  # {"model.conv1.weight": array, ...}

    def part(self, name: str) -> dict[str, np.ndarray]:
        """The arrays "name.xyz" as {"xyz": array}."""
        return {
            key[len(name) + 1 :]: array
            for key, array in self.arrays.items()
            if key.startswith(name + ".")
        }


def save_checkpoint(
    folder: str | os.PathLike[str], kind: str, description: dict[str, Any], arrays: dict[str, Any]
) -> None:
    """Write a checkpoint into `folder`, which is made if it is not there.

    An older checkpoint there is replaced at the very end.

    Raises: OSError, which names the path, if it can't be written.
    """
    folder = Path(folder)
    make_folder(folder)
    name = f"arrays-{description.get('step', 0):08d}-{secrets.token_hex(3)}.safetensors"
    on_host = {key: np.ascontiguousarray(to_cpu(array)) for key, array in arrays.items()}
    with atomic_write(folder / name) as part:
        save_file(on_host, part)
    facts = {
        "format": FORMAT,
        "kind": kind,
        "arrays": name,
        "bytes": (folder / name).stat().st_size,
        **description,
    }
    try:
        with atomic_write(folder / "checkpoint.json") as part:
            part.write_text(json.dumps(facts, indent=1))
    except BaseException:
        (folder / name).unlink()
        raise
    for other in folder.glob("arrays-*.safetensors"):
        if other.name != name:
            other.unlink()


def load_checkpoint(folder: str | os.PathLike[str], kind: str | None = None) -> Checkpoint:
    """Read the checkpoint in `folder`.    kind: what is wanted; None takes any

    Raises: CheckpointError if there is none, if it is damaged or cut off, or if it is of another
    kind.
    """
    folder = Path(folder)
    path = folder / "checkpoint.json"
    if not path.exists():
        raise CheckpointError(f"{folder}: there is no checkpoint here (no checkpoint.json)")
    try:
        facts = json.loads(path.read_text())
        name, size, found = facts.pop("arrays"), facts.pop("bytes"), facts.pop("kind")
        version = facts.pop("format")
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: damaged or cut off ({error!r})") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path}: written in format {version}, this version of minidiff reads format {FORMAT}"
        )
    if kind is not None and found != kind:
        raise CheckpointError(
            f"{folder}: this is a checkpoint of kind {found!r}, wanted is {kind!r}"
        )
    file = folder / name
    actual = file.stat().st_size if file.exists() else 0
    if actual != size:
        raise CheckpointError(
            f"{file}: cut off or missing: it has {actual} bytes, checkpoint.json says {size}"
        )
    try:
        arrays = load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: damaged ({error})") from error
    return Checkpoint(found, facts, arrays)


def checkpoint_in(folder: str | os.PathLike[str]) -> Path:
    """The folder of the checkpoint, if that of the run is given, which holds it as "checkpoint"."""
    inside = Path(folder) / "checkpoint"
    return inside if (inside / "checkpoint.json").exists() else Path(folder)


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make the folder if it is not there, and try to write into it.

    Raises: OSError, which names it, if nothing can be written there.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot make the folder: {error.strerror}", str(folder)
        ) from error
    with atomic_write(folder / ".writable"):
        pass
    (folder / ".writable").unlink()
    return folder
