"""The operators and methods of a Tensor. Each is an operation of `minidiff.functional`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from minidiff.engine.checks import is_basic, is_int
from minidiff.engine.in_place import ViewOf, edit

if TYPE_CHECKING:
    from minidiff.engine.tensor import Tensor

Axis = int | tuple[int, ...] | None
F: Any = None  # minidiff.functional, which needs the Tensor first; tensor.py puts it here


class Operators:
    """The part of a Tensor that computes."""

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        return F.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return F.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return F.subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return F.subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return F.multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return F.multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return F.divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return F.divide(other, self)

    def __pow__(self, exponent: Any) -> Tensor:
        return F.power(self, exponent)

    def __rpow__(self, base: Any) -> Tensor:
        return F.power(base, self)

    def __iadd__(self, other: Any) -> Tensor:
        return edit(self, F.add, other)  # type: ignore[arg-type]

    def __isub__(self, other: Any) -> Tensor:
        return edit(self, F.subtract, other)  # type: ignore[arg-type]

    def __imul__(self, other: Any) -> Tensor:
        return edit(self, F.multiply, other)  # type: ignore[arg-type]

    def __itruediv__(self, other: Any) -> Tensor:
        return edit(self, F.divide, other)  # type: ignore[arg-type]

    def __ipow__(self, exponent: Any) -> Tensor:  # type: ignore[misc]
        return edit(self, F.power, exponent)  # type: ignore[arg-type]

    def __neg__(self) -> Tensor:
        return F.negative(self)

    def __abs__(self) -> Tensor:
        return F.absolute(self)

    def __and__(self, other: Any) -> Tensor:
        return F.minimum(*_booleans("&", self, other))

    def __or__(self, other: Any) -> Tensor:
        return F.maximum(*_booleans("|", self, other))

    def __xor__(self, other: Any) -> Tensor:
        return F.not_equal(*_booleans("^", self, other))

    def __invert__(self) -> Tensor:
        return F.not_equal(*_booleans("~", self, True))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __matmul__(self, other: Any) -> Tensor:
        return F.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return F.matmul(other, self)

    def __getitem__(self, index: Any) -> Tensor:
        index = plain_index(index)
        y = F.getitem(self, index)
        if y.node is not None and is_basic(index):
            y.view_of = ViewOf(self, index)  # type: ignore[arg-type]
        return y

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))  # type: ignore[arg-type]

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return NotImplemented if other is None or isinstance(other, str) else F.equal(self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        unlike = other is None or isinstance(other, str)
        return NotImplemented if unlike else F.not_equal(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return F.less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return F.less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return F.greater(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return F.greater_equal(self, other)

    __hash__ = object.__hash__

    # -- the methods that a reader of NumPy expects ------------------------------------------------

    @property
    def T(self) -> Tensor:
        return F.transpose(self)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return F.sum(self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return F.mean(self, axis, keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return F.var(self, axis, keepdims)

    def std(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return F.std(self, axis, keepdims)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return F.prod(self, axis, keepdims)

    def any(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return F.any(self, axis, keepdims)

    def all(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return F.all(self, axis, keepdims)

    def cumsum(self, axis: int) -> Tensor:
        return F.cumsum(self, axis)

    def cumprod(self, axis: int) -> Tensor:
        return F.cumprod(self, axis)

    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return F.logsumexp(self, axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return F.max(self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return F.min(self, axis, keepdims)

    def argmax(self, axis: int | None = None) -> Tensor:
        return F.argmax(self, axis)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        return F.reshape(self, shape[0] if len(shape) == 1 else shape)

    view = reshape

    def flatten(self, start: int = 0, end: int = -1) -> Tensor:
        return F.flatten(self, start, end)

    def permute(self, *axes: int | Sequence[int]) -> Tensor:
        return self.transpose(*axes)

    def flip(self, axis: Axis = None) -> Tensor:
        return F.flip(self, axis)

    def split(self, size: int | Sequence[int], axis: int = 0) -> list[Tensor]:
        return F.split(self, size, axis)

    def chunk(self, chunks: int, axis: int = 0) -> list[Tensor]:
        return F.chunk(self, chunks, axis)

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        as_sequence = len(axes) == 1 and not is_int(axes[0])
        return F.transpose(self, axes[0] if as_sequence else axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        return F.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Axis = None) -> Tensor:
        return F.squeeze(self, axis)

    def astype(self, dtype: Any) -> Tensor:
        return F.astype(self, dtype)

    def exp(self) -> Tensor:
        return F.exp(self)

    def log(self) -> Tensor:
        return F.log(self)

    def sqrt(self) -> Tensor:
        return F.sqrt(self)

    def erfc(self) -> Tensor:
        return F.erfc(self)

    def clip(self, min: float | None = None, max: float | None = None) -> Tensor:
        return F.clip(self, min, max)


def _booleans(operator: str, *values: Any) -> tuple[Any, ...]:
    for value in values:
        if not isinstance(value, bool) and getattr(value, "dtype", "") != "bool":
            got = getattr(value, "dtype", type(value).__name__)
            raise TypeError(f"{operator} is for booleans, such as those of x > 0, got {got}")
    return values


def plain_index(index: Any) -> Any:
    """An index with arrays in place of Tensors."""
    if isinstance(index, tuple):
        return tuple(plain_index(i) for i in index)
    return index.data if isinstance(index, Operators) else index  # type: ignore[attr-defined]
