"""The door of every operation and of `Tensor`: what is let in, and as what.

Inside there are plain arrays of NumPy or CuPy, of booleans, integers, float16, float32 or float64,
and plain numbers. What is neither becomes an array here, or is refused with the name of the
argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from minidiff.engine.backend import is_array

if TYPE_CHECKING:
    from minidiff.engine.operation import Operation

# the names of parameters that are arrays, in every operation
ARRAYS = {
    "x", "y", "tensors", "weight", "bias", "query", "key", "value", "mask", "indices", "labels",
    "logits", "prediction", "target", "condition", "exponent", "min", "max",
}  # fmt: skip
# the operations that move numbers without computing with them
MOVING = {
    "reshape", "transpose", "swapaxes", "squeeze", "expand_dims", "broadcast_to", "astype",
    "getitem", "setitem", "concatenate", "stack", "pad",
}  # fmt: skip
DTYPES = frozenset(map(np.dtype, "?bBhHiIlLqQefd"))
NUMBERS = (int, float, np.generic)


def check_array(who: str, array: Any) -> Any:
    """A plain array of numbers, as which the array can be used.    who: begins the error message

    Raises: TypeError for complex and other dtypes, for the byte order of another machine, and for
    subclasses of NumPy's array that are more than their numbers, such as a masked array.
    """
    if isinstance(array, np.ndarray) and type(array) is not np.ndarray and _is_numpy(array):
        array = _without_class(who, array)
    if array.dtype in DTYPES:
        return array
    if array.dtype.newbyteorder("=") in DTYPES:
        raise TypeError(
            f"{who} must be in this machine's byte order, got dtype {array.dtype.str!r}: "
            f"use x.astype({array.dtype.name!r})"
        )
    raise TypeError(f"{who} must be numbers, got dtype {array.dtype}")


def _is_numpy(array: Any) -> bool:
    return type(array).__module__.partition(".")[0] == "numpy"


def _without_class(who: str, array: np.ndarray) -> np.ndarray:
    if isinstance(array, (np.matrix, np.memmap)):
        return np.asarray(array)
    hint = "x.filled(value)" if isinstance(array, np.ma.MaskedArray) else "np.asarray(x)"
    raise TypeError(
        f"{who} must be a plain array, got a {type(array).__name__}, which is more than its "
        f"numbers: use {hint}"
    )


def array_of(who: str, value: Any, dtype: Any = np.float32) -> Any:
    """A list of numbers, or one number, as an array. Fractions become `dtype`.

    Raises: TypeError if these are no numbers; ValueError if the rows of a list differ in length.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{who} must be numbers in rows of one length, got {value!r}") from None
    if array.dtype == np.float64 and not isinstance(value, np.generic):
        array = array.astype(dtype)
    return check_array(who, array)


def let_in(operation: Operation, values: dict[int, Any]) -> list[Any]:
    """Put the arguments of an operation into `values` as it is to see them.

    values: by their place in its signature, with arrays instead of Tensors.
    -> the arrays among those that it has for arrays
    Raises: TypeError, ValueError for what can't be one of its arrays.
    """
    arrays, others = [], []
    for place in operation.arrays:
        if place in values:
            value = values[place]
            if type(value) is np.ndarray and value.dtype in DTYPES and place != operation.listed:
                arrays.append(value)
            elif value is not None or place not in operation.optional:
                others.append(place)
    for place, value in values.items():
        if isinstance(value, np.generic) and place not in operation.arrays:
            values[place] = value.item()  # an option, such as eps: np.float64 would rule float32
    if not others:
        return arrays
    for place in sorted(others, key=lambda place: not is_array(values[place])):
        name, value = operation.parameters[place], values[place]
        if name == "tensors":
            if not isinstance(value, (list, tuple)):
                wanted = "tensors must be a list of Tensors"
                raise TypeError(f"{operation.name}: {wanted}, got {_name(value)}")
            named = [(f"{name}[{i}]", x) for i, x in enumerate(value)]
            values[place] = [_let_in(operation, item, x, arrays) for item, x in named]
        elif arrays and type(value) in (int, float, bool) and operation.check is None:
            continue  # a plain number, which takes the dtype of the arrays
        else:
            values[place] = _let_in(operation, name, value, arrays)
    return arrays


def _let_in(operation: Operation, name: str, value: Any, arrays: list[Any]) -> Any:
    """One argument as an array, which is also added to `arrays`, or as a number beside others."""
    who = f"{operation.name}: {name}"
    if is_array(value):
        value = check_array(who, value)
    elif isinstance(value, np.generic) and arrays and operation.check is None:
        check_array(who, np.asarray(value))
        return value
    elif isinstance(value, (*NUMBERS, list, tuple, range)):
        if isinstance(value, (list, tuple)) and any(map(is_array, value)):
            raise TypeError(f"{who} must be one Tensor, got a {_name(value)} of them: stack them")
        floating = next((a.dtype for a in arrays if a.dtype.kind == "f"), np.dtype(np.float32))
        value = array_of(who, value, floating)
        if operation.check is None and arrays and value.dtype.kind == "i":
            value = value.astype(np.result_type(*arrays, 0))  # as whole numbers of Python
    else:
        got = repr(value) if isinstance(value, (NoneType, Number, str)) else _name(value)
        raise TypeError(f"{who} must be a Tensor, an array or numbers, got {got}")
    arrays.append(value)
    return value


def _name(value: Any) -> str:
    """Its type. What other libraries call a Tensor, too, gets their name and the way in."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if hasattr(value, "__dlpack__") and library not in ("numpy", "cupy", "minidiff"):
        return f"a {library}.{kind.__name__}: use minidiff.from_dlpack(x)"
    return kind.__name__


def widen(operation: Operation, values: dict[int, Any], arrays: Sequence[Any]) -> bool:
    """Put float32 in place of float16, if there is some, into `values`.    -> whether there was

    float16 counts up to 2,048 and ends at 65,504: no place for a sum or a mean of many numbers.
    So an operation computes in float32, and its result is float16 again.

    Raises: TypeError if another floating dtype is there, too.
    """
    for array in arrays:
        if array.dtype.char == "e" and operation.name not in MOVING:
            break
    else:
        return False
    others = {str(a.dtype) for a in arrays if a.dtype.kind == "f"} - {"float16"}
    if others:
        raise TypeError(
            f"{operation.name}: float16 and {' and '.join(sorted(others))} do not mix: convert "
            "one of them, such as x.astype(np.float32)"
        )
    for place in operation.arrays:
        if place in values:
            values[place] = _wide(values[place])
    return True


def _wide(value: Any) -> Any:
    if isinstance(value, list):
        return [_wide(item) for item in value]
    half = is_array(value) and value.dtype.char == "e"
    return value.astype(np.float32) if half else value
