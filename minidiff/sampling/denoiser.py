"""A trained noise predictor, read from its checkpoint."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from minidiff.beyond.pairs import PREDICTIONS
from minidiff.diffusion.schedule import Schedule
from minidiff.training.checkpoint import (
    CheckpointError,
    checkpoint_in,
    load_checkpoint,
    one_line,
    understood,
)
from minidiff.training.state import check_number
from minidiff.training.stored import stored_network, stored_schedule, stored_shape


class Denoiser(NamedTuple):
    """Everything that samples are drawn with."""

    model: Any  # with its averaged (EMA) parameters, in evaluation mode
    prediction: str  # what the model returns, of PREDICTIONS
    schedule: Schedule
    sample_shape: tuple[int, ...]  # (C, H, W)
    facts: dict[str, Any]  # of the checkpoint, with the options of `trainer.save`
    early: Any = None  # the model as it was early in its training, if the run kept that
    guidance: float = 1.0  # the strength with which the run itself is guided by `early`


def load_denoiser(
    folder: str | os.PathLike[str], model_class: Any, kind: str = "ddpm", device: str = "cpu"
) -> Denoiser:
    """Read what `Trainer.save` wrote, ready for sampling.

    folder: of the run, or of its checkpoint.

    Raises: CheckpointError if it is of another kind, damaged or incomplete.
    """
    checkpoint = load_checkpoint(checkpoint_in(folder), kind)
    facts = checkpoint.description
    model = stored_network(folder, checkpoint, model_class, "ema").to(device)
    early = None
    if checkpoint.part("early"):
        early = stored_network(folder, checkpoint, model_class, "early").to(device)
    schedule = stored_schedule(folder, checkpoint)
    with understood(folder):
        prediction = facts["prediction"]
        if prediction not in PREDICTIONS:
            raise CheckpointError(
                f"{folder}: prediction must be one of {', '.join(PREDICTIONS)}, "
                f"got {one_line(repr(prediction))}"
            )
        shape = stored_shape(folder, "sample_shape", facts["sample_shape"])
        guidance = facts.get("options", {}).get("guidance", 1.0) if early else 1.0
        check_number(folder, "guidance", guidance)
    return Denoiser(model, prediction, schedule, shape, facts, early, float(guidance))
