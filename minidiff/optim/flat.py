"""Many arrays in one vector, so that a GPU treats them all in one launch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minidiff.engine.backend import array_module
from minidiff.optim import fused

ALIGNMENT = 64  # elements: each array starts at 256 bytes, as if it had been allocated alone


class Flat(Mapping[str, Any]):
    """{name: array} whose arrays, the pieces, are views of consecutive parts of the vector `whole`.

    There are zeros between the pieces. arrays: of one dtype and device; their values are copied in.
    `flat[name] = array` copies values into a piece, too. A piece never moves in memory, as a CUDA
    graph needs it.
    """

    def __init__(self, arrays: Mapping[str, Any]):
        first = next(iter(arrays.values()))
        xp = array_module(*arrays.values())
        rooms = [_room(a) for a in arrays.values()]
        on_gpu = fits(arrays)
        self.whole = (xp.empty if on_gpu else xp.zeros)(sum(rooms), first.dtype)
        self._pieces: dict[str, Any] = {}
        start = 0
        for (name, array), room in zip(arrays.items(), rooms, strict=True):
            self._pieces[name] = self.whole[start : start + array.size].reshape(array.shape)
            start += room
        if on_gpu:
            fused.join(xp, list(arrays.values()), rooms, self.whole)
        else:
            for name, array in arrays.items():
                self[name] = array

    @classmethod
    def zeros_like(cls, other: Flat) -> Flat:
        """The same pieces, filled with zeros."""
        flat = cls(other)
        flat.whole.fill(0)
        return flat

    def __getitem__(self, name: str) -> Any:
        return self._pieces[name]

    def __setitem__(self, name: str, array: Any) -> None:
        piece = self._pieces[name]
        if array is not piece:
            piece[...] = array

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def like(self, arrays: Mapping[str, Any]) -> bool:
        """Whether `arrays` have these names, in this order, with these shapes."""
        return list(self) == list(arrays) and all(
            piece.shape == arrays[name].shape for name, piece in self.items()
        )

    def vector_of(self, arrays: Mapping[str, Any]) -> Any:
        """The values of `arrays`, which are like these, in one vector.

        It is that of a Flat itself. Other arrays are copied into `whole`.
        """
        if isinstance(arrays, Flat):
            return arrays.whole
        for name, array in arrays.items():
            self[name] = array
        return self.whole


def fits(arrays: Mapping[str, Any]) -> bool:
    """Whether these arrays are float32 on one GPU: then Flat and the fused kernels pay."""
    values = list(arrays.values())
    return (
        bool(values)
        and array_module(*values).__name__ == "cupy"
        and all(a.dtype.char == "f" for a in values)
    )


def _room(array: Any) -> int:
    return -(-array.size // ALIGNMENT) * ALIGNMENT


def whole_of(arrays: Mapping[str, Any]) -> Any:
    """The vector that consists of these arrays, all and in this order, or None."""
    values = list(arrays.values())
    whole = values[0].base
    if whole is None or whole.size != sum(_room(a) for a in values):
        return None
    address = whole.data.ptr
    for array in values:
        if array.base is not whole or array.data.ptr != address or not array.flags.c_contiguous:
            return None
        address += _room(array) * array.itemsize
    return whole
