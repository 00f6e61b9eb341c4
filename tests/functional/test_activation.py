import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F

WIDE = np.concatenate([np.linspace(-100, 100, 41), np.linspace(-4, 4, 33)]).astype(np.float32)


def against_torch(ours, theirs, *shapes, values=None, tolerance=1e-5):
    """Result and gradients of two functions of the same arrays."""
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    arrays = [values] if values is not None else [md.RNG(i).normal(shape) for i, shape in enumerate(shapes)]
    x, x_torch = [md.Tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, y_torch = ours(*x), theirs(*x_torch)
    dy = md.RNG(9).normal(y.shape)
    y.backward(dy)
    y_torch.backward(torch.tensor(dy))
    for a, b in [(y.data, y_torch.detach()), *((p.grad, q.grad) for p, q in zip(x, x_torch, strict=True))]:
        np.testing.assert_allclose(a, b.numpy(), rtol=tolerance, atol=tolerance * max(1e-6, float(b.abs().max())))


@pytest.mark.parametrize("name", ["sigmoid", "silu", "relu", "tanh"])
def test_it_is_torchs_function(name):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    against_torch(getattr(F, name), getattr(torch.nn.functional, name), values=WIDE)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_torchs(approximate):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    against_torch(lambda x: F.gelu(x, approximate), lambda x: torch.nn.functional.gelu(x, approximate=approximate), values=WIDE)
    if approximate == "none":
        against_torch(F.gelu, torch.nn.functional.gelu, values=WIDE)


def test_another_gelu_is_refused():
    with pytest.raises(ValueError, match="gelu: approximate must be 'none' or 'tanh', got 'erf'"):
        F.gelu(WIDE, approximate="erf")


def test_gelu_is_close_to_the_exact_one():
    """x Phi(x), Phi by the error function."""
    from math import erf

    x = np.linspace(-6, 6, 241)
    exact = np.array([0.5 * v * (1 + erf(v / 2**0.5)) for v in x])
    assert np.abs(F.gelu(x).data - exact).max() < 5e-4


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_along_any_axis(name, axis):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    function = getattr(torch.nn.functional, name)

    def theirs(x):
        if isinstance(axis, int):
            return function(x, dim=axis)
        rows = x.transpose(0, 1).flatten(1)
        return function(rows, dim=1).unflatten(1, (2, 4)).transpose(0, 1)

    against_torch(lambda x: getattr(F, name)(x, axis), theirs, (2, 3, 4))


def test_large_numbers_do_not_overflow():
    x = np.array([[1e4, 0.0, -1e4], [-3e38, 3e38, 0.0]], np.float32)
    with np.errstate(over="ignore"):  # exp of -6e38 is 0 either way
        np.testing.assert_array_equal(F.softmax(x).data, [[1, 0, 0], [0, 1, 0]])
    assert F.log_softmax(x[:1]).data[0, 2] == -2e4
    np.testing.assert_array_equal(F.sigmoid(np.array([-1e4, 1e4], np.float32)).data, [0, 1])
    np.testing.assert_array_equal(F.swish(np.array([-1e4, 1e4], np.float32)).data, [0, 1e4])


def test_masked_entries_get_no_weight():
    np.testing.assert_array_equal(F.softmax(np.array([0.0, -np.inf, 0.0])).data, [0.5, 0, 0.5])


def test_silu_is_swish():
    assert F.silu is F.swish


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_an_axis_that_is_not_there(name):
    with pytest.raises(ValueError, match=rf"{name}: axis must be in -2..1 for 2 axes, got 2"):
        getattr(F, name)(np.ones((2, 3)), 2)
