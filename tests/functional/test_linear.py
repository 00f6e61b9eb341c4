import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F


@pytest.mark.parametrize(
    "a, b",
    [((2, 3), (3, 4)), ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((5, 1, 2, 3), (4, 3, 2)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2))],
)
def test_matmul_is_numpys(a, b):
    x, y = md.RNG(0).normal(a), md.RNG(1).normal(b)
    np.testing.assert_allclose(F.matmul(x, y).data, x @ y, rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 5, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_torchs(shape, bias):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    arrays = [md.RNG(0).normal(shape), md.RNG(1).normal((6, 3)), *([md.RNG(2).normal((6,))] if bias else [])]
    ours, theirs = [md.Tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, y_torch = F.linear(*ours), torch.nn.functional.linear(*theirs)
    dy = md.RNG(3).normal(y.shape)
    y.backward(dy)
    y_torch.backward(torch.tensor(dy))
    np.testing.assert_allclose(y.data, y_torch.detach().numpy(), rtol=1e-5, atol=1e-6)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.matmul(np.ones((2, 3)), np.ones((4, 5))), r"matmul: the last size of x must equal .* got shapes \(2, 3\) and \(4, 5\)"),
        (lambda: F.matmul(np.ones(()), np.ones(2)), r"matmul: the last size of x must equal .* got shapes \(\) and \(2,\)"),
        (
            lambda: F.matmul(np.ones((2, 2, 3)), np.ones((3, 3, 2))),
            r"matmul: leading sizes of x and y must broadcast, got shapes \(2, 2, 3\) and",
        ),
        (lambda: F.linear(np.ones((2, 3)), np.ones((4, 2))), r"linear: weight must be \(out, in\) .* got x \(2, 3\) and weight \(4, 2\)"),
        (lambda: F.linear(np.ones((2, 3)), np.ones((4, 3)), np.ones(3)), r"linear: bias must have shape \(4,\), got \(3,\)"),
        (lambda: F.linear(np.ones(()), np.ones((4, 3))), r"linear: weight must be \(out, in\) .* got x \(\)"),
    ],
)
def test_what_it_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_float64_bias_is_not_silently_rounded():
    with pytest.raises(TypeError, match="linear: bias and x must have one dtype, got float64 and float32"):
        F.linear(np.ones((2, 3), np.float32), np.ones((4, 3), np.float32), np.ones(4))
