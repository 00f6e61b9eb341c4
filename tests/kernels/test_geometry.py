import itertools

import pytest

from minidiff.kernels.geometry import Window, pair, phases, transposed


def covered(window, i):
    """The inputs that output i covers, in the order of the taps."""
    return [i * window.stride + tap * window.dilation - window.before for tap in range(window.taps)]


@pytest.mark.parametrize("taps, stride, dilation, padding", list(itertools.product([1, 2, 3], [1, 2, 3], [1, 2], [0, 1, 4])))
def test_size_out_counts_the_whole_windows(taps, stride, dilation, padding):
    window = Window(taps, stride, dilation, padding, padding)
    for size in range(max(1, window.span - 2 * padding), 12):
        whole = [i for i in range(30) if max(covered(window, i)) < size + padding]
        assert window.size_out(size) == len(whole)


@pytest.mark.parametrize("taps, dilation, before, after", list(itertools.product([1, 2, 3], [1, 2], [0, 1], [0, 2])))
def test_transposed_undoes_the_sizes(taps, dilation, before, after):
    window = Window(taps, 1, dilation, before, after)
    assert transposed(window).size_out(window.size_out(10)) == 10
    assert transposed(transposed(window)) == window


@pytest.mark.parametrize("taps, stride, dilation, before", list(itertools.product([1, 2, 3, 4], [1, 2, 3], [1, 2, 3], [0, 1, 2])))
def test_phases_send_each_input_where_the_transposed_convolution_does(taps, stride, dilation, before):
    """Each pair (output, tap) of the transposed convolution occurs in one phase, with the same input."""
    window, size, size_out = Window(taps, stride, dilation, before, 0), 4, 9
    wanted = {
        (i, tap, o) for o in range(size) for tap in range(taps) for i in [o * stride + tap * dilation - before] if 0 <= i < size_out
    }
    found = set()
    for r, chosen, part in phases(window, size, size_out):
        if part is None:
            continue
        outputs = range(r, size_out, stride)
        assert part.size_out(size) == len(outputs)
        found |= {
            (i, tap, o) for m, i in enumerate(outputs) for tap, o in zip(chosen, covered(part, m), strict=True) if 0 <= o < size
        }
    assert found == wanted


def test_pair():
    assert pair("op", "stride", 2, 1) == (2, 2)
    assert pair("op", "stride", [1, 3], 1) == (1, 3)
    for wrong in (True, 1.5, (1,), (0, 1), "ab", None):
        with pytest.raises(ValueError, match="^op: stride must be an int >= 1 or a pair of them"):
            pair("op", "stride", wrong, 1)
