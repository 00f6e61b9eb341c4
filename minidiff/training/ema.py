"""An exponential moving average of the parameters (EMA).

Samples are drawn from it rather than from the last, jittery values (DDPM app. B).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minidiff.engine.backend import array_module, device_of, to_device
from minidiff.nn import Module
from minidiff.optim import fused
from minidiff.optim.flat import Flat, fits, whole_of


class EMA:
    """average = decay * average + (1 - decay) * parameter, after each step.

    decay: in [0, 1). DDPM takes 0.9999 for 800,000 steps. After n steps, (1 + n) / (10 + n) is used
    if it is smaller, so that the random initial values are forgotten quickly.
    """

    def __init__(self, model: Module, decay: float = 0.999):
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay must be in [0, 1), got {decay}")
        self.decay = decay
        self.updates = 0
        parameters = model.state_dict()
        self.average: Any = (
            Flat(parameters)
            if fits(parameters)
            else {name: array.copy() for name, array in parameters.items()}
        )
        if isinstance(self.average, Flat):  # on a GPU the kernel reads decay and 1 - decay there
            self.numbers = array_module(self.average.whole).empty(2, "float32")

    def update(self, model: Module) -> None:
        """One step of the average."""
        self.begin_update()
        self.apply(model)

    def begin_update(self) -> None:
        """The part that counts and plans, on the host."""
        self.updates += 1
        if isinstance(self.average, Flat):
            fused.write(
                array_module(self.numbers), self.numbers, self.present_decay, 1 - self.present_decay
            )

    @property
    def present_decay(self) -> float:
        return min(self.decay, (1 + self.updates) / (10 + self.updates))

    def apply(self, model: Module) -> None:
        """The part that changes the average."""
        decay, parameters = self.present_decay, model.state_dict()
        if isinstance(self.average, Flat):
            whole = whole_of(parameters)
            pairs = (
                [(whole, self.average.whole)]
                if whole is not None
                else [(parameters[name], self.average[name]) for name in parameters]
            )
            for array, average in pairs:
                fused.moving_average(array_module(average), array, self.numbers, average)
            return
        for name, array in parameters.items():
            average = self.average[name]
            average *= decay
            average += (1 - decay) * array

    def restore(self, average: dict[str, Any], decay: float, updates: int) -> None:
        """Go on with the average of a checkpoint."""
        for name, array in average.items():
            self.average[name] = to_device(array, device_of(self.average[name]))
        self.decay, self.updates = decay, updates

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
