"""Optimisers. Each is its update rule, written for one parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidiff.engine.backend import array_module, device_of, is_recording_a_graph, to_device
from minidiff.engine.node import as_array
from minidiff.engine.tensor import Tensor


class Optimizer:
    """Steps the parameters along their gradients.

    parameters: pairs (name, parameter) as from `model.named_parameters()`, or parameters alone,
    which are then named "0", "1", ... The state is kept by these names.
    lr: the learning rate. A schedule sets the attribute between steps.
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
            known = any(parameter is other for other in self.parameters.values())
            if name in self.parameters or known:
                raise ValueError(
                    f"{type(self).__name__}: parameters must be all different, "
                    f"but {name} comes twice"
                )
            self.parameters[name] = parameter
        self.lr = lr
        self.steps = 0
        self.state: dict[str, dict[str, Any]] = {}

    def step(self, gradients: Mapping[str, Any] | None = None) -> None:
        """Update each parameter that has a gradient, in `gradients` by name or as its `.grad`."""
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
                f"a CUDA graph needs parameters that are updated in place, "
                f"which this step of {name} can't do"
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
        """The gradients that there are, by name.

        Raises: ValueError if one is not in its parameter's shape.
        """
        if gradients is None:
            gradients = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        elif any(gradients.get(name) is None for name in self.parameters):
            gradients = {
                name: gradients[name] for name in self.parameters if gradients.get(name) is not None
            }
        for name, parameter in self.parameters.items():
            if name in gradients and gradients[name].shape != parameter.shape:
                raise ValueError(
                    f"step: the gradient of {name} has shape {gradients[name].shape}, "
                    f"the parameter {parameter.shape}"
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

    def _check_betas(self, betas: tuple[float, float]) -> None:
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            name = type(self).__name__
            raise ValueError(f"{name}: betas must be two numbers in [0, 1), got {betas}")

    def zero_grad(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """{"steps": n, "lr": lr, "state": {parameter name: {slot: array}}}, without copies."""
        return {"steps": self.steps, "lr": self.lr, "state": self.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict()` returned.

        Raises: KeyError or ValueError if it is of other parameters.
        """
        me = f"{type(self).__name__}.load_state_dict"
        for name, arrays in state["state"].items():
            if name not in self.parameters:
                raise KeyError(f"{me}: there is no parameter {name}")
            if set(arrays) != set(self.slots_of(name)):
                wanted = sorted(self.slots_of(name))
                raise KeyError(f"{me}: {name} wants {wanted}, got {sorted(arrays)}")
            for slot, array in arrays.items():
                if array.shape != self.parameters[name].shape:
                    raise ValueError(
                        f"{me}: {slot} of {name} has shape {array.shape}, "
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
    """Gradient descent, with momentum if asked for.

        velocity = momentum * velocity + g
        p = p - lr * velocity
    """

    slots = ("velocity",)

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-2, momentum: float = 0.0,
        weight_decay: float = 0.0,
    ):  # fmt: skip
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
