"""Checks and conversions of a checkpoint that every trainer needs."""

from __future__ import annotations

import copy
import math
import os
from dataclasses import asdict
from typing import Any

from minidiff.data.identity import identity_difference
from minidiff.engine.random import RNG
from minidiff.nn import Module
from minidiff.optim import Optimizer
from minidiff.training.checkpoint import Checkpoint, CheckpointError, one_line
from minidiff.training.stored import check_arrays

MAY_BE_MISSING = ("weighting",)  # facts of runs that have it; without, a checkpoint is silent


def check_same_run(
    folder: str | os.PathLike[str], checkpoint: Checkpoint, optimizer: Optimizer, **own: Any
) -> None:
    """Refuse the checkpoint of another run.    own: facts that both share; folder: for messages
    Raises: CheckpointError if a fact or the optimiser differ.
    """
    facts = checkpoint.description
    for what, value in own.items():
        theirs = facts.get(what) if what in MAY_BE_MISSING else facts[what]
        if theirs != value:
            raise CheckpointError(
                f"{folder}: its {what} is {one_line(theirs)}, this run's is {value}"
            )
    theirs, ours = facts["optimizer"]["name"], type(optimizer).__name__
    if theirs != ours:
        raise CheckpointError(f"{folder}: trained with {one_line(theirs)}, this run has {ours}")


def check_same_dataset(
    folder: str | os.PathLike[str], checkpoint: Checkpoint, dataset: Any
) -> None:
    """Refuse the checkpoint of another data set.    dataset: this run's identity, or None

    A checkpoint that does not know its own, and a run that does not, take any.

    Raises: CheckpointError, which says what differs.
    """
    saved = checkpoint.description.get("dataset")
    if saved is None or dataset is None:
        return
    if difference := identity_difference(saved, dataset):
        raise CheckpointError(f"{folder}: {one_line(difference, 2000)}")


def check_same_config(
    folder: str | os.PathLike[str], checkpoint: Checkpoint, model: Module
) -> None:
    """Refuse the checkpoint of a network with other settings.    folder: for the message

    Raises: CheckpointError if they differ.
    """
    stored = checkpoint.description["model"]
    if stored_config(type(model.config), stored) != model.config:
        raise CheckpointError(
            f"{folder}: its model is {one_line(stored, 2000)}, this run's is {asdict(model.config)}"
        )


def stored_config(config_class: Any, settings: dict[str, Any]) -> Any:
    """The settings of a checkpoint in their dataclass, or None if they are another network's."""
    try:
        return config_class(**settings)
    except (TypeError, ValueError):
        return None


def pack_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """{"optimizer.m.conv1.weight": array, ...}"""
    return {
        f"optimizer.{slot}.{name}": array
        for name, slots in optimizer.state.items()
        for slot, array in slots.items()
    }


def check_state(folder: str | os.PathLike[str], checkpoint: Checkpoint, loop: Any) -> None:
    """Refuse a checkpoint that lacks something a TrainingLoop needs, before anything changes.

    folder: for the messages

    Raises: CheckpointError, which names it; ValueError for a state of the loader or the RNG that
    is none.
    """
    facts, arrays = checkpoint.description, checkpoint.arrays
    parameters = loop.model.state_dict()
    shapes = {name: array.shape for name, array in parameters.items()}
    check_arrays(folder, "model", checkpoint.part("model"), shapes)
    check_number(folder, "step", facts["step"], whole=True)
    check_number(folder, "seconds", facts["seconds"])
    if loop.ema is not None:
        ema = facts["ema"]
        check_number(folder, "ema.updates", ema["updates"], whole=True)
        if not 0 <= ema["decay"] < 1 or len(ema) != 2:
            raise ValueError(f"ema must have updates and a decay in [0, 1), got {ema}")
        check_arrays(folder, "ema", checkpoint.part("ema"), shapes)
        for name, array in checkpoint.part("ema").items():
            if array.dtype != parameters[name].dtype:
                raise ValueError(f"ema.{name} has dtype {array.dtype}")
    check_optimizer(folder, loop.optimizer, checkpoint)
    further = {"losses": (facts["step"],), **loop.further_shapes()}
    for name, shape in further.items():
        if name not in arrays:
            raise CheckpointError(f"{folder}: incomplete: missing {name}")
        theirs = arrays[name].shape
        if len(theirs) != len(shape) or any(
            n not in (None, m) for n, m in zip(shape, theirs, strict=True)
        ):
            raise CheckpointError(f"{folder}: {name} has shape {theirs}, wanted is {shape}")
    if not all(type(value) is int for value in facts["loader"].values()):
        raise ValueError(f"the loader's state must be ints, got {facts['loader']}")
    copy.copy(loop.loader).set_state(facts["loader"])
    RNG(0, loop.rng.device).set_state(facts["rng"])


def check_number(
    folder: str | os.PathLike[str], name: str, value: Any, whole: bool = False
) -> None:
    """Refuse a number of a checkpoint's description that makes no sense.

    Raises: CheckpointError, which names it.
    """
    kinds = (int,) if whole else (int, float)
    if type(value) not in kinds or not 0 <= value < 2**63 or not math.isfinite(value):
        what = "an int" if whole else "a number"
        raise CheckpointError(f"{folder}: {name} must be {what} >= 0, got {one_line(repr(value))}")


def check_optimizer(
    folder: str | os.PathLike[str], optimizer: Optimizer, checkpoint: Checkpoint
) -> None:
    """Refuse a checkpoint whose state of the optimiser is not whole.    folder: for the message

    Raises: CheckpointError, which names what is missing or unknown.
    """
    facts = checkpoint.description["optimizer"]
    check_number(folder, "optimizer.steps", facts["steps"], whole=True)
    check_number(folder, "optimizer.lr", facts["lr"])
    skipped = facts.get("skipped", {})
    if not isinstance(skipped, dict) or not skipped.keys() <= optimizer.parameters.keys():
        got = one_line(repr(skipped))
        raise CheckpointError(
            f"{folder}: optimizer.skipped must be numbers by parameter, got {got}"
        )
    for name, count in skipped.items():
        check_number(folder, f"optimizer.skipped.{name}", count, whole=True)
    without = facts.get("without_state")
    if without is None:  # of an older version: parameters that got no gradient have no state
        stored = {key.split(".", 1)[1] for key in checkpoint.part("optimizer") if "." in key}
        frozen = [name for name, p in optimizer.parameters.items() if not p.requires_grad]
        without = [name for name in frozen if name not in stored]
    named = optimizer.parameters if facts["steps"] else {}
    wanted = {
        f"{slot}.{name}": named[name].shape
        for name in named
        if name not in without
        for slot in optimizer.slots_of(name)
    }
    dtype = next(iter(optimizer.parameters.values())).dtype
    check_arrays(folder, "optimizer", checkpoint.part("optimizer"), wanted, dtype)


def unpack_optimizer(optimizer: Optimizer, checkpoint: Checkpoint) -> None:
    """Continue with the state that `pack_optimizer` put into a checkpoint."""
    slots: dict[str, dict[str, Any]] = {}
    for slot in optimizer.slots:
        for name, array in checkpoint.part(f"optimizer.{slot}").items():
            slots.setdefault(name, {})[slot] = array
    facts = checkpoint.description["optimizer"]
    state = {"steps": facts["steps"], "lr": facts["lr"], "state": slots}
    optimizer.load_state_dict(state | {"skipped": facts.get("skipped", {})})
