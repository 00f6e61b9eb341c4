"""Geometry of a convolution: its windows, the padded image, and which pixels a tap meets."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from minidiff.engine.checks import is_int


class Window(NamedTuple):
    """A window along one axis: output i covers the inputs  i * stride + tap * dilation - before.

    tap: 0 .. taps - 1; before, after: zeros put in front of the first input and behind the last. A
    negative number leaves inputs out.
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
        """How many outputs `size` inputs have. What no whole window covers is left out (floor)."""
        return (size + self.before + self.after - self.span) // self.stride + 1


def transposed(window):
    """The window of the transpose of a convolution with stride 1. Its taps are in reverse order."""
    return window._replace(
        before=window.span - 1 - window.before, after=window.span - 1 - window.after
    )


def phases(window, size, size_out):
    """The transpose of a strided window as ordinary windows, one for each residue r of the output.

    The transposed convolution sends input o to the outputs
    i = o * stride + tap * dilation - before.
    The outputs i = r, r + stride, ... are reached by the taps with
    tap * dilation = r + before (mod stride)  only, and read
    o = m + (r + before - tap * dilation) / stride  for i = m * stride + r:
    an ordinary convolution with these taps in reverse order.

    size, size_out: inputs and outputs of the transposed convolution
    -> [(r, taps, window)], taps being the chosen ones in order.
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


class Geometry(NamedTuple):
    """A convolution from images of `size` to images of `size_out`, by windows along both axes."""

    rows: Window
    columns: Window
    size: tuple[int, int]
    size_out: tuple[int, int]

    @property
    def padding(self):
        """What `pad` puts around images of the shape (N, groups, channels, H, W)."""
        rows, columns = self.rows, self.columns
        return *((0, 0),) * 3, (rows.before, rows.after), (columns.before, columns.after)

    @property
    def inside(self):
        """The image inside of the padded one: padded[..., inside_rows, inside_columns]."""
        (H, W), top, left = self.size, self.rows.before, self.columns.before
        return ..., slice(top, top + H), slice(left, left + W)


def taps(geometry):
    """(u, v, seen) for each element of the kernel: it meets padded[seen], (..., H_out, W_out).

    The output (i, j) meets the padded pixel (i * stride + u * dilation, j * stride + v * dilation).
    """
    rows, columns = (
        [_seen(window, tap, size) for tap in range(window.taps)]
        for window, size in zip(geometry[:2], geometry.size_out, strict=True)
    )
    return [(u, v, (..., i, j)) for u, i in enumerate(rows) for v, j in enumerate(columns)]


def _seen(window, tap, size_out):
    """The padded inputs that one tap meets, for all outputs."""
    first = tap * window.dilation
    return slice(first, first + (size_out - 1) * window.stride + 1, window.stride)


def conv2d_geometry(x_shape, weight_shape, stride, padding, dilation):
    """The geometry of conv2d: from x's pixels to y's.

    Each option is an int or a pair (rows, columns).
    Raises: ValueError if one is neither, or if the window is larger than the padded image.
    """
    options = _pairs("conv2d", stride=stride, padding=padding, dilation=dilation)
    return _conv2d_geometry(x_shape[2:], weight_shape[2:], *options)


def conv_transpose2d_geometry(x_shape, weight_shape, stride, padding, output_padding, dilation):
    """The geometry of the conv2d that this one transposes: from y's pixels to x's.

    Each option is an int or a pair (rows, columns).
    Raises: ValueError if one is neither, or if the padding leaves no pixel.
    """
    sizes = {"stride": stride, "padding": padding, "dilation": dilation}
    *options, extra = _pairs("conv_transpose2d", **sizes, output_padding=output_padding)
    geometry = _conv_transpose2d_geometry(x_shape[2:], weight_shape[2:], *options, extra)
    if any(e >= max(w.stride, w.dilation) for e, w in zip(extra, geometry[:2], strict=True)):
        raise ValueError(
            "conv_transpose2d: output_padding must be smaller than stride or dilation, "
            f"got {output_padding!r}"
        )
    H, W = geometry.size
    if min(H, W) < 1:
        raise ValueError(
            f"conv_transpose2d: padding {padding!r} leaves {H}x{W} pixels of x with shape {x_shape}"
        )
    return geometry


@lru_cache  # a model asks for the same few at each step
def _conv2d_geometry(size, kernel_size, stride, padding, dilation):
    rows, columns = windows = _windows(kernel_size, stride, padding, dilation)
    for window, pixels, name in zip(windows, size, "HW", strict=True):
        padded = pixels + window.before + window.after
        if window.span > padded:
            raise ValueError(
                f"conv2d: the window reaches over {window.span} pixels, but x has "
                f"{name} = {pixels}, with padding {padded}"
            )
    return Geometry(rows, columns, size, (rows.size_out(size[0]), columns.size_out(size[1])))


@lru_cache
def _conv_transpose2d_geometry(size, kernel_size, stride, padding, dilation, output_padding):
    windows = _windows(kernel_size, stride, padding, dilation)
    H, W = (
        (pixels - 1) * w.stride - w.before - w.after + w.span + e
        for pixels, w, e in zip(size, windows, output_padding, strict=True)
    )
    return Geometry(*windows, (H, W), size)


def _windows(kernel_size, stride, padding, dilation):
    """The windows along rows and columns."""
    return [
        Window(taps, s, d, before=p, after=p)
        for taps, s, p, d in zip(kernel_size, stride, padding, dilation, strict=True)
    ]


def _pairs(operation, **options):
    """Each option as a pair (rows, columns)."""
    least = {"stride": 1, "dilation": 1}
    return [pair(operation, name, value, least.get(name, 0)) for name, value in options.items()]


def pair(operation, name, value, least):
    """An int or a pair of ints, as a pair.

    Raises: ValueError if it is neither, or below `least`.
    """
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    whole = all(is_int(v) for v in both)
    if len(both) != 2 or not whole or min(both) < least:
        raise ValueError(
            f"{operation}: {name} must be an int >= {least} or a pair of them (rows, columns), "
            f"got {value!r}"
        )
    return tuple(map(int, both))
