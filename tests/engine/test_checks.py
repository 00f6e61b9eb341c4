import numpy as np
import pytest

from minidiff import functional as F
from minidiff.engine.backend import to_cpu, to_device
from minidiff.engine.checks import (
    check_axes,
    check_axis,
    check_index_range,
    nan_for_wrong_indices,
)


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


TABLE = np.arange(6, dtype=np.float32).reshape(3, 2)
LOOKUPS = {
    "embedding": lambda i: F.embedding(i, to_device(TABLE, "strict")),
    "getitem": lambda i: F.getitem(to_device(TABLE, "strict"), i),
    "getitem of two": lambda i: F.getitem(to_device(TABLE.T, "strict"), (to_device(np.array([0, 1]), "strict"), i)),
    "cross_entropy": lambda i: F.cross_entropy(to_device(TABLE[:2, :1] + TABLE[0:1].repeat(3, 1)[:, :3], "strict"), i),
}


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_wrong_index_on_a_device_is_an_error_or_on_request_nan(strict, name):
    right, wrong = to_device(np.array([0, 2]), "strict"), to_device(np.array([0, 3]), "strict")
    expected = to_cpu(LOOKUPS[name](right).data)
    with pytest.raises(IndexError, match=r"indices must be in -?\d..2, got 0..3"):
        LOOKUPS[name](wrong)
    reads = strict.ndarray.host_reads
    with nan_for_wrong_indices():
        np.testing.assert_array_equal(to_cpu(LOOKUPS[name](right).data), expected)
        clipped = to_device(np.array([0, -1 if name != "getitem" else 2]), "strict")  # CuPy would wrap 3 round; NumPy, below it here, can't
        result = LOOKUPS[name](clipped).data
        assert result.dtype == np.float32
        if name in ("embedding", "cross_entropy"):
            assert np.isnan(to_cpu(result)).all()
    assert strict.ndarray.host_reads == reads


def test_integers_cant_be_nan_and_are_checked_all_the_same(strict):
    numbers = to_device(np.arange(3), "strict")
    with nan_for_wrong_indices(), pytest.raises(IndexError, match="got 3..3"):
        F.getitem(numbers, to_device(np.array([3]), "strict"))


def test_lists_of_indices_are_checked_on_a_device(strict):
    table = to_device(TABLE, "strict")
    with pytest.raises(IndexError, match=r"getitem: indices must be in -3..2, got 0..3"):
        F.getitem(table, [0, 3])
    np.testing.assert_array_equal(to_cpu(F.getitem(table, [0, 2]).data), TABLE[[0, 2]])
