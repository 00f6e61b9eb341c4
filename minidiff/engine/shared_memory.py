"""Memory that another library has, too, holding values that a live graph needs.

NumPy takes the read-only mark of held values (see saved_arrays.py) to whoever asks for them by
DLPack. PyTorch does not look at it, and what PyTorch made can't be marked at all. Such values are
therefore copied when they are held or handed out, and compared before the gradient is computed. An
edit elsewhere is then an error, as it is between two tensors of PyTorch. Only values in shared
memory cost this.

Arrays on a GPU are not compared: nothing marks them read-only for CuPy itself either.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

Saved = tuple[np.ndarray, np.ndarray]  # an array in shared memory, and a copy of its values
_handed_out: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()


def hand_out(owner: Any) -> None:
    """Remember that another library has the memory of this array."""
    if isinstance(owner, np.ndarray):
        _handed_out[id(owner)] = owner


def is_shared(owner: Any) -> bool:
    """Whether another library may edit the memory of this array, which is no view of another."""
    if not isinstance(owner, np.ndarray):
        return False
    return id(owner) in _handed_out or (owner.base is not None and _is_foreign(owner.base))


def _is_foreign(base: Any) -> bool:
    """Whether memory is neither NumPy's nor a buffer of Python's, but a library's own."""
    if isinstance(base, np.ndarray) or isinstance(getattr(base, "base", None), np.ndarray):
        return False  # the second: np.lib.stride_tricks puts an object in between
    try:
        memoryview(base)
    except TypeError:
        return True
    return False


def check_unedited(saved: Iterable[Saved], reader: Any) -> None:
    """Refuse values that were edited after they were saved.

    Raises: RuntimeError, which names the reader, the place and both values.
    """
    for array, copy in saved:
        differs = array != copy
        if not differs.any():
            continue
        differs &= (array == array) | (copy == copy)  # NaN that stayed NaN
        if differs.any():
            place = tuple(map(int, np.argwhere(differs)[0]))
            raise RuntimeError(
                f"backward: the gradient of {reader} needs values that were edited meanwhile by "
                f"another library, which has their memory (DLPack): element {place} of shape "
                f"{array.shape} was {copy[place]} and is {array[place]}. "
                "Call backward() first, or edit a copy, such as torch.from_dlpack(x).clone()"
            )
