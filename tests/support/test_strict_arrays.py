"""The watchman itself: what an operation must not do is refused or counted."""

import numpy as np
import pytest
from support.strict_arrays import LeakError, StrictArray

import minidiff as md


def test_numpy_refuses_it(strict):
    x = strict.asarray([1.0, 4.0])
    for leak in (lambda: np.exp(x), lambda: np.concatenate([x, x]), lambda: np.asarray(x), lambda: np.sum(x), lambda: np.ones(2) * x):
        with pytest.raises(TypeError):
            leak()


def test_it_refuses_numpy_arrays(strict):
    x = strict.asarray([1.0, 4.0])
    leaks = (
        lambda: x + np.ones(2), lambda: x[np.array([0])], lambda: strict.maximum(x, np.ones(2)), lambda: strict.exp(np.ones(2)),
        lambda: x.__setitem__(0, np.ones(())), lambda: list(x),
    )  # fmt: skip
    for leak in leaks:
        with pytest.raises(LeakError):
            leak()


def test_what_the_host_reads_is_counted(strict):
    x = strict.asarray(2.0)
    StrictArray.host_reads = 0
    assert float(x) == 2 and int(x) == 2 and bool(x) and x.item() == 2 and x.tolist() == 2
    assert StrictArray.host_reads == 5


def test_sizes_that_the_host_reads_are_counted(strict):
    x = strict.asarray([1.0, -4.0, 2.0])
    StrictArray.host_reads = 0
    assert x[x > 0].shape == (2,) and strict.nonzero(x)[0].shape == (3,) and strict.bincount(strict.asarray([0, 2])).shape == (3,)
    assert StrictArray.host_reads == 3
    assert x[strict.asarray([0, 2])].shape == (2,) and strict.where(x > 0, x, 0).shape == (3,)
    x[x > 0] = 0
    assert StrictArray.host_reads == 3


def test_results_are_arrays_of_the_library(strict):
    x = strict.asarray(np.array([[1.0, 4.0], [9.0, 16.0]]))
    for y in (x.sum(), x[0, 1], strict.sqrt(x).max(), 2 * x, np.float64(2) * x, x.T, -x, x @ x, x > 2):
        assert type(y) is StrictArray
    assert x.T.base is x and x[0].reshape(1, 2).base is x and (x + 1).base is None


def test_operations_refuse_to_mix_it_with_numpy(strict):
    with pytest.raises(TypeError, match=r"arrays of two libraries in one call: strict \(device 'strict'\) and numpy \(device 'cpu'\)"):
        md.Tensor(strict.asarray([1.0])) * np.ones(1)
    with pytest.raises(TypeError, match="arrays of two libraries"):
        md.Tensor(np.ones(1)) + md.Tensor(strict.asarray([1.0]))
    with pytest.raises(TypeError, match="arrays of two libraries"):
        md.Tensor(strict.asarray([1.0]))[np.array([0])]
