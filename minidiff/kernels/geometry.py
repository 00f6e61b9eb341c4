"""How the window of a convolution moves: sizes, strides and paddings, one axis at a time, and the checks of what a user asked for."""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """Along one axis, output i covers the inputs  i * stride + tap * dilation - before  for tap = 0 .. taps - 1.

    before, after: zeros put in front of the first input and behind the last; a negative number leaves inputs out.
    """

    taps: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def span(self):
        """How many inputs one window reaches over, holes included."""
        return self.dilation * (self.taps - 1) + 1

    def size_out(self, size):
        """How many outputs there are for `size` inputs; a remainder that no whole window covers is left out (floor)."""
        return (size + self.before + self.after - self.span) // self.stride + 1


def transposed(window):
    """The window of the transpose of a convolution with stride 1, whose taps are in reverse order."""
    return window._replace(
        before=window.span - 1 - window.before, after=window.span - 1 - window.after
    )


def phases(window, size, size_out):
    """The transpose of a strided window as `stride` ordinary windows, one for each residue r of the output index.

    The transposed convolution sends input o to the outputs  i = o * stride + tap * dilation - before.  The outputs i = r, r + stride, ...
    are reached by the taps with  tap * dilation = r + before (mod stride)  only, and read  o = m + (r + before - tap * dilation) / stride
    for i = m * stride + r: an ordinary convolution with these taps in reverse order.

    size, size_out: inputs and outputs of the transposed convolution.    -> [(r, taps, window)], taps being the chosen ones in order.
    """
    result = []
    for r in range(min(window.stride, size_out)):
        reached = [
            (r + window.before - tap * window.dilation, tap) for tap in reversed(range(window.taps))
        ]
        reads = [
            (offset // window.stride, tap) for offset, tap in reached if offset % window.stride == 0
        ]
        count = len(range(r, size_out, window.stride))
        if not reads:
            result.append((r, [], None))
            continue
        first, last = reads[0][0], reads[-1][0]
        dilation = reads[1][0] - first if len(reads) > 1 else 1
        result.append(
            (
                r,
                [tap for _, tap in reads],
                Window(len(reads), 1, dilation, -first, count + last - size),
            )
        )
    return result


def windows_of(operation, kernel_size, stride, padding, dilation):
    """The windows along rows and columns; each argument an int or a pair of ints.    Raises ValueError if it is neither."""
    arguments = {"stride": (stride, 1), "padding": (padding, 0), "dilation": (dilation, 1)}
    pairs = [pair(operation, name, value, least) for name, (value, least) in arguments.items()]
    return tuple(
        Window(taps, s, d, before=p, after=p)
        for taps, s, p, d in zip(kernel_size, *pairs, strict=True)
    )


def pair(operation, name, value, least):
    """An int or a pair of ints, as a pair.    Raises ValueError if it is neither, or below `least`."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or any(
        not isinstance(v, int) or isinstance(v, bool) or v < least for v in both
    ):
        raise ValueError(
            f"{operation}: {name} must be an int >= {least} or a pair of them (rows, columns), got {value!r}"
        )
    return both


def check_images_and_weight(operation, x, weight, bias, groups, in_axis, layout):
    """What conv2d and conv_transpose2d want of their arrays.    Raises TypeError for dtypes, ValueError for shapes.

    in_axis: the axis of `weight` for x's channels (1: conv2d, divided by groups; 0: conv_transpose2d); layout: weight's shape in words.
    """
    if x.dtype.kind != "f":
        raise TypeError(f"{operation}: x must be floating-point, got {x.dtype}")
    for name, array in (("weight", weight), ("bias", bias)):
        if array is not None and array.dtype != x.dtype:
            raise TypeError(f"{operation}: {name} must have x's dtype {x.dtype}, got {array.dtype}")
    if x.ndim != 4:
        raise ValueError(f"{operation}: x must be (N, C, H, W), got shape {x.shape}")
    if weight.ndim != 4:
        raise ValueError(f"{operation}: weight must be {layout}, got shape {weight.shape}")
    if not isinstance(groups, int) or groups < 1:
        raise ValueError(f"{operation}: groups must be an int >= 1, got {groups!r}")
    if in_axis == 1 and x.shape[1] != weight.shape[1] * groups:
        raise ValueError(
            f"{operation}: x has C = {x.shape[1]} but weight wants C = {weight.shape[1]} * groups = {weight.shape[1] * groups}"
        )
    if in_axis == 0 and x.shape[1] != weight.shape[0]:
        raise ValueError(
            f"{operation}: x has C = {x.shape[1]} but weight wants C = {weight.shape[0]}"
        )
    if weight.shape[0] % groups:
        raise ValueError(
            f"{operation}: weight.shape[0] = {weight.shape[0]} must be a multiple of groups = {groups}"
        )
    channels_out = weight.shape[0] if in_axis == 1 else weight.shape[1] * groups
    if bias is not None and bias.shape != (channels_out,):
        raise ValueError(
            f"{operation}: bias must have shape ({channels_out},), one number per output channel, got {bias.shape}"
        )
