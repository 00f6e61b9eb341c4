import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F

X, Y = md.RNG(0).uniform((2, 3), np.float64) + 0.5, md.RNG(1).uniform((3,), np.float64) + 0.5


@pytest.mark.parametrize(
    "name",
    ["add", "subtract", "multiply", "divide", "maximum", "minimum", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal"],
)
def test_two_arguments_as_numpy(name):
    for x, y in ((X, Y), (X, 0.75), (0.75, Y), (X, X)):
        expected = getattr(np, name)(x, y)
        found = getattr(F, name)(x, y)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.data, expected)


@pytest.mark.parametrize("name", ["negative", "absolute", "exp", "log", "sqrt", "sin", "cos"])
def test_one_argument_as_numpy(name):
    np.testing.assert_array_equal(getattr(F, name)(X).data, getattr(np, name)(X))


def test_clip_and_where_as_numpy():
    for limits in ((0.7, 0.9), (None, 0.9), (0.7, None)):
        np.testing.assert_array_equal(F.clip(X, *limits).data, np.clip(X, *limits))
    np.testing.assert_array_equal(F.where(X > 1, X, Y).data, np.where(X > 1, X, Y))


@pytest.mark.parametrize("exponent, at_zero", [(2, 0.0), (1, 1.0), (0, 0.0), (3.0, 0.0)])
def test_the_derivative_of_a_power_at_zero(exponent, at_zero):
    x = md.Tensor(np.array([0.0, 2.0]), requires_grad=True)
    (x**exponent).backward(np.ones(2))
    np.testing.assert_allclose(x.grad, [at_zero, exponent * 2.0 ** (exponent - 1)])


def test_kinks():
    """At the kink itself: |x| takes 0, maximum and minimum share, clip lets the gradient pass at its limits."""
    x, y = md.Tensor(np.zeros(1), requires_grad=True), md.Tensor(np.zeros(1), requires_grad=True)
    assert md.gradients(F.absolute(x), [x], np.ones(1))[0] == 0
    assert md.gradients(F.maximum(x, y), [x, y], np.ones(1)) == [0.5, 0.5]
    assert md.gradients(F.minimum(x, y), [x, y], np.ones(1)) == [0.5, 0.5]
    assert md.gradients(F.clip(x, 0, 1), [x], np.ones(1))[0] == 1
    assert md.gradients(F.relu(x), [x], np.ones(1))[0] == 0


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "maximum", "minimum", "equal", "less"])
def test_shapes_that_do_not_broadcast(name):
    with pytest.raises(
        ValueError, match=rf"{name}: shapes \(2, 3\) and \(2,\) do not broadcast \(from the right, sizes must be equal or 1\)"
    ):
        getattr(F, name)(np.ones((2, 3)), np.ones(2))


def test_where_shapes():
    with pytest.raises(ValueError, match=r"where: shapes \(2,\), \(2, 3\) and \(3,\) do not broadcast"):
        F.where(np.ones(2, bool), np.ones((2, 3)), np.ones(3))


def test_an_exponent_that_does_not_fit():
    with pytest.raises(ValueError, match=r"power: shapes \(2, 3\) and \(2,\) do not broadcast"):
        F.power(np.ones((2, 3)), np.ones(2))


def test_powers_of_zero_and_of_numbers():
    """As PyTorch: the derivative of x^0 is 0, and that by the exponent is 0 at 0^2."""
    x, n = md.Tensor([0.0, 0.0, 2.0], requires_grad=True), md.Tensor([0.0, 2.0, 3.0], requires_grad=True)
    (x**n).sum().backward()
    np.testing.assert_allclose(x.grad, [0, 0, 12])
    np.testing.assert_allclose(n.grad, [0, 0, 8 * np.log(2)], rtol=1e-6)
    assert (2**n).dtype == (2.5**n).dtype == np.float32
    np.testing.assert_allclose((2**n).data, [1, 4, 8])
    np.testing.assert_array_equal((2 ** md.Tensor([1, 3])).data, [2, 8])


@pytest.mark.parametrize("low, high", [(-0.5, np.float32([[0.3], [9]])), (np.float32([0, 1, -1]), None), (np.float32([0, 1, -1]), 0.5), (0.5, -0.5)])
def test_clip_with_arrays_is_torchs(low, high):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    values = md.RNG(0).normal((2, 3))
    given = [values, low, high]
    ours = [md.Tensor(v, requires_grad=True) if isinstance(v, np.ndarray) else v for v in given]
    theirs = [torch.tensor(v, requires_grad=True) if isinstance(v, np.ndarray) else v for v in given]
    limits = [v if v is None or isinstance(v, torch.Tensor) else torch.tensor(v) for v in theirs[1:]]  # PyTorch takes both or none as tensors
    y, expected = F.clip(*ours), torch.clamp(theirs[0], *limits)
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_array_equal(y.data, expected.detach().numpy())
    for a, b in zip(ours, theirs, strict=True):
        if isinstance(a, md.Tensor):
            np.testing.assert_array_equal(a.grad, b.grad.numpy())
