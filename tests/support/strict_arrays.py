"""An array library that behaves like one on a GPU, to prove on a machine without a GPU that no operation leaves it.

`StrictArray` is no NumPy array: NumPy's functions refuse it, it refuses to be mixed with NumPy arrays, and it has no buffer to
be read from.
`strict_module` stands for `cupy`: NumPy's functions on StrictArrays, which return StrictArrays, 0-d ones where NumPy returns numbers. What
makes the host wait for a value (`float(x)`, `if x:`, `x.item()`) or a size (`x[x > 0]`) is counted in `StrictArray.host_reads`. `asnumpy`
and `asarray` are the two ways between the libraries.
"""

from __future__ import annotations

import functools
import operator
from types import ModuleType
from typing import Any

import numpy as np


class LeakError(TypeError):
    """An array of this library was used as if it were NumPy's."""


class StrictArray:
    __slots__ = ("_values", "base", "__weakref__")
    __array_ufunc__ = None
    host_reads = 0
    watcher: Any = None  # told of each call (support/fake_cupy.py records CUDA graphs with it)

    def __init__(self, values: np.ndarray, base: StrictArray | None = None):
        self._values = values
        self.base = base

    def __array__(self, *args, **kwargs):
        raise LeakError("a NumPy function was called with an array of another library, or asked for its values")

    def __array_function__(self, function, *args):
        raise LeakError(f"numpy.{function.__name__} was called with an array of another library: use array_module(x)")

    def __iter__(self):
        if self.ndim == 1:
            raise LeakError("iterating over an array reads it one by one")
        return (self[i] for i in range(len(self)))

    def __setitem__(self, index, value):
        _set(self, index, value)
        items = index if isinstance(index, tuple) else (index,)
        if any(isinstance(i, list) or (isinstance(i, StrictArray) and i.dtype.kind in "iu") for i in items):
            # a GPU writes in any order: here the first value of a place stays, where NumPy keeps the last
            places = np.arange(self._values.size).reshape(self._values.shape)[_given(index)]
            values = np.empty(places.shape, self._values.dtype)
            values[...] = _given(value)
            self._values.flat[places.ravel()[::-1]] = values.ravel()[::-1]

    def __len__(self):
        return len(self._values)

    def __repr__(self):
        return f"StrictArray({self._values!r})"

    __hash__ = object.__hash__


def _given(value: Any) -> Any:
    """The values behind StrictArrays, anywhere in an argument; a NumPy array among them is refused."""
    if isinstance(value, StrictArray):
        return value._values
    if isinstance(value, np.ndarray):
        raise LeakError(f"a NumPy array of shape {value.shape} was mixed with arrays of another library")
    if isinstance(value, (list, tuple)):
        return getattr(type(value), "_make", type(value))(_given(item) for item in value)  # a namedtuple takes a list by _make only
    return value


def _taken(result: Any, arguments: Any = ()) -> Any:
    """What NumPy returned, as StrictArrays. A view knows whose memory it shows, as CuPy's do."""
    if isinstance(result, np.generic):
        return StrictArray(np.asarray(result))
    if isinstance(result, (tuple, list)) and any(isinstance(item, (np.ndarray, np.generic)) for item in result):
        return type(result)(_taken(item, arguments) for item in result)
    if not isinstance(result, np.ndarray):
        return result
    for x in arguments:
        if isinstance(x, StrictArray):
            if x._values is result:
                return x
            if np.may_share_memory(result, x._values):
                return StrictArray(result, x if x.base is None else x.base)
    return StrictArray(result)


# Their result has a size that the host must read before it can make room for it (bincount: and the largest number).
WAITING = {"nonzero", "flatnonzero", "argwhere", "unique", "bincount", "compress", "extract"}


def _waits(function, args):
    """Whether CuPy waits for the device in this call: for the size of the result, also of x[mask]."""
    if function is operator.__getitem__ or function is operator.getitem:
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        return any(isinstance(i, StrictArray) and i.dtype == bool for i in index)
    return getattr(function, "__name__", "") in WAITING


