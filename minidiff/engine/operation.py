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

import numpy as np

from minidiff.engine import anomaly, profiler, registry
from minidiff.engine.backend import is_array
from minidiff.engine.node import Input, Node, as_array, call_of, source_of
from minidiff.engine.operands import ARRAYS, MOVING, let_in, widen
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
        parameters = inspect.signature(function).parameters
        self.parameters = list(parameters)
        # the places of its arrays in the signature, and of those that may be None
        given = [p.default in (p.empty, None) and p.name in ARRAYS for p in parameters.values()]
        self.arrays = [place for place, is_one in enumerate(given) if is_one]
        self.listed = self.parameters.index("tensors") if "tensors" in parameters else None
        self.optional = {i for i, p in enumerate(parameters.values()) if p.default is None}
        operations[self.name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        tensors: list[
            tuple[Tensor, int, int | None]
        ] = []  # with the parameter, and the item of it if that is a list of tensors
        values = {place: _plain(value, place, tensors) for place, value in enumerate(args)}
        places = {key: self._place(key, len(args)) for key in kwargs} if kwargs else {}
        for key, place in places.items():
            values[place] = _plain(kwargs[key], place, tensors)
        given = let_in(self, values)
        is_half = widen(self, values, given)
        arrays = [values[place] for place in range(len(args))]
        options = {key: values[place] for key, place in places.items()}
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
        if y.dtype.char == "e" and not is_half and self.name not in MOVING:
            # NumPy makes float16 of booleans and bytes: exp(True) would be 2.719
            return self(*map(_float32, args), **{key: _float32(x) for key, x in kwargs.items()})
        if is_half and y.dtype.char == "f":
            y = y.astype(np.float16)
        elif y.dtype.kind == "f":
            for x, _, _ in tensors:
                if x._data.dtype != y.dtype and x._data.dtype.kind == "f":
                    self._check_same_float(x.dtype, y.dtype, given, values)
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

    def _place(self, parameter: str, count: int) -> int:
        """Of a parameter in the signature.    count: so many arguments are given without name"""
        if parameter not in self.parameters:
            raise TypeError(
                f"{self.name}() has no parameter {parameter!r}; it takes "
                f"{', '.join(self.parameters)}"
            )
        place = self.parameters.index(parameter)
        if place < count:
            raise TypeError(f"{self.name}() got {parameter!r} twice")
        return place

    def _check_same_float(
        self, before: Any, after: Any, given: list[Any], values: dict[int, Any]
    ) -> None:
        """Refuse to turn float32 into float64.

        A float64 scalar or array in the wrong place would silently make everything twice as slow.
        """
        if self.name in ("astype", "setitem"):
            return
        others = [*given, *(v for v in values.values() if isinstance(v, np.generic))]
        culprits = sorted({str(other.dtype) for other in others if other.dtype != before})
        raise TypeError(
            f"{call_of(self.name)}: {before} would become {after}, because one argument is "
            f"{' and one '.join(culprits)} (an array, or a NumPy scalar such as np.sqrt(2.0)). "
            f"Convert that argument: .astype(np.{before}), or float(...) for a scalar"
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


def _float32(value: Any) -> Any:
    """Integers and booleans as float32."""
    if not isinstance(value, Tensor) and not is_array(value) or value.dtype.kind == "f":
        return value
    return value.astype(np.float32)


def _plain(value: Any, position: int, tensors: list[tuple[Tensor, int, int | None]]) -> Any:
    """The array in place of a Tensor, also inside of a list; the Tensors go into `tensors`."""
    if isinstance(value, Tensor):
        tensors.append((value, position, None))
        return value.data
    if type(value) in (list, tuple) and any(isinstance(item, Tensor) for item in value):
        tensors += [(item, position, i) for i, item in enumerate(value) if isinstance(item, Tensor)]
        return type(value)(item.data if isinstance(item, Tensor) else item for item in value)
    return value
