"""Shapes and places: reshape, transpose, indexing, joining, padding.

Each derivative puts the gradient back where the values came from. It keeps x's shape and
not x, whose memory can thus be freed before it runs."""

from __future__ import annotations

from itertools import accumulate, pairwise

from minidiff.engine.add_at import add_at
from minidiff.engine.backend import array_module
from minidiff.engine.checks import (
    check_axes,
    check_axis,
    check_indices,
    check_shape,
    is_basic,
    items_of,
    poisoned,
)  # fmt: skip
from minidiff.engine.operation import operation
from minidiff.engine.set_at import last, set_at


@operation
def reshape(x, shape):
    """x with another shape of as many elements; one size may be -1."""
    shape = check_shape("reshape", shape)
    try:
        y = x.reshape(shape)
    except ValueError:
        what = f"an array of shape {x.shape} ({x.size} elements)"
        raise ValueError(f"reshape: {what} can't take shape {shape}") from None
    shape_x = x.shape

    def reshape_backward(dy):
        return dy.reshape(shape_x)

    return y, reshape_backward


@operation
def transpose(x, axes=None):
    """The axes in another order; None reverses them."""
    every = tuple(range(x.ndim))
    axes = every[::-1] if axes is None else check_axes("transpose", tuple(axes), x.ndim)
    if len(axes) != x.ndim:
        wanted = f"axes must name each of the {x.ndim} axes of shape {x.shape}"
        raise ValueError(f"transpose: {wanted}, got {axes}")
    inverse = tuple(axes.index(i) for i in every)

    def transpose_backward(dy):
        return dy.transpose(inverse)

    return x.transpose(axes), transpose_backward


@operation
def swapaxes(x, axis1, axis2):
    """Two axes exchanged."""
    axis1, axis2 = (check_axis("swapaxes", a, x.ndim) for a in (axis1, axis2))

    def swapaxes_backward(dy):
        return dy.swapaxes(axis1, axis2)

    return x.swapaxes(axis1, axis2), swapaxes_backward


@operation
def squeeze(x, axis=None):
    """Without the axes of size 1 (or without those named)."""
    ones = tuple(a for a, n in enumerate(x.shape) if n == 1)
    axes = ones if axis is None else check_axes("squeeze", axis, x.ndim)
    if any(x.shape[a] != 1 for a in axes):
        got = f"axis {axis} of shape {x.shape}"
        raise ValueError(f"squeeze: only axes of size 1 can be left out, got {got}")
    shape_x = x.shape

    def squeeze_backward(dy):
        return dy.reshape(shape_x)

    return x.squeeze(axes), squeeze_backward


@operation
def expand_dims(x, axis):
    """With a new axis of size 1 at `axis` of the result."""
    axis = check_axis("expand_dims", axis, x.ndim + 1)
    shape_x = x.shape

    def expand_dims_backward(dy):
        return dy.reshape(shape_x)

    return array_module(x).expand_dims(x, axis), expand_dims_backward


@operation
def broadcast_to(x, shape):
    """x repeated to `shape`. The gradient is summed by the engine's `unbroadcast`."""
    shape = check_shape("broadcast_to", shape)
    try:
        y = array_module(x).broadcast_to(x, shape)
    except ValueError:
        raise ValueError(
            f"broadcast_to: shape {x.shape} can't be repeated to {shape} "
            "(from the right, sizes must be equal or 1)"
        ) from None

    def broadcast_to_backward(dy):
        return dy

    return y, broadcast_to_backward


@operation
def astype(x, dtype):
    """x in another dtype; the gradient comes back in x's own, and integers have none."""
    y = x.astype(dtype)
    dtype_x = x.dtype

    def astype_backward(dy):
        return dy.astype(dtype_x)

    return y, astype_backward if y.dtype.kind == "f" else None


