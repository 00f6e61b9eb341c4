"""An exponential moving average of the parameters: samples are drawn from it rather than from the last, jittery values (DDPM app. B)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minidiff.nn import Module


class EMA:
    """average = decay * average + (1 - decay) * parameter, after each step.

    decay: in [0, 1); DDPM takes 0.9999 for 800,000 steps. While few steps are done, (1 + n) / (10 + n) is used if it is smaller, so that
    the random initial values are forgotten quickly.
    """

    def __init__(self, model: Module, decay: float = 0.999):
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay must be in [0, 1), got {decay}")
        self.decay = decay
        self.updates = 0
        self.average = {name: array.copy() for name, array in model.state_dict().items()}

    def update(self, model: Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, array in model.state_dict().items():
            average = self.average[name]
            average *= decay
            average += (1 - decay) * array

    @contextmanager
    def applied_to(self, model: Module) -> Iterator[None]:
        """Inside, the model has the averaged parameters."""
        own = model.state_dict()
        _assign(model, self.average)
        try:
            yield
        finally:
            _assign(model, own)


def _assign(model: Module, arrays: dict[str, Any]) -> None:
    for name, parameter in model.named_parameters():
        parameter.assign(arrays[name])
