"""`@operation` makes one function, which holds a formula and its derivative, work on Tensors.

    @operation
    def multiply(x, y):
        z = x * y

        def multiply_backward(dz):
            return dz * y, dz * x

        return z, multiply_backward

`@operation(check=f)` calls f with the arguments first. It raises for those that do not fit,
whichever implementation runs afterwards.

Inside, x and y are plain arrays. The inner function returns one gradient per leading parameter of
the signature, in order, as a tuple, or as one array if there is one. It need not undo broadcasting.
If it takes a second parameter, `wanted`, it is told for each parameter of the operation whether its
gradient is asked for. A parameter may be a list of tensors, and its gradient is then a list. An
operation without a derivative returns `(z, None)`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, overload

from minidiff.engine import anomaly, profiler, registry
from minidiff.engine.node import Input, Node, as_array, call_of, source_of
from minidiff.engine.saved_arrays import note_view
from minidiff.engine.tape import is_recording
from minidiff.engine.tensor import Tensor

Definition = Callable[..., tuple[Any, Callable | None]]
operations: dict[str, Operation] = {}


class Operation:
    """A function on arrays, lifted to Tensors.

    `reference` is the function itself, `check` refuses wrong arguments.
    """

    def __init__(self, function: Definition, check: Callable[..., None] | None = None):
        functools.update_wrapper(self, function)
        self.reference = function
        self.check = check
        self.name = function.__name__
        self.parameters = list(inspect.signature(function).parameters)
        operations[self.name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        tensors: list[
            tuple[Tensor, int, int | None]
        ] = []  # with the parameter, and the item of it if that is a list of tensors
        arrays = [_plain(value, i, tensors) for i, value in enumerate(args)]
        options = (
            {key: _plain(value, self._position(key), tensors) for key, value in kwargs.items()}
            if kwargs
            else {}
        )
        if self.check is not None:
            self.check(*arrays, **options)
        if profiler.active is None:
            y, backward = registry.run(self.name, self.reference, arrays, options)
        else:
            y, backward = profiler.active.forward(
                self.name, [*arrays, *options.values()],
                lambda: registry.run(self.name, self.reference, arrays, options),
            )  # fmt: skip
        y = as_array(y)
        if y.dtype.char == "d":
            self._check_float64(tensors)
        context = None
        if anomaly.enabled():
            context = anomaly.context(
                {**dict(zip(self.parameters, arrays, strict=False)), **options}
            )
            anomaly.check_forward(call_of(self.name), y, context)

        if y.base is not None:
            note_view(y)
        result = Tensor._of(y)
        if backward is not None and is_recording():
            inputs = [
                Input(source_of(x), position, item, x.shape, x.dtype)
                for x, position, item in tensors
                if x.requires_grad
            ]
            if inputs:
                result.node = Node(self, inputs, backward, [*arrays, *options.values(), y], context)
        return result

    def _position(self, parameter: str) -> int:
        if parameter not in self.parameters:
            raise TypeError(
                f"{self.name}() has no parameter {parameter!r}; it takes "
                f"{', '.join(self.parameters)}"
            )
        return self.parameters.index(parameter)

    def _check_float64(self, tensors: list[tuple[Tensor, int, int | None]]) -> None:
        """Refuse to turn float32 into float64.

        A float64 scalar or array in the wrong place would silently make everything twice as slow.
        """
        meant = self.name in ("astype", "setitem")
        if not meant and any(x.dtype.char == "f" for x, _, _ in tensors):
            raise TypeError(
                f"{call_of(self.name)}: float32 would become float64, because one argument is "
                f"float64 (an array, or a NumPy "
                "scalar such as np.sqrt(2.0)). Convert that argument: .astype(np.float32), or "
                "float(...) for a scalar"
            )

    def __reduce__(self) -> str:
        return self.reference.__qualname__  # pickled by name, as functions are

    def __repr__(self) -> str:
        return f"<operation {self.name}({', '.join(self.parameters)})>"


@overload
def operation(function: Definition) -> Operation: ...


@overload
def operation(*, check: Callable[..., None]) -> Callable[[Definition], Operation]: ...


def operation(
    function: Definition | None = None, *, check: Callable[..., None] | None = None
) -> Operation | Callable[[Definition], Operation]:
    """Lift `function`, which returns `(result, backward)`, to Tensors.

    check: a function with the same parameters that raises for arguments that do not fit.
    """
    if function is None:
        return lambda function: Operation(function, check)
    return Operation(function, check)


def _plain(value: Any, position: int, tensors: list[tuple[Tensor, int, int | None]]) -> Any:
    """The array in place of a Tensor, also inside of a list; the Tensors go into `tensors`."""
    if isinstance(value, Tensor):
        tensors.append((value, position, None))
        return value.data
    if type(value) in (list, tuple) and any(isinstance(item, Tensor) for item in value):
        tensors += [(item, position, i) for i, item in enumerate(value) if isinstance(item, Tensor)]
        return type(value)(item.data if isinstance(item, Tensor) else item for item in value)
    return value
