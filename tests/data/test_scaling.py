import numpy as np
import pytest

from minidiff.data import check_labels, check_range, to_bytes, to_float, to_unit

ALL_BYTES = np.arange(256, dtype=np.uint8)


def test_bytes_become_floats_and_come_back_exactly():
    x = to_float(ALL_BYTES)
    assert x.dtype == np.float32
    assert (x[0], x[255]) == (-1, 1)
    np.testing.assert_allclose(np.diff(x), 2 / 255, atol=1e-7)
    np.testing.assert_array_equal(to_bytes(to_unit(x)), ALL_BYTES)


def test_to_float_takes_bytes_only():
    with pytest.raises(TypeError, match=r"to_float: images has dtype float32 but uint8 \(0..255\) is wanted"):
        to_float(np.zeros(3, np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_unit_keeps_the_type(dtype):
    y = to_unit(np.array([-1, 0, 1], dtype))
    assert y.dtype == dtype
    assert y.tolist() == [0, 0.5, 1]


def test_to_unit_refuses_or_clips_what_is_outside():
    x = np.array([-1.5, 0, 3], np.float32)
    with pytest.raises(ValueError, match=r"to_unit: x must be in \[-1, 1\] but lies in \[-1.5, 3\]"):
        to_unit(x)
    assert to_unit(x, clip=True).tolist() == [0, 0.5, 1]


def test_to_bytes_refuses_what_is_outside():
    with pytest.raises(ValueError, match=r"to_bytes: images must be in \[0, 1\] but lies in \[-1, 1\]"):
        to_bytes(to_float(ALL_BYTES))


def test_nan_is_outside_even_when_clipped():
    with pytest.raises(ValueError, match=r"to_unit: x must be in \[-1, 1\] but lies in \[nan, nan\]"):
        to_unit(np.array([0, np.nan]), clip=True)


def test_check_range_includes_its_ends():
    check_range("x", np.array([-1.0, 1.0]), -1, 1)


def test_labels():
    check_labels("labels", np.array([0, 9]), 10)
    with pytest.raises(ValueError, match=r"labels must be in 0..9 for 10 classes but lie in 0..10"):
        check_labels("labels", np.array([0, 10]), 10)
    with pytest.raises(ValueError, match=r"labels must be in 0..9 for 10 classes but lie in -1..3"):
        check_labels("labels", np.array([3, -1]), 10)
    with pytest.raises(TypeError, match=r"labels must be integers, got dtype float64"):
        check_labels("labels", np.array([0.0]), 10)
