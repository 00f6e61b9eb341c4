"""`@operation`: one function that holds a formula and its derivative becomes an operation on Tensors.

    @operation
    def multiply(x, y):
        z = x * y

        def multiply_backward(dz):
            return dz * y, dz * x

        return z, multiply_backward

Inside, x and y are plain arrays. The inner function returns one gradient per leading parameter of the signature, in order, as a tuple (or
one array if there is one); it need not undo broadcasting. If it takes a second parameter, `wanted`, it is told which of them are asked for. A
parameter may be a list of tensors; its gradient is then a list. An operation without a derivative returns `(z, None)`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from minidiff import anomaly, dispatch
from minidiff.tape import Guard, Node, is_recording, user_line
from minidiff.tensor import Tensor

operations: dict[str, Operation] = {}


class Operation:
    """A function on arrays, lifted to Tensors. `reference` is the function itself."""

    def __init__(self, function: Callable[..., tuple[Any, Callable | None]]):
        functools.update_wrapper(self, function)
        self.reference = function
        self.name = function.__name__
        self.parameters = list(inspect.signature(function).parameters)
        operations[self.name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        inputs: list[Tensor] = []
        places: list[tuple[int, int | None]] = []  # (which parameter, which item of it if it is a list of tensors)

        def plain(value: Any, position: int) -> Any:
            if isinstance(value, Tensor):
                inputs.append(value)
                places.append((position, None))
                return value.data
            if type(value) in (list, tuple) and any(isinstance(item, Tensor) for item in value):
                for i, item in enumerate(value):
                    if isinstance(item, Tensor):
                        inputs.append(item)
                        places.append((position, i))
                return type(value)(item.data if isinstance(item, Tensor) else item for item in value)
            return value

        arrays = [plain(value, i) for i, value in enumerate(args)]
        options = {key: plain(value, self._position(key)) for key, value in kwargs.items()}
        y, backward = dispatch.run(self.name, self.reference, arrays, options)
        self._check_dtype(y, inputs)
        if anomaly.enabled():
            anomaly.check_forward(self.name, user_line(), y, arrays)

        result = Tensor._of(y)
        if backward is not None and is_recording() and any(x.requires_grad for x in inputs):
            node = Node(self.name, inputs, places, backward, y.shape)
            node.guard = Guard([x.data for x in inputs] + [y], node.describe())
            result.node = node
        return result

    def _position(self, parameter: str) -> int:
        if parameter not in self.parameters:
            raise TypeError(f"{self.name}() has no parameter {parameter!r}; it takes {', '.join(self.parameters)}")
        return self.parameters.index(parameter)

    def _check_dtype(self, y: Any, inputs: list[Tensor]) -> None:
        """float32 stays float32: a float64 scalar or array in the wrong place would silently make everything twice as slow."""
        if y.dtype.name == "float64" and any(x.dtype.name == "float32" for x in inputs):
            raise TypeError(
                f"{self.name} at {user_line()}: float32 would become float64, because one argument is float64 (an array, or a NumPy "
                "scalar such as np.sqrt(2.0)). Convert that argument: .astype(np.float32), or float(...) for a scalar"
            )

    def __repr__(self) -> str:
        return f"<operation {self.name}({', '.join(self.parameters)})>"


def operation(function: Callable[..., tuple[Any, Callable | None]]) -> Operation:
    """Lift `function`, which returns `(result, backward)`, to Tensors."""
    return Operation(function)
