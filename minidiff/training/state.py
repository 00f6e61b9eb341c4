"""Checks and conversions of a checkpoint that every trainer needs."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from minidiff.nn import Module
from minidiff.optim import Optimizer
from minidiff.training.checkpoint import Checkpoint, CheckpointError


def check_same_run(
    folder: str | os.PathLike[str], checkpoint: Checkpoint, optimizer: Optimizer, **own: Any
) -> None:
    """Refuse the checkpoint of another run.    own: facts that both share; folder: for messages

    Raises: CheckpointError if a fact or the optimiser differ.
    """
    facts = checkpoint.description
    for what, value in own.items():
        if facts[what] != value:
            raise CheckpointError(f"{folder}: its {what} is {facts[what]}, this run's is {value}")
    theirs, ours = facts["optimizer"]["name"], type(optimizer).__name__
    if theirs != ours:
        raise CheckpointError(f"{folder}: trained with {theirs}, this run has {ours}")


def check_same_config(
    folder: str | os.PathLike[str], checkpoint: Checkpoint, model: Module
) -> None:
    """Refuse the checkpoint of a network with other settings.    folder: for the message

    Raises: CheckpointError if they differ.
    """
    stored = checkpoint.description["model"]
    if stored_config(type(model.config), stored) != model.config:
        raise CheckpointError(
            f"{folder}: its model is {stored}, this run's is {asdict(model.config)}"
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


def unpack_optimizer(optimizer: Optimizer, checkpoint: Checkpoint) -> None:
    """Continue with the state that `pack_optimizer` put into a checkpoint."""
    slots: dict[str, dict[str, Any]] = {}
    for slot in optimizer.slots:
        for name, array in checkpoint.part(f"optimizer.{slot}").items():
            slots.setdefault(name, {})[slot] = array
    facts = checkpoint.description["optimizer"]
    state = {"steps": facts["steps"], "lr": facts["lr"], "state": slots}
    optimizer.load_state_dict(state | {"skipped": facts.get("skipped", {})})
