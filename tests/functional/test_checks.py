import numpy as np
import pytest

from minidiff.functional.checks import check_axes, check_axis, check_index_range


def test_axes_are_counted_from_the_front():
    assert check_axis("f", -1, 3) == 2 and check_axis("f", np.int64(1), 3) == 1
    assert check_axes("f", None, 3) == (0, 1, 2) and check_axes("f", (-1, 0), 3) == (2, 0) and check_axes("f", 1, 3) == (1,)


def test_index_ranges():
    check_index_range("f", np.array([-2, 1]), 2)
    check_index_range("f", np.array([], int), 0)
    with pytest.raises(IndexError, match=r"f: indices must be in -2..1, got -3..1"):
        check_index_range("f", np.array([-3, 1]), 2)
    with pytest.raises(IndexError, match=r"f: indices must be in 0..1, got -1..1"):
        check_index_range("f", np.array([-1, 1]), 2, lowest=0)