@operation
def getitem(x, index):
    """x[index], basic or fancy; where fancy indices repeat, their gradients add up.

    Raises: IndexError for an index out of range, also on a GPU (CuPy wraps round)."""
    xp = array_module(x, *items_of(index))
    nan_or_0 = check_indices("getitem", x, index)
    y = poisoned(x[index], nan_or_0)
    shape_x = x.shape

    def getitem_backward(dy):
        dx = xp.zeros(shape_x, dy.dtype)
        if is_basic(index):
            dx[index] = dy
        else:
            add_at(dx, index, dy)
        return dx

    return xp.asarray(y), getitem_backward


@operation
def setitem(x, index, value):
    """A copy of x in which x[index] is value; where fancy indices repeat, the last wins.

    Raises: TypeError if numbers with a fraction would go into integers."""
    xp = array_module(x, value, *items_of(index))
    check_indices("setitem", x, index)
    value = value if hasattr(value, "dtype") else xp.asarray(value, x.dtype)
    if x.dtype.kind != "f" and value.dtype.kind == "f":
        raise TypeError(f"setitem: x is {x.dtype} and can't hold {value.dtype}")
    y = xp.array(x)
    set_at(y, index, value.reshape(()) if value.size == 1 else value)
    shape, dtype = value.shape, value.dtype

    def setitem_backward(dy):
        dx = xp.array(dy)
        dx[index] = 0
        dvalue = dy[index]
        if not is_basic(index):
            number = xp.arange(dvalue.size).reshape(dvalue.shape)
            # what was overwritten has none
            dvalue = dvalue * (last(xp, dy.shape, index) == number)
        dvalue = xp.asarray(dvalue, dtype)
        return dx, None, dvalue.reshape((1,) * (len(shape) - dvalue.ndim) + dvalue.shape)

    return y, setitem_backward


@operation
def concatenate(tensors, axis=0):
    """The tensors one after another along `axis`; all other sizes must agree."""
    xp = array_module(*tensors)
    if not tensors:
        raise ValueError("concatenate: wanted at least one tensor, got none")
    shape = tensors[0].shape
    axis = check_axis("concatenate", axis, len(shape))
    for i, x in enumerate(tensors):
        if x.ndim != len(shape) or _without(x.shape, axis) != _without(shape, axis):
            raise ValueError(
                f"concatenate: tensor {i} has shape {x.shape}, "
                f"which differs from {shape} elsewhere than on axis {axis}"
            )
    ends = accumulate((x.shape[axis] for x in tensors), initial=0)
    before = (slice(None),) * axis
    parts = [(*before, slice(a, b)) for a, b in pairwise(ends)]

    def concatenate_backward(dy):
        return ([dy[part] for part in parts],)

    return xp.concatenate(tensors, axis), concatenate_backward


def _without(shape, axis):
    return shape[:axis] + shape[axis + 1 :]


@operation
def stack(tensors, axis=0):
    """Tensors of one shape, along a new axis."""
    xp = array_module(*tensors)
    shapes = [x.shape for x in tensors]
    if not tensors or shapes.count(shapes[0]) < len(shapes):
        wanted = "at least one tensor, all of one shape"
        raise ValueError(f"stack: wanted {wanted}, got shapes {shapes}")
    axis = check_axis("stack", axis, len(shapes[0]) + 1)
    count = len(tensors)

    def stack_backward(dy):
        return ([xp.take(dy, i, axis=axis) for i in range(count)],)

    return xp.stack(tensors, axis), stack_backward


@operation
def pad(x, pad, value=0.0):
    """x with `value` around it

    pad: (left, right, top, bottom, ...), from the last axis backwards, as in PyTorch."""
    pad = check_shape("pad", pad, "pad")
    whole = all(p >= 0 for p in pad)
    if len(pad) % 2 or len(pad) > 2 * x.ndim or not whole:
        wanted = f"at most {x.ndim} pairs (before, after) of ints >= 0, last axis first"
        raise ValueError(f"pad: wanted {wanted}, got {tuple(pad)}")
    if x.dtype.kind != "f" and not float(value).is_integer():
        raise TypeError(f"pad: x is {x.dtype} and can't hold value {value}")
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]
    inside = tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape, strict=True))

    def pad_backward(dy):
        return dy[inside]

    return array_module(x).pad(x, widths, constant_values=value), pad_backward
