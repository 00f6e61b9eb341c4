"""`python -m minidiff weights --from RUN` makes the package's weights of a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from minidiff.training.checkpoint import CheckpointError, checkpoint_in, load_checkpoint
from minidiff.training.shipped import (
    MOST_BYTES,
    RUNS,
    WEIGHTS,
    file_of,
    read_weights,
    write_weights,
)

PROGRAMS = {
    "ddpm": "train_mnist_ddpm.py", "autoencoder": "train_mnist_vqvae.py",
    "ldm": "train_mnist_ldm.py", "classifier": "train_classifier.py",
}  # fmt: skip
PART = {"ddpm": "ema", "ldm": "ema", "autoencoder": "model", "classifier": "model"}
PLACES = ("out", "resume", "overwrite", "data_dir", "workers", "device", "autoencoder", "judge")


def ship(run: str, figures: str = "", data: str = "", weights: Path = WEIGHTS) -> list[str]:
    """Write the weights of a run, and of the autoencoder with it for a latent model.

    figures: what was measured; data: what it was trained with, in words; both are kept with them
    -> a line for each file

    Raises: CheckpointError if the run is none of those that can be shipped, or is cut off.
    """
    found = load_checkpoint(checkpoint_in(run))
    kinds = list(RUNS.values())
    if found.kind not in kinds:
        wanted = ", ".join(dict.fromkeys(kinds))
        raise CheckpointError(f"{run}: kind must be one of {wanted}, got {found.kind!r}")
    name = list(RUNS)[kinds.index(found.kind)]
    if name == "mnist" and found.description["model"].get("patch_size") == 1:
        name = "mnist_on_pixels"
    lines = [_write(weights / file_of(name), found, figures, data)]
    if found.kind == "ldm":
        autoencoder = load_checkpoint(Path(run) / "autoencoder")
        lines.append(_write(weights / name / "autoencoder.npz", autoencoder, "", data))
    total = sum(path.stat().st_size for path in weights.rglob("*.npz"))
    lines.append(f"{total:,} bytes in all, of at most {MOST_BYTES:,}")
    if total > MOST_BYTES:
        raise ValueError(f"weights: {lines[-1]}: too much to come with the package")
    return lines


def _write(path: Path, found: Any, figures: str, data: str) -> str:
    part = PART[found.kind]
    if not found.part(part):
        raise CheckpointError(f"{path.name}: the run has no arrays {part}.*: it is incomplete")
    arrays = {
        f"{kept}.{name}": array
        for kept in (part, "early")
        for name, array in found.part(kept).items()
    }
    options = found.description.get("options", {})
    made = {
        "command": command(found.kind, options),
        "data": data or options.get("dataset", found.description.get("data", "")),
        "seed": options.get("seed", found.description.get("seed")),
        "steps": found.description.get("step"), "figures": figures,
    }  # fmt: skip
    description = found.description | {"options": without_places(options)}
    if isinstance(description.get("dataset"), dict):
        description["dataset"] = description["dataset"] | {"folder": None}
    size = write_weights(path, found.kind, description, arrays, made)
    return f"{path}: {sum(a.size for a in arrays.values()):,} numbers, {size:,} bytes"


def command(kind: str, options: dict[str, Any]) -> str:
    """The line that trains such a run again."""
    words = ["python", f"examples/{PROGRAMS[kind]}"]
    for name, value in without_places(options).items():
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            if name not in ("default_minutes", "dataset", "latent_scale"):
                words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def without_places(options: dict[str, Any]) -> dict[str, Any]:
    """The options without paths and processes of the machine that trained."""
    return {name: value for name, value in options.items() if name not in PLACES}


def describe() -> str:
    """What comes with the package, and how each file was made."""
    lines = []
    for path in sorted(WEIGHTS.rglob("*.npz")):
        _, description, arrays = read_weights(path)
        made = description["made"]
        count = sum(array.size for array in arrays.values())
        name = path.relative_to(WEIGHTS).with_suffix("").as_posix()
        lines.append(f"{name}: {count:,} numbers, {path.stat().st_size:,} bytes")
        lines += [f"    {key:8} {value}" for key, value in made.items() if value not in ("", None)]
    return "\n".join(lines) or "no weights come with this copy of minidiff"
