"""Optimisers: SGD, Adam, AdamW. Each is its update rule, written for one parameter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from minidiff.engine.backend import array_module, device_of, is_recording_a_graph, to_device
from minidiff.engine.saved_arrays import Guard
from minidiff.engine.tape import as_array
from minidiff.engine.tensor import Tensor
from minidiff.optim import fused
from minidiff.optim.flat import Flat, fits


class Optimizer:
    """Steps the parameters along their gradients.

    parameters: pairs (name, parameter) as from `model.named_parameters()`, or parameters alone (then named "0", "1", ...).
    lr: the learning rate; a schedule sets the attribute between steps. The state is kept by parameter name.
    """

    slots: tuple[str, ...] = ()  # the arrays that are kept for each parameter

    def __init__(self, parameters: Iterable[tuple[str, Tensor]] | Iterable[Tensor], lr: float):
        pairs = [
            item if isinstance(item, tuple) else (str(i), item) for i, item in enumerate(parameters)
        ]
        if not pairs:
            raise ValueError(
                f"{type(self).__name__}: parameters is empty: there is nothing to train"
            )
        self._check_at_least_0(lr=lr)
        self.parameters: dict[str, Tensor] = {}
        for name, parameter in pairs:
            if name in self.parameters or any(
                parameter is other for other in self.parameters.values()
            ):
                raise ValueError(
                    f"{type(self).__name__}: parameters must be all different, but {name} comes twice"
                )
            self.parameters[name] = parameter
        self.lr = lr
        self.steps = 0
        self.state: dict[str, dict[str, Any]] = {}

    def step(self, gradients: Mapping[str, Any] | None = None) -> None:
        """Update each parameter that has a gradient: from `gradients` by name, or else its `.grad`."""
        self.begin_step()
        self.apply(gradients)

    def begin_step(self) -> None:
        """The part of a step that counts and plans, on the host."""
        self.steps += 1
        self.lr = float(self.lr)  # a NumPy float64 would make the parameters float64
        for name, slots in self.state.items():  # the state follows parameters that were moved
            device = device_of(self.parameters[name].data)
            for slot, array in slots.items():
                if device_of(array) != device:
                    slots[slot] = to_device(array, device)

    def apply(self, gradients: Mapping[str, Any] | None = None) -> None:
        """The part of a step that changes the parameters."""
        if is_recording_a_graph(array_module(next(iter(self.parameters.values())).data)):
            name = type(self).__name__
            raise RuntimeError(
                f"a CUDA graph needs parameters that are updated in place, which this step of {name} can't do"
            )
        for name, gradient in self._checked(gradients).items():
            parameter = self.parameters[name]
            xp = array_module(parameter.data, gradient)
            if name not in self.state:
                self.state[name] = {
                    slot: xp.zeros_like(parameter.data) for slot in self.slots_of(name)
                }
            parameter.assign(
                as_array(self.update_named(name, parameter.data, gradient, self.state[name]))
            )

    def _checked(self, gradients: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The gradients that there are, by name.    Raises ValueError for one that is not in its parameter's shape."""
        if gradients is None:
            gradients = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        elif any(gradients.get(name) is None for name in self.parameters):
            gradients = {
                name: gradients[name] for name in self.parameters if gradients.get(name) is not None
            }
        for name, parameter in self.parameters.items():
            if name in gradients and gradients[name].shape != parameter.shape:
                raise ValueError(
                    f"step: the gradient of {name} has shape {gradients[name].shape}, the parameter {parameter.shape}"
                )
        return gradients

    def slots_of(self, name: str) -> tuple[str, ...]:
        """`slots`, for rules that treat some parameters differently."""
        return self.slots

    def update_named(self, name: str, p: Any, g: Any, state: dict[str, Any]) -> Any:
        """`update`, for rules that treat some parameters differently."""
        return self.update(p, g, state)

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> Any:
        """The new value of parameter p with gradient g; `state` is edited in place."""
        raise TypeError(f"{type(self).__name__} has no update rule")

    def _check_at_least_0(self, **values: float) -> None:
        for name, value in values.items():
            if not value >= 0:
                raise ValueError(f"{type(self).__name__}: {name} must be >= 0, got {value}")

    def zero_grad(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """{"steps": n, "lr": lr, "state": {parameter name: {slot: array}}}; the arrays themselves, no copies."""
        return {"steps": self.steps, "lr": self.lr, "state": self.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict()` returned.    Raises KeyError or ValueError if it is of other parameters."""
        for name, arrays in state["state"].items():
            if name not in self.parameters:
                raise KeyError(
                    f"{type(self).__name__}.load_state_dict: there is no parameter {name}"
                )
            if set(arrays) != set(self.slots_of(name)):
                raise KeyError(
                    f"{type(self).__name__}.load_state_dict: {name} wants {sorted(self.slots_of(name))}, got {sorted(arrays)}"
                )
            for slot, array in arrays.items():
                if array.shape != self.parameters[name].shape:
                    raise ValueError(
                        f"{type(self).__name__}.load_state_dict: {slot} of {name} has shape {array.shape}, "
                        f"the parameter {self.parameters[name].shape}"
                    )
        self.steps, self.lr = int(state["steps"]), float(state["lr"])
        self.state = {
            name: {
                slot: to_device(array, device_of(self.parameters[name].data)).copy()
                for slot, array in arrays.items()
            }
            for name, arrays in state["state"].items()
        }


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for:  velocity = momentum * velocity + g,  p = p - lr * velocity."""

    slots = ("velocity",)

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-2,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr)
        self._check_at_least_0(momentum=momentum, weight_decay=weight_decay)
        self.momentum, self.weight_decay = momentum, weight_decay

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> Any:
        if self.weight_decay:
            g = g + self.weight_decay * p
        velocity = state["velocity"]
        velocity *= self.momentum
        velocity += g
        return p - self.lr * velocity


class Adam(Optimizer):
    """Kingma & Ba 2015, Algorithm 1.    betas: decay of the two running means; eps: against division by zero.

    weight_decay is added to the gradient (L2 regularisation); `AdamW` takes it off the parameter instead.
    """

    slots = ("m", "v")
    decoupled = False

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):  # fmt: skip
        super().__init__(parameters, lr)
        self._check_at_least_0(eps=eps, weight_decay=weight_decay)
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(
                f"{type(self).__name__}: betas must be two numbers in [0, 1), got {betas}"
            )
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
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
        m_hat_scale = 1 / (1 - beta1**self.steps)
        v_hat_scale = 1 / math.sqrt(1 - beta2**self.steps)
        return p - (self.lr * m_hat_scale) * m / (xp.sqrt(v) * v_hat_scale + self.eps)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): p shrinks by lr * weight_decay at each step, whatever its gradient."""

    decoupled = True

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):  # fmt: skip
        super().__init__(parameters, lr, betas, eps, weight_decay)


class FlatAdam:
    """Adam on a GPU: parameters, m and v lie in three vectors, which one kernel updates in place, by the rule of `Adam.update`."""

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
            self.xp,
            self.numbers,
            l2,
            beta1,
            1 - beta1,
            beta2,
            1 - beta2,
            1 - o.lr * decay,
            step_size,
            v_scale,
            o.eps,
        )

    def _take(self) -> None:
        """Parameters and state become the pieces, with values that were assigned meanwhile; not while a live graph needs the old ones."""
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
        """The update; False, and nothing is done, if it can't be done in place: a gradient is missing or a live graph needs old values."""
        taken = all(
            p.data is self.parameters[name] for name, p in self.optimizer.parameters.items()
        )
        if not taken or self._is_held() or not self.parameters.like(gradients):
            return False
        g = self.gradients.vector_of(gradients)
        fused.adam(
            self.xp,
            g,
            self.numbers,
            self.parameters.whole,
            self.state["m"].whole,
            self.state["v"].whole,
        )
        return True