def _host_waits(what):
    StrictArray.host_reads += 1
    if StrictArray.watcher is not None:
        StrictArray.watcher.transfer(what, "D2H")


def _wrapped(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        if _waits(function, args):
            _host_waits(f"the size of a result of {function.__name__}")
        given, options = _given(args), {key: _given(value) for key, value in kwargs.items()}
        if StrictArray.watcher is not None:
            StrictArray.watcher.before(function, given, options)
        result = _taken(function(*given, **options), (*args, *kwargs.values()))
        if StrictArray.watcher is not None:
            StrictArray.watcher.after(function, given, options, result)
        return result

    return call


def _reading(name):
    def read(self, *args):
        _host_waits(f"{name} of an array")
        return getattr(self._values, name)(*args)

    return read


_set = _wrapped(np.ndarray.__setitem__)


def _swapped(function):
    return lambda x, y: function(y, x)


def _operator(function):
    """As CuPy's: a class with `__array_ufunc__ = None`, a Tensor say, is asked for the result."""
    wrapped = _wrapped(function)

    def operate(x, y):
        if not isinstance(y, StrictArray) and getattr(y, "__array_ufunc__", 0) is None:
            return NotImplemented
        return wrapped(x, y)

    return operate


for _name in (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "eq", "ne", "lt", "le", "gt", "ge",
):  # fmt: skip
    _function = _operator(getattr(operator, f"__{_name}__"))
    setattr(StrictArray, f"__{_name}__", _function)
    if hasattr(np.ndarray, f"__r{_name}__"):
        setattr(StrictArray, f"__r{_name}__", _swapped(_function))
        setattr(StrictArray, f"__i{_name}__", _wrapped(getattr(np.ndarray, f"__i{_name}__")))
for _name in ("neg", "pos", "abs", "invert", "getitem"):
    setattr(StrictArray, f"__{_name}__", _wrapped(getattr(operator, f"__{_name}__")))
for _name in (
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "copy", "cumsum", "dot", "fill", "flatten", "max", "mean", "min", "prod",
    "ravel", "repeat", "reshape", "squeeze", "std", "sum", "swapaxes", "take", "transpose", "var",
):  # fmt: skip
    setattr(StrictArray, _name, _wrapped(getattr(np.ndarray, _name)))
for _name in ("shape", "ndim", "size", "dtype", "itemsize", "nbytes", "strides", "flags"):
    setattr(StrictArray, _name, property(lambda self, name=_name: getattr(self._values, name)))
StrictArray.T = property(lambda self: self.transpose())
for _name in ("__float__", "__int__", "__bool__", "__index__", "__complex__", "item", "tolist"):
    setattr(StrictArray, _name, _reading(_name))


class _StrictModule(ModuleType):
    """The functions of a NumPy module for StrictArrays; what is neither a function nor a submodule is passed through."""

    def __init__(self, name: str, behind: ModuleType):
        super().__init__(name)
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._behind, name)
        if isinstance(value, ModuleType):
            value = _StrictModule(f"{self.__name__}.{name}", value)
        elif isinstance(value, np.ufunc):
            function, value = value, _wrapped(value)
            value.at = _wrapped(function.at)
            value.reduce = _wrapped(function.reduce)
        elif callable(value) and not isinstance(value, type):
            value = _wrapped(value)
        setattr(self, name, value)
        return value


strict_module = _StrictModule("strict", np)
strict_module.ndarray = StrictArray
strict_module.asnumpy = lambda x: x._values.copy()


def _upload(function):
    return lambda x, *args, **kwargs: _taken(function(x._values if isinstance(x, StrictArray) else x, *args, **kwargs), (x,))


strict_module.asarray = _upload(np.asarray)
strict_module.array = _upload(np.array)
