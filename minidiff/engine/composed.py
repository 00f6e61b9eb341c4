"""Functions that are written with a Tensor's own methods and operations.

They need no derivative of their own: the chain rule goes through what they call. The one operation
is `contract`, on which einsum stands.
`minidiff.functional` shows them beside the operations.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Sequence
from typing import Any

from minidiff.engine import operators
from minidiff.engine.backend import array_module
from minidiff.engine.checks import check_axes, check_axis, check_contract, check_floating, is_int
from minidiff.engine.operation import operation
from minidiff.engine.tensor import Tensor

Axis = int | tuple[int, ...] | None


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)


def flatten(x: Any, start: int = 0, end: int = -1) -> Tensor:
    """The axes start..end as one."""
    x = _tensor(x)
    if not x.ndim:
        return x.reshape(1)
    first, last = (check_axis("flatten", axis, x.ndim) for axis in (start, end))
    if first > last:
        raise ValueError(f"flatten: start must not be behind end, got {start} and {end}")
    size = math.prod(x.shape[first : last + 1])
    return x.reshape(*x.shape[:first], size, *x.shape[last + 1 :])


def flip(x: Any, axis: Axis = None) -> Tensor:
    """x in reverse order along `axis`."""
    x = _tensor(x)
    axes = check_axes("flip", axis, x.ndim)
    return x[tuple(slice(None, None, -1 if a in axes else None) for a in range(x.ndim))]


def split(x: Any, size: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """x in pieces of `size` along `axis`, the last one smaller, or of the sizes in a list."""
    x = _tensor(x)
    axis = check_axis("split", axis, x.ndim)
    n = x.shape[axis]
    wanted = "an int >= 1, or a list of ints >= 0 whose sum is"
    if isinstance(size, (list, tuple)):
        sizes, whole = list(size), builtins.all(is_int(s) and s >= 0 for s in size)
    else:
        whole = is_int(size) and size >= 1  # type: ignore[operator]
        step = operator.index(size) if whole else n  # type: ignore[arg-type]
        sizes = [min(step, n - first) for first in range(0, n, step or 1)] or [0]
    if not whole or sum(sizes) != n:
        raise ValueError(f"split: size must be {wanted} {n}, got {size!r}")
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    before = (slice(None),) * axis
    return [x[(*before, slice(e - s, e))] for s, e in zip(sizes, ends, strict=True)]


def chunk(x: Any, chunks: int, axis: int = 0) -> list[Tensor]:
    """x in at most `chunks` equal pieces along `axis`, the last one smaller."""
    x = _tensor(x)
    if not is_int(chunks) or chunks < 1:
        raise ValueError(f"chunk: chunks must be an int >= 1, got {chunks!r}")
    n = x.shape[check_axis("chunk", axis, x.ndim)]
    return split(x, max(1, -(-n // chunks)), axis)


def tril(x: Any, k: int = 0) -> Tensor:
    """The lower triangle of the last two axes, with k more diagonals; zeros elsewhere."""
    return _triangle("tril", _tensor(x), k, True)


def triu(x: Any, k: int = 0) -> Tensor:
    """The upper triangle of the last two axes, without its first k diagonals; zeros elsewhere."""
    return _triangle("triu", _tensor(x), k - 1, False)


def _triangle(name: str, x: Tensor, k: int, lower: bool) -> Tensor:
    if x.ndim < 2 or not is_int(k):
        raise ValueError(f"{name}: wanted two axes or more and an int k, got {x.shape} and {k!r}")
    below = array_module(x.data).tri(*x.shape[-2:], k, dtype=bool)
    return operators.F.where(below == lower, x, 0)


def std(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The square root of `var`; where all values are equal, the gradient is 0, as in PyTorch."""
    where, var = operators.F.where, operators.F.var(x, axis, keepdims)
    equal = var == 0
    return where(equal, 0, operators.F.sqrt(where(equal, 1, var)))


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(e^x)), without overflow: the largest x is taken out first."""
    x = _tensor(x)
    check_floating("logsumexp", x)
    xp = array_module(x.data)
    largest = x.detach().max(axis, keepdims=True).data
    largest = xp.where(xp.isfinite(largest), largest, 0).astype(x.dtype)
    y = operators.F.log(operators.F.exp(x - largest).sum(axis, keepdims=True)) + largest
    return y if keepdims else y.squeeze(check_axes("logsumexp", axis, x.ndim))


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product over `axis`: neighbours are multiplied until one number is left."""
    x = _whole(x)
    axes = check_axes("prod", axis, x.ndim)
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    count = math.prod(x.shape[a] for a in axes)
    y = x.transpose(*kept, *axes).reshape(*(x.shape[a] for a in kept), count)
    while y.shape[-1] != 1:
        odd = y.shape[-1] % 2 or not y.shape[-1]
        y = operators.F.pad(y, (0, 1), value=1) if odd else y
        y = y[..., ::2] * y[..., 1::2] if y.shape[-1] > 1 else y
    y = y.reshape(shape)
    return y if keepdims else y.squeeze(axes)


