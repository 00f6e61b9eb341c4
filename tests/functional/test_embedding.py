import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F


def test_rows_by_index_and_gradients_of_repeated_rows_added():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    table, indices = md.RNG(0).normal((5, 3)), np.array([[0, 4, 4], [2, 0, 4]])
    weight, weight_torch = md.Tensor(table, requires_grad=True), torch.tensor(table, requires_grad=True)
    y, y_torch = F.embedding(indices, weight), torch.nn.functional.embedding(torch.tensor(indices), weight_torch)
    dy = md.RNG(1).normal(y.shape)
    y.backward(dy)
    y_torch.backward(torch.tensor(dy))
    np.testing.assert_array_equal(y.data, y_torch.detach().numpy())
    np.testing.assert_allclose(weight.grad, weight_torch.grad.numpy(), rtol=1e-6)
    assert not weight.grad[[1, 3]].any()


def test_no_indices_and_indices_as_a_tensor():
    assert F.embedding(np.zeros((0,), int), np.ones((3, 2))).shape == (0, 2)
    np.testing.assert_array_equal(F.embedding(md.Tensor([2, 0]), np.eye(3)).data, [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    "indices, weight, error, message",
    [
        (np.array([0, 3]), np.ones((3, 2)), IndexError, r"embedding: indices must be in 0..2, got 0..3"),
        (np.array([-1]), np.ones((3, 2)), IndexError, r"embedding: indices must be in 0..2, got -1..-1"),
        (np.array([0.0]), np.ones((3, 2)), TypeError, "embedding: indices must be ints, got float64"),
        (np.array([True]), np.ones((3, 2)), TypeError, "embedding: indices must be ints, got bool"),
        (np.array([0]), np.ones(3), ValueError, r"embedding: weight must be \(K, D\), got shape \(3,\)"),
    ],
)
def test_what_it_refuses(indices, weight, error, message):
    with pytest.raises(error, match=message):
        F.embedding(indices, weight)
