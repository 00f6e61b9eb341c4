"""The captions of a text-to-image model, as a condition for the trainer of the pixel model."""

from __future__ import annotations

from typing import Any

from minidiff.data.captions import Captions
from minidiff.diffusion.guidance import drop_condition
from minidiff.engine.backend import device_of, to_device
from minidiff.engine.random import RNG
from minidiff.training.trainer import Prepare


def with_captions(captions: Captions, p_uncond: float = 0.1) -> Prepare:
    """A trainer's `prepare` that draws a caption for each image anew each time.

    The caption is dropped with probability p_uncond. Dropped captions train the same network
    without a condition, for classifier-free guidance. The loader's labels are `captions.facts`.

    Raises: ValueError if p_uncond is outside [0, 1].
    """
    if not 0 <= p_uncond <= 1:
        raise ValueError(f"with_captions: p_uncond must be in [0, 1], got {p_uncond}")

    def prepare(z_0: Any, facts: Any, rng: RNG) -> tuple[Any, dict[str, Any]]:
        tokens, null = (
            to_device(array, device_of(z_0))
            for array in (captions.tokens(facts, rng), captions.null)
        )
        return z_0, {"tokens": drop_condition(tokens, null, p_uncond, rng)}

    return prepare