def cumsum(x: Any, axis: int) -> Tensor:
    """y_i = x_0 + ... + x_i along one axis."""
    return _running("cumsum", x, axis, operators.F.add, 0)


def cumprod(x: Any, axis: int) -> Tensor:
    """y_i = x_0 * ... * x_i along one axis."""
    return _running("cumprod", x, axis, operators.F.multiply, 1)


def _running(name: str, x: Any, axis: int, operation: Any, start: int) -> Tensor:
    """After steps of 1, 2, 4, ... each number is joined with so many before it (Hillis, Steele)."""
    x = _whole(x)
    axis = check_axis(name, axis, x.ndim)
    y, step = x.swapaxes(axis, -1), 1
    while step < x.shape[axis]:
        before = operators.F.pad(y[..., :-step], (step, 0), value=start)
        y, step = operation(y, before), 2 * step
    return y.swapaxes(axis, -1)


def _whole(x: Any) -> Tensor:
    """Booleans and small integers as int64, whose sums and products have room."""
    x = _tensor(x)
    return x.astype("int64") if x.dtype.kind in "bui" else x


def pad(x: Any, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """x with `value` around it, or with its own numbers

    pad: (left, right, top, bottom, ...), from the last axis backwards, as in PyTorch.
    mode: "constant", or "reflect", "replicate" or "circular".
    """
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in modes:
        raise ValueError(f"pad: mode must be {', '.join(modes)}, got {mode!r}")
    filled = operators.F.shape.pad(x, pad, value)  # checks the widths, too
    if mode == "constant":
        return filled
    x, xp = _tensor(x), array_module(filled.data)
    for i in range(0, len(pad), 2):
        axis, width = x.ndim - 1 - i // 2, (int(pad[i]), int(pad[i + 1]))
        n = x.shape[axis]
        if max(width) > n - (mode == "reflect") and max(width):
            raise ValueError(f"pad: mode {mode!r} can't take {width} from the {n} of axis {axis}")
        x = x[(*(slice(None),) * axis, xp.pad(xp.arange(n), width, mode=modes[mode]))]
    return x


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether one of the values is not 0."""
    return (_tensor(x) != 0).sum(axis, keepdims) > 0


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether none of the values is 0."""
    return (_tensor(x) == 0).sum(axis, keepdims) == 0


@operation(check=check_contract)
def contract(tensors: Any, subscripts: Any) -> Any:
    """y = the sum of products that subscripts name, such as "ij,jk->ik"

    Each letter is an axis. The sum is over those that the result does not name."""
    xp = array_module(*tensors)
    *inputs, output = subscripts.replace("->", ",").split(",")
    y = xp.einsum(subscripts, *tensors)

    def contract_backward(dy: Any) -> Any:
        """The same sum, with dy in place of the tensor whose letters it names."""
        gradients = []
        for i, letters in enumerate(inputs):
            names = ",".join([output, *inputs[:i], *inputs[i + 1 :]])
            reached = "".join(a for a in letters if a in names)
            others = [*tensors[:i], *tensors[i + 1 :]]
            dx = xp.einsum(f"{names}->{reached}", dy, *others)
            alone = tuple(axis for axis, a in enumerate(letters) if a not in names)
            dx = xp.expand_dims(dx, alone)
            gradients.append(xp.broadcast_to(dx, tensors[i].shape))
        return (gradients,)

    return y, contract_backward


def einsum(subscripts: str, *tensors: Any) -> Tensor:
    """The sum of products that subscripts name, such as einsum("ij,jk->ik", a, b).

    Each letter is an axis. The result has the letters behind ->, or if there are none those that
    come once, in alphabetical order.
    """
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: subscripts must come first, as text, got {subscripts!r}")
    text = subscripts.replace(" ", "")
    if "->" not in text:
        text += "->" + "".join(sorted(a for a in set(text) - {","} if text.count(a) == 1))
    listed = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    return operators.F.contract(list(listed), text)


def resize(x: Any, size: int | tuple[int, int], mode: str = "nearest") -> Tensor:
    """Images of another size, by the nearest pixel or linear between pixels, as in PyTorch.

    x: (N, C, H, W) -> (N, C, *size). mode: "nearest" or "bilinear" (without aligned corners).
    """
    x = _tensor(x)
    sizes = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
    least = min((n for n in sizes if is_int(n)), default=0)
    if x.ndim != 4 or len(sizes) != 2 or least < 1 or 0 in x.shape[2:]:
        raise ValueError(
            "resize: wanted x (N, C, H, W) with pixels and a size of one or two ints >= 1, "
            f"got {x.shape} and {size!r}"
        )
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"resize: mode must be 'nearest' or 'bilinear', got {mode!r}")
    xp = array_module(x.data)
    for axis, n in zip((2, 3), sizes, strict=True):
        before = (slice(None),) * axis
        step, last = x.shape[axis] / n, x.shape[axis] - 1
        if mode == "nearest":
            x = x[(*before, (xp.arange(n) * step).astype("int64").clip(0, last))]
            continue
        place = xp.maximum((xp.arange(n) + 0.5) * step - 0.5, 0)
        low = place.astype("int64").clip(0, last)
        share = (place - low).astype(x.dtype).reshape((n, 1) if axis == 2 else (n,))
        above = (low + 1).clip(0, last)
        x = x[(*before, low)] * (1 - share) + x[(*before, above)] * share
    return x


