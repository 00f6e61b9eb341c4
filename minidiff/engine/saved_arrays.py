"""Arrays that a live graph still needs must not change.

A gradient computed from other values would be silently wrong. The derivative of an operation is an
inner function, so the arrays that it needs are those that it closes over. While a recorded
operation waits for its backward pass, a `Guard` holds them: a NumPy array is read-only, and a
Tensor refuses to edit it. Other libraries that have its memory may not look at that, so backward
looks whether they edited it, see shared_memory.py. A NumPy view that was taken before is beyond
reach.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from minidiff.engine import shared_memory
from minidiff.engine.backend import is_array


class _Held:
    """Facts about an array that is held, and about how it was before."""

    __slots__ = ("array", "count", "was_writeable", "by", "views", "handed_out")

    def __init__(self, array: Any, by: Any):
        self.array = array  # keeps it alive, and hence its id its own
        self.count = 0
        self.by = by
        self.views: tuple[
            weakref.ref, ...
        ] = ()  # of its memory, made or released meanwhile: writeable again with it
        # what another library was given of its memory meanwhile, and the values at that time
        self.handed_out: list[shared_memory.Saved] = []
        self.was_writeable = (
            isinstance(array, np.ndarray) and array.flags.writeable and _can_be_unlocked(array)
        )
        if self.was_writeable:
            array.setflags(write=False)


def _can_be_unlocked(array: np.ndarray) -> bool:
    """Whether NumPy could make this memory writeable again.

    It can't for memory of another library, such as a PyTorch tensor's, which therefore stays
    writeable.
    """
    if array.flags.owndata or isinstance(array.base, np.ndarray):
        return True
    try:
        return not memoryview(array.base).readonly  # type: ignore[arg-type]
    except TypeError:
        return False


_held: dict[int, _Held] = {}  # by id of the array
_to_release: deque[list[Any]] = deque()
_lock = threading.RLock()
_busy = False


class Guard:
    """Holds those arrays of an operation that its derivative needs, for as long as it lives.

    backward: the derivative. arrays: all that went into the operation, and its result.
    by: the holder; `str(by)` names it in an error.
    """

    __slots__ = ("arrays", "saved", "__weakref__")

    def __init__(self, backward: Callable, arrays: Sequence[Any], by: Any):
        closed_over: list[Any] = []
        _gather_from(backward, closed_over)
        owners, views = {}, {}
        if closed_over:
            needed = {id(_owner(x)) for x in closed_over}
            for x in _gather(arrays, []):
                owner = _owner(x)
                if id(owner) in needed:
                    owners[id(owner)] = owner
                    if x is not owner:
                        views[id(x)] = x
        self.arrays = [*owners.values(), *views.values()]
        shared = {id(x): x for x in closed_over if shared_memory.is_shared(_owner(x))}
        self.saved: list[shared_memory.Saved] = [(x, x.copy()) for x in shared.values()]
        if self.arrays:
            _update(self.arrays, by)

    def __del__(self) -> None:
        if self.arrays:
            _to_release.append(self.arrays)
            _update()

    def check(self, by: Any) -> None:
        """Refuse values that another library edited after the operation `by` was recorded.

        Raises: RuntimeError, which names `by` and the first value that differs.
        """
        shared_memory.check_unedited(self.saved, by)
        for array in self.arrays:
            entry = _held.get(id(array))
            if entry is not None and entry.handed_out:
                shared_memory.check_unedited(entry.handed_out, by)

    @staticmethod
    def holder_of(array: Any) -> str | None:
        """The name of an operation whose gradient needs this array, or None."""
        entry = _held.get(id(array)) or _held.get(id(array.base))
        return str(entry.by) if entry else None


def note_view(array: Any) -> None:
    """Remember a new view of memory that is held.

    It was born read-only, and becomes writeable when the memory is released.
    """
    with _lock:
        owner = _held.get(id(array.base))
        if (
            owner is not None and owner.was_writeable and 0 not in array.strides
        ):  # repeated memory stays read-only, as NumPy wants it
            owner.views += (weakref.ref(array),)


def hand_out(array: Any) -> None:
    """Remember that another library gets the memory of this array, which it may then edit."""
    owner = _owner(array)
    shared_memory.hand_out(owner)
    with _lock:
        entry = _held.get(id(owner))
        if entry is not None and isinstance(array, np.ndarray):
            if not any(array is seen for seen, _ in entry.handed_out):
                entry.handed_out.append((array, array.copy()))


def _gather_from(function: Any, found: list[Any]) -> None:
    """Into `found`, the arrays that an inner function uses from the function around it."""
    for cell in function.__closure__ or ():
        try:
            _gather(cell.cell_contents, found)
        except ValueError:  # a variable that was not assigned in this call
            pass


def _gather(value: Any, found: list[Any]) -> list[Any]:
    """Put into `found` the array itself, or the arrays in a list, a function or an object."""
    if is_array(value):
        found.append(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _gather(item, found)
    elif isinstance(value, FunctionType):
        _gather_from(value, found)
    elif hasattr(value, "__dict__") and not isinstance(value, (type, ModuleType)):
        found += [attribute for attribute in vars(value).values() if is_array(attribute)]
    return found


def _owner(array: Any) -> Any:
    base = array.base
    return base if base is not None and is_array(base) else array


def _update(hold: Sequence[Any] = (), by: Any = None) -> None:
    """Count what is to be held, then release what waits for it.

    `_held` changes only here. A garbage collection in the middle of this may call `Guard.__del__`
    in this very thread. Its arrays then wait for the end of the loop.
    """
    global _busy
    with _lock:
        if _busy:
            return
        _busy = True
        try:
            for array in hold:
                entry = _held.get(id(array))
                if entry is None:
                    entry = _held[id(array)] = _Held(array, by)
                entry.count += 1
            while _to_release:
                for array in _to_release.popleft():
                    _release(array)
        finally:
            _busy = False


def _release(array: Any) -> None:
    entry = _held[id(array)]
    entry.count -= 1
    if entry.count:
        return
    del _held[id(array)]
    owner = _held.get(id(array.base))
    if not entry.was_writeable:
        return
    if owner is not None and owner.was_writeable:
        owner.views += (weakref.ref(array),)  # NumPy makes no view writeable while its owner is not
        return
    array.setflags(write=True)
    for view in (reference() for reference in entry.views):
        if view is None:
            continue
        if id(view) in _held:
            _held[id(view)].was_writeable = True
        else:
            view.setflags(write=True)
