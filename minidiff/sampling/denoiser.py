"""A trained noise predictor, read from its checkpoint."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from minidiff.diffusion.schedule import Schedule, make_schedule
from minidiff.training.checkpoint import checkpoint_in, load_checkpoint


class Denoiser(NamedTuple):
    """Everything that samples are drawn with."""

    model: Any  # with its averaged (EMA) parameters, in evaluation mode
    prediction: str  # what the model returns: "eps", "x_0" or "v"
    schedule: Schedule
    sample_shape: tuple[int, ...]  # (C, H, W)
    facts: dict[str, Any]  # of the checkpoint, with the options of `trainer.save`


def load_denoiser(
    folder: str | os.PathLike[str], model_class: Any, kind: str = "ddpm", device: str = "cpu"
) -> Denoiser:
    """Read what `Trainer.save` wrote, ready for sampling.    folder: of the run, or of its checkpoint

    Raises: CheckpointError if it is of another kind.
    """
    checkpoint = load_checkpoint(checkpoint_in(folder), kind)
    facts = checkpoint.description
    model: Any = model_class(model_class.Config(**facts["model"]))
    model.load_state_dict(checkpoint.part("ema"))
    model.to(device).eval()
    schedule = make_schedule(**facts["schedule"])
    return Denoiser(model, facts["prediction"], schedule, tuple(facts["sample_shape"]), facts)
