"""What every trainer does with a checkpoint: refuse another run's, and keep the optimiser's state as arrays."""

from __future__ import annotations

import os
from typing import Any

from minidiff.optim import Optimizer
from minidiff.training.checkpoint import Checkpoint, CheckpointError


def check_same_run(
    folder: str | os.PathLike[str], checkpoint: Checkpoint, optimizer: Optimizer, **own: Any
) -> None:
    """Raises CheckpointError unless the checkpoint has `own` facts and was trained with such an optimiser.    folder: for the message."""
    facts = checkpoint.description
    for what, value in own.items():
        if facts[what] != value:
            raise CheckpointError(f"{folder}: its {what} is {facts[what]}, this run's is {value}")
    if facts["optimizer"]["name"] != type(optimizer).__name__:
        raise CheckpointError(
            f"{folder}: trained with {facts['optimizer']['name']}, this run has {type(optimizer).__name__}"
        )


def pack_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """{"optimizer.m.conv1.weight": array, ...}"""
    return {
        f"optimizer.{slot}.{name}": array
        for name, slots in optimizer.state.items()
        for slot, array in slots.items()
    }


def unpack_optimizer(optimizer: Optimizer, checkpoint: Checkpoint) -> None:
    """Continue with the state of a checkpoint that `pack_optimizer` is in."""
    slots: dict[str, dict[str, Any]] = {}
    for slot in optimizer.slots:
        for name, array in checkpoint.part(f"optimizer.{slot}").items():
            slots.setdefault(name, {})[slot] = array
    facts = checkpoint.description["optimizer"]
    optimizer.load_state_dict({"steps": facts["steps"], "lr": facts["lr"], "state": slots})
