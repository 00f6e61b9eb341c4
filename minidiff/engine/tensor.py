"""`Tensor`: an array that remembers how it was computed.

    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    x.grad            # array([2., 4.])

The array is `x.data` and the gradient `x.grad`, both plain NumPy or CuPy arrays. The operators are
those of `minidiff.functional`, see operators.py. What other libraries see is in exchange.py.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidiff.engine import backend, operators
from minidiff.engine.backend import is_array
from minidiff.engine.exchange import Exchange
from minidiff.engine.in_place import ViewOf, edit, is_view_at
from minidiff.engine.node import Node, source_of
from minidiff.engine.operands import array_of, check_array
from minidiff.engine.operators import Operators, plain_index
from minidiff.engine.pickling import reduced
from minidiff.engine.saved_arrays import Guard
from minidiff.engine.tape import add_to_grad, backpropagate


class Tensor(Operators, Exchange):
    """An n-dimensional array with a gradient.

    data: an array of NumPy or CuPy (kept, not copied), another Tensor, or numbers in nested lists
    (floats become float32). dtype: converts the data. device: "cpu" or "cuda", moves them.

    Raises: TypeError if data are not numbers, or if they can't have a gradient.
    """

    __slots__ = ("_data", "grad", "node", "view_of", "_requires_grad", "__weakref__")

    def __init__(
        self, data: Any, requires_grad: bool = False, dtype: Any = None, device: str | None = None
    ):
        if isinstance(data, Tensor):
            data = data.data
        who = "Tensor: data"
        data = check_array(who, data) if is_array(data) else array_of(who, data)
        if dtype is not None:
            data = check_array("Tensor: dtype", data.astype(dtype, copy=False))
        if device is not None:
            data = backend.to_device(data, device)
        self._data = data
        self.grad: Any = None
        self.node: Node | None = None
        self.view_of: ViewOf | None = None
        self._requires_grad = False
        self.requires_grad = requires_grad

    def restore(self, data: Any, requires_grad: bool, grad: Any) -> None:
        """Be a leaf again, as it was stored: see pickling.py."""
        Tensor.__init__(self, data, requires_grad)
        self.grad = grad

    @classmethod
    def _of(cls, data: Any) -> Tensor:
        """A tensor around an array, with no checks: for results of operations."""
        tensor = Tensor.__new__(Tensor)
        tensor._data = data
        tensor.grad = tensor.node = tensor.view_of = None
        tensor._requires_grad = False
        return tensor

    # -- the array ---------------------------------------------------------------------------------

    @property
    def data(self) -> Any:
        """The plain array. It is read-only while a live graph needs it for a gradient."""
        return self._data

    @data.setter
    def data(self, array: Any) -> None:
        self._data = check_array("data", array) if is_array(array) else array_of("data", array)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    @property
    def device(self) -> str:
        """ "cpu" or "cuda:N"."""
        return backend.device_of(self._data)

    def __repr__(self) -> str:
        note = ", requires_grad" if self._requires_grad else ""
        if self.node is not None:
            note = f", {self.node.operation.name}"
        values = np.array2string(self.numpy(), separator=", ", threshold=20)
        return f"Tensor({values}, shape {self.shape}, {self.dtype}{note})"

    # -- the gradient ------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows to this tensor.

        It does if the tensor is a leaf that asked for one, or was computed from such a leaf.
        """
        return self._requires_grad or self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._data.dtype.kind != "f":
            raise TypeError(
                f"requires_grad: only floating-point tensors have gradients, "
                f"this one is {self._data.dtype}"
            )
        if not value and self.node is not None:
            raise ValueError("requires_grad: this tensor was computed from others; use detach()")
        self._requires_grad = bool(value)

    def retain_grad(self) -> Tensor:
        """Keep `.grad` of this intermediate result, too, at the next `backward()`.

        -> the tensor itself
        """
        if self.node is not None:
            self.node.keeper = weakref.ref(self)
        return self

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Add d(self)/d(leaf) to `.grad` of each leaf that requires a gradient.

        gradient: weights of self's elements, in self's shape. It may be left out for one element.
        retain_graph: keep the graph for another backward().

        Raises: RuntimeError without a graph, ValueError if the gradient doesn't fit.
        """
        seed = self._seed(gradient)
        for leaf, value in backpropagate(self, seed, retain_graph=retain_graph).items():
            if isinstance(leaf, Tensor):
                add_to_grad(leaf, value)

    def _seed(self, gradient: Any) -> Any:
        if not self.requires_grad:
            raise RuntimeError(
                "backward: this tensor does not depend on any tensor with requires_grad=True"
            )
        if gradient is None:
            if self.size != 1:
                raise ValueError(
                    f"backward: a tensor of shape {self.shape} needs a gradient of that shape; "
                    f"only one element needs none"
                )
            return backend.array_module(self._data).ones_like(self._data)
        gradient = gradient.data if isinstance(gradient, Tensor) else gradient
        if getattr(gradient, "shape", None) != self.shape or gradient.dtype != self.dtype:
            got = type(gradient).__name__
            if backend.is_array(gradient):
                got = f"{gradient.dtype} {gradient.shape}"
            raise ValueError(
                f"backward: gradient must be {self.dtype} {self.shape} like the tensor, got {got}"
            )
        return gradient

    def detach(self) -> Tensor:
        """The same array, outside of any graph."""
        return Tensor._of(self._data)

    # -- editing in place --------------------------------------------------------------------------

    def __setitem__(self, index: Any, value: Any) -> None:
        """Edit in place, recorded if a gradient flows to either: see in_place.py.

        Raises: RuntimeError while a live graph needs the values for a gradient, and where the
        assignment can't be recorded.
        """
        index = plain_index(index)
        if not is_view_at(value, self, index):  # y[i] *= 2 has edited y already
            edit(self, operators.F.setitem, index, value)

    def become(self, new: Tensor) -> None:
        """Be `new` from now on: its array, and its place in the graph."""
        old = self.node
        keeper = None if old is None else old.keeper
        self._data, self.node = new._data, new.node
        if self.node is not None and keeper is not None:
            self.node.keeper, old.keeper = keeper, None  # type: ignore[union-attr]

    @property
    def is_trained_leaf(self) -> bool:
        """Whether it is a leaf that asked for a gradient."""
        return self._requires_grad and self.node is None

    def check_editable(self) -> None:
        """Refuse to edit values that a live graph needs for a gradient.

        Ask before you write into the `data` of a CuPy array, which can't be made read-only.

        Raises: RuntimeError, which names the operation that needs them.
        """
        holder = Guard.holder_of(self._data)
        if holder is not None:
            raise RuntimeError(
                f"this tensor, shape {self.shape}, can't be edited in place: the gradient of "
                f"{holder} still needs it. Edit a copy, or call backward() first"
            )

    def assign(self, array: Any) -> None:
        """Hold another array from now on, as optimisers do.

        A live graph keeps the old one, so its gradients stay right.

        Raises: ValueError if shape or dtype differ.
        """
        array = array.data if isinstance(array, Tensor) else array
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(
                f"assign: wanted {self.dtype} {self.shape}, got {array.dtype} {array.shape}"
            )
        self._data = array

    # -- copies ------------------------------------------------------------------------------------

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return reduced(self)

    def to(self, device: str) -> Tensor:
        """A tensor on `device`, outside of the graph (the same array if it is there already)."""
        return Tensor(backend.to_device(self._data, device), requires_grad=self._requires_grad)


def gradients(
    output: Tensor, inputs: Sequence[Tensor], gradient: Any = None, retain_graph: bool = False,
    read_only: bool = False,
) -> list[Any]:  # fmt: skip
    """d(output)/d(input) for each input, as arrays. No `.grad` is touched.

    An entry is None if output does not depend on that input. gradient: as in `Tensor.backward`.
    read_only: the caller promises to edit no array, so none is copied for it, and two inputs may
    have one array, or views of one. Two threads may do this at once on graphs that share leaves.
    """
    given: list[Any] = [None] if isinstance(inputs, Tensor) else list(inputs)
    if not all(isinstance(x, Tensor) for x in given):
        raise TypeError(
            f"gradients: inputs must be a list of Tensors, such as [x], got {type(inputs).__name__}"
        )
    found = backpropagate(output, output._seed(gradient), given, retain_graph, read_only)
    return [found.get(source_of(x)) for x in given]


from minidiff import functional  # noqa: E402  (at the end: the operations need the class)

operators.F = functional
