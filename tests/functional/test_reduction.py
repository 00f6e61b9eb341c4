import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F

AXES = [None, 0, -1, (0, 2), (-1, 0), (1,), ()]


@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "min"])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_it_is_numpys(name, axis, keepdims):
    x = md.RNG(0).normal((2, 3, 4), np.float64)
    expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    found = getattr(F, name)(x, axis, keepdims)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.data, expected, rtol=1e-12)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_argmax_is_numpys(axis):
    x = np.array([[1, 5, 5], [7, 2, 7]])
    np.testing.assert_array_equal(F.argmax(x, axis).data, x.argmax(axis))


def test_the_variance_of_a_large_offset_does_not_cancel():
    x = np.array([1e4, 1e4 + 1, 1e4 + 2], np.float32)
    assert F.var(x).item() == pytest.approx(2 / 3, rel=1e-5)


def test_equal_extrema_share_the_gradient():
    x = md.Tensor(np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]), requires_grad=True)
    F.max(x, 1).backward(np.array([1.0, 3.0]))
    np.testing.assert_allclose(x.grad, [[0, 0.5, 0.5], [1, 1, 1]])


@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "min"])
@pytest.mark.parametrize(
    "axis, error, message",
    [
        (2, ValueError, "axis must be in -2..1 for 2 axes, got 2"),
        ((0, -3), ValueError, "axis must be in -2..1 for 2 axes, got -3"),
        ((1, -1), ValueError, r"axis names an axis twice: \(1, -1\)"),
        (1.5, TypeError, "axis must be an int, got 1.5"),
    ],
)
def test_an_axis_that_is_not_there(name, axis, error, message):
    with pytest.raises(error, match=f"{name}: {message}"):
        getattr(F, name)(np.ones((2, 3)), axis)


@pytest.mark.parametrize("name", ["mean", "var", "max", "min"])
def test_of_no_numbers(name):
    with pytest.raises(ValueError, match=rf"{name}: there is no number to reduce over axis 0 of shape \(0, 3\)"):
        getattr(F, name)(np.ones((0, 3)), 0)
    assert F.sum(np.ones((0, 3)), 0).shape == (3,)


def test_argmax_axis():
    with pytest.raises(ValueError, match="argmax: axis must be in -2..1 for 2 axes, got 5"):
        F.argmax(np.ones((2, 3)), 5)
