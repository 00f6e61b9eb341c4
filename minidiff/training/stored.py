"""Networks and schedules out of a checkpoint. Nothing is made larger than its arrays say."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidiff.beyond.schedules import any_schedule
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.random import RNG, Shape
from minidiff.training.checkpoint import Checkpoint, CheckpointError, one_line, understood

MOST_STEPS = 1_000_000  # T of a schedule
MOST_NUMBERS = 1 << 26  # in one sample


class LimitedRNG(RNG):
    """Zeros instead of random numbers, for a network whose parameters will be replaced.

    Raises: ValueError as soon as more than `limit` were asked for.
    """

    def __init__(self, limit: int):
        super().__init__(0)
        self.limit, self.left = limit, limit

    def normal(self, shape: Shape = (), dtype: Any = np.float32) -> Any:
        self.left -= shape if isinstance(shape, int) else math.prod(shape)
        if self.left < 0:
            raise ValueError(
                f"its settings want a network of more than the {self.limit:,} numbers "
                "that its arrays hold"
            )
        return np.zeros(shape, dtype)

    uniform = normal


def stored_network(
    folder: str | os.PathLike[str], checkpoint: Checkpoint, network: Any, part: str = "model"
) -> Any:
    """The network of a checkpoint with its parameters, in evaluation mode.

    network: its class. part: "model", or "ema" for the averaged parameters. folder: for messages

    Raises: CheckpointError if the settings or the arrays make no such network.
    """
    with understood(folder):
        arrays = checkpoint.part(part)
        if not arrays:
            raise CheckpointError(f"{folder}: incomplete: there are no arrays {part}.*")
        rng = LimitedRNG(sum(array.size for array in arrays.values()))
        model = network(network.Config(**checkpoint.description["model"]), rng)
        wanted = {name: array.shape for name, array in model.state_dict().items()}
        check_arrays(folder, part, arrays, wanted)
        model.load_state_dict(arrays)
        return model.eval()


def stored_schedule(folder: str | os.PathLike[str], checkpoint: Checkpoint) -> Schedule:
    """The schedule of a checkpoint.

    Raises: CheckpointError if it makes no sense.
    """
    with understood(folder):
        settings = checkpoint.description["schedule"]
        T = settings["T"]
        if type(T) is not int or not 1 <= T <= MOST_STEPS:
            raise CheckpointError(
                f"{folder}: the schedule's T must be in 1..{MOST_STEPS}, got {one_line(repr(T))}"
            )
        return any_schedule(**settings)


def stored_shape(folder: str | os.PathLike[str], name: str, value: Any) -> tuple[int, ...]:
    """A shape out of a description.    name: what it is called there

    Raises: CheckpointError if it is none, or too large for one sample.
    """
    is_shape = isinstance(value, list) and all(type(n) is int and n > 0 for n in value)
    if not is_shape or not 0 < len(value) <= 8 or math.prod(value) > MOST_NUMBERS:
        raise CheckpointError(
            f"{folder}: {name} must be ints > 0, at most {MOST_NUMBERS:,} numbers in all, "
            f"got {one_line(repr(value))}"
        )
    return tuple(value)


def check_arrays(
    folder: str | os.PathLike[str], part: str, arrays: Mapping[str, Any],
    wanted: Mapping[str, tuple[int | None, ...]], dtype: Any = None,
) -> None:  # fmt: skip
    """Refuse arrays of which some are missing, unknown, of a wrong shape or not finite.

    part: the first part of their names. wanted: {name: shape}, with None for any length.
    dtype: of all; None allows every float

    Raises: CheckpointError, which names them.
    """
    for what, names in (
        ("incomplete: missing", [name for name in wanted if name not in arrays]),
        ("it has unknown arrays:", [name for name in arrays if name not in wanted]),
    ):
        if names:
            listed = ", ".join(f"{part}.{name}" for name in names[:3])
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise CheckpointError(f"{folder}: {what} {one_line(listed)}{more}")
    for name, shape in wanted.items():
        array = arrays[name]
        fits = len(shape) == array.ndim and all(
            n in (None, m) for n, m in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise CheckpointError(
                f"{folder}: {part}.{name} has shape {array.shape}, wanted is {shape}"
            )
        if array.dtype.kind != "f" if dtype is None else array.dtype != dtype:
            raise CheckpointError(
                f"{folder}: {part}.{name} has dtype {array.dtype}, "
                f"wanted is {dtype or 'a float'}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise CheckpointError(f"{folder}: {part}.{name} has NaN or inf")
