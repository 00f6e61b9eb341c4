"""array[index] += values, where an index may come several times: what gradients of lookups are.

NumPy's `add.at` adds in the order of the values. CuPy's adds by atomics, in any order, so that the
rounding differs from run to run. Here a GPU adds in NumPy's order: the values are sorted by the
place they go to, and each element of the array sums its own. A CUDA graph can record that.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from minidiff.engine.backend import array_module

COUNTED = 2**15  # more values than these are sorted by CuPy, which a CUDA graph cannot record

# Value i goes behind all that go to a lower place, and those before i that go to the same place.
ORDER = """
    long long rank = 0;
    for (long long j = 0; j < n; j++)
        rank += places[j] < places[i] || (places[j] == places[i] && j < i);
    order[rank] = i;
"""
# Element i of the array is number i % width of row i / width; the first value for this row is
# found by halving.
SUM = """
    const long long row = i / width, column = i % width;
    long long first = 0, end = n;
    while (first < end) {
        const long long middle = (first + end) / 2;
        if (places[order[middle]] < row) first = middle + 1;
        else end = middle;
    }
    for (long long j = first; j < n && places[order[j]] == row; j++)
        array[i] += values[order[j] * width + column];
"""


def add_at(array: Any, index: Any, values: Any) -> None:
    """array[index] += values, for each time that an index comes, in the same order in every run.

    array is contiguous; values has the shape of array[index].
    """
    xp = array_module(array)
    if xp.__name__ != "cupy" or array.dtype.kind != "f":
        xp.add.at(array, index, values)
    elif values.size:
        places, width = rows_of(xp, array, index)
        add_rows(xp, array, places, width, xp.ascontiguousarray(values, array.dtype))


def rows_of(xp: Any, array: Any, index: Any) -> tuple[Any, int]:
    """Which row of `width` numbers each value goes to, for array as (rows, width)."""
    if hasattr(index, "dtype") and index.dtype.kind in "iu":
        places = index.astype("int64").ravel()
        return xp.where(places < 0, places + len(array), places), math.prod(array.shape[1:])
    return xp.arange(array.size, dtype="int64").reshape(array.shape)[index].ravel(), 1


def add_rows(xp: Any, array: Any, places: Any, width: int, values: Any) -> None:
    n = places.size
    if n <= COUNTED:
        order = xp.empty(n, np.int64)
        kernel(xp, "order")(places, n, order, size=n)
    else:
        order = xp.argsort(places, kind="stable")
    kernel(xp, str(array.dtype))(places, order, values, n, width, array, size=array.size)


@functools.cache
def kernel(xp: Any, name: str) -> Any:
    """CuPy's (xp): "order", or the sum for arrays of a dtype."""
    if name == "order":
        inputs, outputs, body = "raw int64 places, int64 n", "raw int64 order", ORDER
    else:
        inputs = f"raw int64 places, raw int64 order, raw {name} values, int64 n, int64 width"
        outputs, body = f"raw {name} array", SUM
    return xp.ElementwiseKernel(inputs, outputs, body, f"minidiff_add_at_{name}", no_return=True)
