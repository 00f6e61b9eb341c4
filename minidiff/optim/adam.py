"""Adam and AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from minidiff.engine.backend import array_module
from minidiff.optim.flat import fits
from minidiff.optim.flat_adam import FlatAdam
from minidiff.optim.optimizer import Optimizer


class Adam(Optimizer):
    """Kingma & Ba 2015, Algorithm 1.

    betas: decay of the two running means. eps: against division by zero. weight_decay: is added to
    the gradient (L2 regularisation). `AdamW` takes it off the parameter instead.
    """

    slots = ("m", "v")
    decoupled = False

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0,
    ):  # fmt: skip
        super().__init__(parameters, lr)
        self._check_at_least_0(eps=eps, weight_decay=weight_decay)
        self._check_betas(betas)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.t = 0  # of Algorithm 1: the steps of the parameter that is being updated
        self.flat: FlatAdam | None = None  # parameters and state on a GPU

    def begin_step(self) -> None:
        super().begin_step()
        if not fits({name: p.data for name, p in self.parameters.items()}):
            self.flat = None
        elif self.flat is None or self.flat.device != next(iter(self.parameters.values())).device:
            self.flat = FlatAdam(self)
        if self.flat is not None:
            self.flat.begin_step()

    def apply(self, gradients: Mapping[str, Any] | None = None) -> None:
        gradients = self._checked(gradients)
        if self.flat is None or not self.flat.apply(gradients):
            super().apply(gradients)

    def update_named(self, name: str, p: Any, g: Any, state: dict[str, Any]) -> Any:
        self.t = self.steps_with_gradient(name)
        return self.update(p, g, state)

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> Any:
        xp = array_module(p)
        beta1, beta2 = self.betas
        m, v = state["m"], state["v"]
        if self.weight_decay and self.decoupled:
            p = p * (1 - self.lr * self.weight_decay)
        elif self.weight_decay:
            g = g + self.weight_decay * p
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g * g
        m_hat_scale = 1 / (1 - beta1**self.t)
        v_hat_scale = 1 / math.sqrt(1 - beta2**self.t)
        return p - (self.lr * m_hat_scale) * m / (xp.sqrt(v) * v_hat_scale + self.eps)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    p shrinks by lr * weight_decay at each step, whatever its gradient.
    """

    decoupled = True

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.01,
    ):  # fmt: skip
        super().__init__(parameters, lr, betas, eps, weight_decay)
