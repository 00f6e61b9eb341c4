"""Adam on a GPU: one kernel updates all parameters at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minidiff.engine.backend import array_module, device_of
from minidiff.engine.saved_arrays import Guard
from minidiff.optim import fused
from minidiff.optim.flat import Flat

if TYPE_CHECKING:
    from minidiff.optim.adam import Adam


class FlatAdam:
    """Parameters, m and v in three vectors, updated in place by the rule of `Adam.update`."""

    def __init__(self, optimizer: Adam):
        self.optimizer = optimizer
        self.parameters = Flat({name: p.data for name, p in optimizer.parameters.items()})
        self.state = {slot: Flat.zeros_like(self.parameters) for slot in optimizer.slots}
        self.gradients = Flat.zeros_like(self.parameters)
        self.xp, self.device = array_module(self.parameters.whole), device_of(self.parameters.whole)
        self.numbers = self.xp.empty(len(fused.NUMBERS), "float32")

    def begin_step(self) -> None:
        """Put what the kernel needs of this step onto the device."""
        self._take()
        o, (beta1, beta2) = self.optimizer, self.optimizer.betas
        l2, decay = (0.0, o.weight_decay) if o.decoupled else (o.weight_decay, 0.0)
        step_size, v_scale = o.lr / (1 - beta1**o.steps), 1 / math.sqrt(1 - beta2**o.steps)
        fused.write(
            self.xp, self.numbers, l2, beta1, 1 - beta1, beta2, 1 - beta2, 1 - o.lr * decay,
            step_size, v_scale, o.eps,
        )  # fmt: skip

    def _take(self) -> None:
        """Make parameters and state the pieces of the vectors, with values assigned meanwhile.

        Nothing is done while a live graph needs the old ones.
        """
        if self._is_held():
            return
        for name, parameter in self.optimizer.parameters.items():
            if parameter.data is not self.parameters[name]:
                self.parameters[name] = parameter.data
                parameter.assign(self.parameters[name])
            state = self.optimizer.state.setdefault(
                name, {slot: flat[name] for slot, flat in self.state.items()}
            )
            for slot, flat in self.state.items():
                if state[slot] is not flat[name]:
                    flat[name] = state[slot]
                    state[slot] = flat[name]

    def _is_held(self) -> bool:
        return Guard.holder_of(self.parameters.whole) is not None

    def apply(self, gradients: Mapping[str, Any]) -> bool:
        """Update in place.

        -> False, and nothing is done, if a gradient is missing, a live graph needs old values, or
        the parameters have taken different numbers of steps
        """
        if self.optimizer.skipped:
            return False
        taken = all(
            p.data is self.parameters[name] for name, p in self.optimizer.parameters.items()
        )
        if not taken or self._is_held() or not self.parameters.like(gradients):
            return False
        g = self.gradients.vector_of(gradients)
        m, v = self.state["m"].whole, self.state["v"].whole
        fused.adam(self.xp, g, self.numbers, self.parameters.whole, m, v)
        return True
