"""A checkpoint: a folder with `checkpoint.json` and one safetensors file.

The first says in words and numbers what the checkpoint is, the second holds the arrays. The arrays
are written first, under a new name. Then `checkpoint.json`, which names that file, its size and its
checksum, is replaced in one step. So there is a whole checkpoint in the folder at every moment,
whatever interrupts the program. Arrays that `checkpoint.json` does not name are removed at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidiff.data.atomic import atomic_write, remove_parts
from minidiff.engine.backend import to_cpu
from minidiff.training.json_values import json_value
from minidiff.training.shipped import read_weights, weights_file

FORMAT = 1
MOST_JSON_BYTES = 1 << 24
ARRAYS = re.compile(r"arrays-[0-9A-Za-z_-]+\.safetensors")
WRONG_VALUE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
    MemoryError, AssertionError,
)  # fmt: skip


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

    An older checkpoint there is replaced at the very end. What interrupted saves left is removed.

    Raises: OSError, which names the path, if it can't be written; TypeError, which names the part
    of `description` that JSON can't hold.
    """
    folder = Path(folder)
    described = {
        key: json_value(f"save_checkpoint: {key}", value) for key, value in description.items()
    }
    on_host = {key: np.ascontiguousarray(to_cpu(array)) for key, array in arrays.items()}
    from safetensors import numpy as safetensors  # here: a browser has none

    data = safetensors.save(on_host)
    name = f"arrays-{described.get('step', 0):08d}-{secrets.token_hex(3)}.safetensors"
    facts = {
        "format": FORMAT,
        "kind": kind,
        "arrays": name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        **described,
    }
    text = json.dumps(facts, indent=1)
    make_folder(folder)
    try:
        with atomic_write(folder / name) as part:
            part.write_bytes(data)
        with atomic_write(folder / "checkpoint.json") as part:
            part.write_text(text)
    finally:
        _remove_unnamed(folder)


def _remove_unnamed(folder: Path) -> None:
    """Remove part files that nobody writes, and arrays that checkpoint.json does not name.

    The file is read anew. Whoever was interrupted can't know whether it was replaced.
    """
    remove_parts(folder)
    try:
        name = json.loads((folder / "checkpoint.json").read_text())["arrays"]
    except FileNotFoundError:
        name = None
    except (OSError, *WRONG_VALUE):
        return  # what it names is unknown
    for other in folder.glob("arrays-*.safetensors"):
        if other.name != name:
            with contextlib.suppress(OSError):
                other.unlink()


def load_checkpoint(folder: str | os.PathLike[str], kind: str | None = None) -> Checkpoint:
    """Read the checkpoint in `folder`.    kind: what is wanted; None takes any

    `folder`.npz, as in minidiff/weights/, stands for it.

    Raises: CheckpointError if there is none, if it is damaged, cut off or can't be read, or if it
    is of another kind.
    """
    if (weights := weights_file(folder)) is not None:
        return _shipped(weights, kind)
    folder = Path(folder)
    path = folder / "checkpoint.json"
    with _readable(path):
        if not path.exists():
            raise CheckpointError(f"{folder}: there is no checkpoint here (no checkpoint.json)")
        text = _bytes_of(path, MOST_JSON_BYTES)
    try:
        facts = json.loads(text.decode())
        name, size, found = facts.pop("arrays"), facts.pop("bytes"), facts.pop("kind")
        version, checksum = facts.pop("format"), facts.pop("sha256", None)
    except WRONG_VALUE as error:
        raise CheckpointError(f"{path}: damaged or cut off ({one_line(repr(error))})") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path}: written in format {one_line(version)}, "
            f"this version of minidiff reads format {FORMAT}"
        )
    if kind is not None and found != kind:
        raise CheckpointError(
            f"{folder}: this is a checkpoint of kind {one_line(repr(found))}, wanted is {kind!r}"
        )
    if not isinstance(name, str) or not ARRAYS.fullmatch(name):
        raise CheckpointError(
            f"{path}: the arrays must be a file arrays-*.safetensors in this folder, "
            f"got {one_line(repr(name))}"
        )
    for key in ("options", "model", "optimizer"):
        if not isinstance(facts.get(key, {}), dict):
            raise CheckpointError(f"{path}: damaged ({key} is {one_line(repr(facts[key]))})")
    return Checkpoint(str(found), facts, _read_arrays(folder / name, size, checksum))


