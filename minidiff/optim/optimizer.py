"""Optimisers. Each is its update rule, written for one parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidiff.engine.backend import array_module, device_of, is_recording_a_graph, to_device
from minidiff.engine.checks import is_number
from minidiff.engine.elementwise import number
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
        pairs = self._listed(parameters)
        self._check_at_least_0(lr=lr)
        self.parameters: dict[str, Tensor] = {}
        for name, parameter in pairs:
            known = any(parameter is other for other in self.parameters.values())
            if name in self.parameters or known:
                raise ValueError(
                    f"{type(self).__name__}: parameters must be all different, "
                    f"but {name} comes twice"
                )
            self._check_trainable(name, parameter)
            self.parameters[name] = parameter
        if not any(parameter.requires_grad for parameter in self.parameters.values()):
            raise ValueError(
                f"{type(self).__name__}: no parameter requires a gradient: "
                "there is nothing to train"
            )
        self.lr = lr
        self.steps = 0
        self.state: dict[str, dict[str, Any]] = {}
        # in how many steps a parameter had no gradient: its rule counts the others only
        self.skipped: dict[str, int] = {}

    def _listed(self, parameters: Any) -> list[tuple[str, Any]]:
        """As pairs (name, parameter)."""
        me = type(self).__name__
        if isinstance(parameters, (Tensor, str)) or not isinstance(parameters, Iterable):
            raise TypeError(
                f"{me}: parameters must be a list of Tensors, such as [weight] or "
                f"model.parameters(), got {_in_words(parameters)}"
            )
        items = list(parameters.items() if isinstance(parameters, Mapping) else parameters)
        if not items:
            raise ValueError(f"{me}: parameters is empty: there is nothing to train")
        if any(isinstance(item, Mapping) for item in items):
            raise TypeError(f"{me}: groups of parameters are not supported; use two optimisers")
        return [
            item if isinstance(item, tuple) and len(item) == 2 else (str(i), item)
            for i, item in enumerate(items)
        ]

    def _check_trainable(self, name: Any, parameter: Any) -> None:
        me = type(self).__name__
        if not isinstance(name, str) or not isinstance(parameter, Tensor):
            raise TypeError(f"{me}: parameter {name} must be a Tensor, got {_in_words(parameter)}")
        if parameter.node is not None:
            raise ValueError(
                f"{me}: parameter {name} was computed by {parameter.node.operation.name}; only a "
                "leaf can be trained: give the tensors that it was computed from"
            )

    def steps_with_gradient(self, name: str) -> int:
        """How many steps this parameter has taken, the one being taken included."""
        return self.steps - self.skipped.get(name, 0)

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
        gradients = self._checked(gradients)
        for name in self.parameters.keys() - gradients.keys():
            self.skipped[name] = self.skipped.get(name, 0) + 1
        for name, gradient in gradients.items():
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
            if not is_number(number(value)) and value == value:  # NaN is a number below
                got = f"{name} must be a number >= 0, got {value!r}"
                raise TypeError(f"{type(self).__name__}: {got}")
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
        """{"steps": n, "lr": lr, "state": {parameter name: {slot: array}}}, without copies.

        "skipped": {parameter name: n} is there if parameters had no gradient in some steps.
        """
        state = {"steps": self.steps, "lr": self.lr, "state": self.state}
        return state | ({"skipped": dict(self.skipped)} if self.skipped else {})

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
        self.skipped = {name: int(n) for name, n in state.get("skipped", {}).items()}
        self.state = {
            name: {
                slot: to_device(array, device_of(self.parameters[name].data)).copy()
                for slot, array in arrays.items()
            }
            for name, arrays in state["state"].items()
        }


def _in_words(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"one Tensor of shape {value.shape}"
    return repr(value) if isinstance(value, (str, int, float)) else type(value).__name__


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for.

        velocity = momentum * velocity + g
        p = p - lr * velocity

    nesterov: p moves along g + momentum * velocity instead, as in PyTorch.
    """

    slots = ("velocity",)

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-3, momentum: float = 0.0,
        weight_decay: float = 0.0, nesterov: bool = False,
    ):  # fmt: skip
        super().__init__(parameters, lr)
        self._check_at_least_0(momentum=momentum, weight_decay=weight_decay)
        if nesterov and not momentum:
            raise ValueError(f"SGD: nesterov needs momentum > 0, got {momentum}")
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> Any:
        if self.weight_decay:
            g = g + self.weight_decay * p
        velocity = state["velocity"]
        velocity *= self.momentum
        velocity += g
        if self.nesterov:
            return p - self.lr * (g + self.momentum * velocity)
        return p - self.lr * velocity
