"""Writing to places of an array that may repeat: the last value wins, on a GPU too."""

import numpy as np
import pytest

import minidiff as md
from minidiff.engine.set_at import last, set_at

CASES = {
    "rows": ((4, 3), np.array([2, 0, 2, 2, -4])),
    "a list": ((4, 3), [1, 1, -3]),
    "rows and columns": ((4, 5), (np.array([1, 3, 1]), np.array([0, 2, 0]))),
    "rows and a slice": ((3, 4), (np.array([[0, 2], [2, 0]]), slice(1, 3))),
    "none": ((3, 2), np.array([], int)),
    "a mask": ((2, 3), np.array([[True, False, True], [False, True, False]])),
    "a slice": ((4, 3), slice(1, 3)),
}


@pytest.mark.parametrize("shape, index", CASES.values(), ids=CASES)
def test_the_last_value_wins_where_the_library_writes_in_another_order(shape, index, strict):
    expected = np.zeros(shape)
    values = np.arange(1.0, expected[index].size + 1).reshape(expected[index].shape)
    expected[index] = values
    array = strict.asarray(np.zeros(shape))
    theirs = tuple(strict.asarray(i) if isinstance(i, np.ndarray) else i for i in index) if isinstance(index, tuple) else index
    theirs = strict.asarray(index) if isinstance(index, np.ndarray) else theirs
    set_at(array, theirs, strict.asarray(values))
    np.testing.assert_array_equal(strict.asnumpy(array), expected)


def test_the_library_of_these_tests_does_write_in_another_order(strict):
    array = strict.asarray(np.zeros(2))
    array[strict.asarray(np.array([1, 1]))] = strict.asarray(np.array([5.0, 6.0]))
    assert strict.asnumpy(array).tolist() == [0, 5]


def test_which_one_is_the_last():
    assert last(np, (4,), np.array([2, 0, 2, 2, 0])).tolist() == [3, 4, 3, 3, 4]
    assert last(np, (4, 2), np.array([1, 1])).tolist() == [[2, 3], [2, 3]]
    assert last(np, (4,), np.array([], int)).shape == (0,)


def test_a_value_with_more_axes_and_one_for_all(strict):
    array = strict.asarray(np.zeros((3, 2)))
    set_at(array, strict.asarray(np.array([0, 2, 0])), strict.asarray(np.array([[[1.0, 2.0]]])))
    assert strict.asnumpy(array).tolist() == [[1, 2], [0, 0], [1, 2]]
    set_at(array, [1, 1], 7.0)
    assert strict.asnumpy(array)[1].tolist() == [7, 7]


def test_the_gradient_goes_to_the_value_that_stayed():
    x, value = md.Tensor(np.zeros(3), requires_grad=True), md.Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    y = md.functional.setitem(x, np.array([2, 2, 0]), value)
    dx, dvalue = md.gradients(y.sum(), [x, value])
    assert y.data.tolist() == [3, 0, 2] and dx.tolist() == [0, 1, 0] and dvalue.tolist() == [0, 1, 1]