def saved_step(folder: str | os.PathLike[str]) -> int | None:
    """The step of the checkpoint in `folder`, without its arrays; None if none can be read."""
    try:
        return int(json.loads((Path(folder) / "checkpoint.json").read_text())["step"])
    except (OSError, *WRONG_VALUE):
        return None


def _shipped(path: Path, kind: str | None) -> Checkpoint:
    """The float16 weights of the package, as the checkpoint that they were made of."""
    try:
        found, description, arrays = read_weights(path)
    except ValueError as error:
        raise CheckpointError(one_line(error)) from error
    if kind is not None and found != kind:
        raise CheckpointError(f"{path}: these are weights of kind {found!r}, wanted is {kind!r}")
    return Checkpoint(found, description, arrays)


def _read_arrays(file: Path, size: Any, checksum: Any) -> dict[str, np.ndarray]:
    """The arrays of a file.    checksum: None for checkpoints of versions that had none"""
    with _readable(file):
        actual = file.stat().st_size if file.exists() else 0
        if actual != size:
            raise CheckpointError(
                f"{file}: cut off or missing: it has {actual} bytes, "
                f"checkpoint.json says {one_line(size)}"
            )
        data = _bytes_of(file, actual)
    if checksum is not None and hashlib.sha256(data).hexdigest() != checksum:
        raise CheckpointError(f"{file}: damaged (it has not the checksum of checkpoint.json)")
    from safetensors import SafetensorError
    from safetensors import numpy as safetensors

    try:
        return {key: np.array(array) for key, array in safetensors.load(data).items()}
    except (SafetensorError, *WRONG_VALUE) as error:
        raise CheckpointError(f"{file}: damaged ({one_line(error)})") from error


def _bytes_of(path: Path, limit: int) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"{path}: this is no file")
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise CheckpointError(f"{path}: damaged (it has more than {limit:,} bytes)")
    return data


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Inside, a file that the system does not let us read is no damaged one."""
    try:
        yield
    except PermissionError as error:
        raise CheckpointError(f"{path}: no permission to read it; it may be whole") from error
    except OSError as error:
        raise CheckpointError(f"{path}: it can't be read ({error.strerror})") from error
    except MemoryError as error:
        raise CheckpointError(f"{path}: it does not fit into the memory") from error


@contextmanager
def understood(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Inside, a description that makes no sense is a CheckpointError of one line.

    Use it around code that makes objects of a checkpoint's description and arrays.
    """
    try:
        yield
    except CheckpointError:
        raise
    except WRONG_VALUE as error:
        what = f"there is no {error}" if type(error) is KeyError else error
        reason = one_line(what) or type(error).__name__
        raise CheckpointError(f"{folder}: the checkpoint makes no sense: {reason}") from error


def one_line(value: Any, most: int = 400) -> str:
    """`value` for a message: what a damaged file says may be long, or unfit to print."""
    try:
        text = " ".join(str(value).split())
    except ValueError as error:  # an int of thousands of digits
        text = str(error)
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:most])


def checkpoint_in(folder: str | os.PathLike[str]) -> Path:
    """The folder of the checkpoint, if that of the run is given, which holds it as "checkpoint"."""
    inside = Path(folder) / "checkpoint"
    there = (inside / "checkpoint.json").exists() or weights_file(inside) is not None
    return inside if there else Path(folder)


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
    (folder / ".writable").unlink(missing_ok=True)
    return folder
