"""array[index] = values, where an index may come several times: the last value wins.

NumPy writes in the order of the values. A GPU writes in any order, so that which value stays would
differ from run to run. Here all values for a place are replaced by its last one first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidiff.engine.backend import array_module


def set_at(array: Any, index: Any, value: Any) -> None:
    """array[index] = value. Where indices repeat, the last value wins, on a GPU, too."""
    xp = array_module(array)
    array[index] = value
    if xp is not np and may_repeat(index):
        values = xp.empty_like(array[index])
        values[...] = value
        array[index] = values.reshape(-1)[last(xp, array.shape, index)]


def last(xp: Any, shape: tuple[int, ...], index: Any) -> Any:
    """For each number of array[index], for an array of this shape: the last one for its place.

    -> int64, in the shape of array[index]; the numbers are counted in its order.
    """
    places = xp.arange(math.prod(shape)).reshape(shape)[index]
    place, count = places.reshape(-1), max(places.size, 1)
    keys = xp.sort(place * count + xp.arange(place.size))  # by place, those of a place in order
    behind = xp.searchsorted(keys, (place + 1) * count)
    return (keys[behind - 1] % count).reshape(places.shape)


def may_repeat(index: Any) -> bool:
    """Whether the index has an array of whole numbers, or a list. A mask never repeats."""
    items = index if isinstance(index, tuple) else (index,)
    return any(isinstance(i, list) or (hasattr(i, "dtype") and i.dtype.kind in "iu") for i in items)
