"""The part of a Tensor that hands its values to Python, NumPy and other array libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidiff.engine import backend, numpy_functions, operators, saved_arrays

if TYPE_CHECKING:
    from minidiff.engine.tensor import Tensor


class Exchange:
    """Conversions of a Tensor. Those that would lose its gradient are refused."""

    __slots__ = ()
    __array_ufunc__ = None  # numpy_array * tensor asks the tensor; CuPy, too, looks for the None

    requires_grad: bool
    _data: Any

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array (copied from the GPU if they are there)."""
        return backend.to_cpu(self._data)

    def cpu(self) -> Tensor:
        """A tensor in the main memory, outside of the graph, as `to("cpu")` gives it."""
        return self.to("cpu")  # type: ignore[attr-defined]

    def item(self) -> float | int:
        """The value of a tensor of one element, as a Python number."""
        if self._data.size != 1:
            raise ValueError(f"item: wanted a tensor of one element, got shape {self._data.shape}")
        return self._data.item()

    def tolist(self) -> Any:
        """The values as Python numbers in nested lists, or one number if there is no axis."""
        return self._data.tolist()

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return numpy_functions.call(function, operators.Operators, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise TypeError(
                "this Tensor requires a gradient, which a NumPy function would lose: "
                "use x.detach() or x.data"
            )
        return np.array(self._data, dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        """The array as a DLPack capsule, for `from_dlpack` of NumPy, PyTorch, CuPy or JAX.

        The other library then works on the same memory, without a copy. Where it edits values that
        a live graph needs, backward() raises a RuntimeError (in the main memory only).
        options: stream, max_version, dl_device and copy, which the array's own library reads

        Raises: BufferError if the tensor requires a gradient, which would be lost.
        """
        if self.requires_grad:
            raise BufferError(
                "this Tensor requires a gradient, which DLPack can't carry to another library: "
                "use x.detach()"
            )
        capsule = self._data.__dlpack__(**options)
        if not options.get("copy"):
            saved_arrays.hand_out(self._data)
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        """(kind, number) of the device in DLPack's own count: kind 1 is a CPU, 2 is CUDA."""
        return self._data.__dlpack_device__()

    def __len__(self) -> int:
        return len(self._data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self._data)