def max_pool2d(x: Any, kernel_size: int, stride: int | None = None, padding: int = 0) -> Tensor:
    """y = the largest number of each kernel_size x kernel_size square, `stride` apart

    x: (N, C, H, W). stride: kernel_size if None. The first of equal numbers has the gradient.
    """
    x, k, s = _tensor(x), kernel_size, kernel_size if stride is None else stride
    whole = is_int(k) and is_int(s) and is_int(padding)
    if x.ndim != 4 or not whole or s < 1 or not 0 <= 2 * padding <= k or k < 1:
        raise ValueError(
            "max_pool2d: wanted x (N, C, H, W), kernel_size and stride ints >= 1, and padding at "
            f"most half of kernel_size, got {x.shape}, {k!r}, {s!r} and {padding!r}"
        )
    if padding and x.dtype.kind != "f":
        raise TypeError(f"max_pool2d: with padding, x must be floating-point, got {x.dtype}")
    if padding:
        x = operators.F.pad(x, (padding,) * 4, value=-math.inf)
    (N, C, H, W) = x.shape
    if k > min(H, W):
        raise ValueError(f"max_pool2d: kernel_size {k} is larger than the padded image, {H}x{W}")
    h, w = ((size - k) // s + 1 for size in (H, W))
    ends = (h - 1) * s + 1, (w - 1) * s + 1
    seen = [
        x[:, :, u : u + ends[0] : s, v : v + ends[1] : s] for u in range(k) for v in range(k)
    ]
    squares = operators.F.stack(seen, -1).reshape(N * C * h * w, k * k)
    first = squares.detach().argmax(1).data
    rows = array_module(x.data).arange(len(first))
    return squares[rows, first].reshape(N, C, h, w)
