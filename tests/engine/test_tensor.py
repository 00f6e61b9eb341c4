import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F

# -- making one -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data, dtype",
    [
        (1.5, "float32"), ([1.0, 2.0], "float32"), ([[1, 2]], "int64"), (True, "bool"), (np.ones(2), "float64"), (np.float64(1), "float64"),
        (np.ones(2, np.float16), "float16"), (np.arange(3, dtype=np.uint8), "uint8"), ([], "float32"),
    ],
)  # fmt: skip
def test_python_floats_become_float32_and_arrays_keep_their_dtype(data, dtype):
    assert md.Tensor(data).dtype == dtype


def test_arrays_are_kept_not_copied():
    array = np.ones(3)
    assert md.Tensor(array).data is array
    assert md.Tensor(md.Tensor(array)).data is array
    assert md.Tensor(array, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("data, got", [("text", "<U4"), (None, "object"), ([1 + 2j], "complex128")])
def test_data_must_be_numbers(data, got):
    with pytest.raises(TypeError, match=f"Tensor: data must be numbers, got dtype {got}"):
        md.Tensor(data)


def test_integers_have_no_gradient():
    with pytest.raises(TypeError, match="requires_grad: only floating-point tensors have gradients, this one is int64"):
        md.Tensor([1, 2], requires_grad=True)


def test_a_result_can_not_be_frozen():
    y = md.Tensor(1.0, requires_grad=True) * 2
    with pytest.raises(ValueError, match="requires_grad: this tensor was computed from others; use detach()"):
        y.requires_grad = False


def test_unknown_device():
    with pytest.raises(ValueError, match="device: wanted 'cpu', 'cuda' or 'cuda:N', got 'gpu'"):
        md.Tensor(1.0, device="gpu")
    with pytest.raises(ValueError, match="got 'gpu'"):
        md.Tensor(1.0).to("gpu")


# -- reading it -------------------------------------------------------------------------------------------------------------------------


def test_attributes():
    x = md.Tensor(np.zeros((2, 3), np.float32))
    assert (x.shape, x.ndim, x.size, x.dtype, x.device, len(x)) == ((2, 3), 2, 6, np.float32, "cpu", 2)


def test_repr_shows_values_shape_dtype_and_origin():
    x = md.Tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "Tensor([1., 2.], shape (2,), float32, requires_grad)"
    assert repr(x * x) == "Tensor([1., 4.], shape (2,), float32, multiply)"
    assert repr(x.detach()) == "Tensor([1., 2.], shape (2,), float32)"


def test_conversion_to_python_numbers():
    assert md.Tensor([2.5]).item() == 2.5 and float(md.Tensor(2.5)) == 2.5 and int(md.Tensor(2)) == 2 and bool(md.Tensor(True))
    with pytest.raises(ValueError, match=r"item: wanted a tensor of one element, got shape \(2,\)"):
        md.Tensor([1.0, 2.0]).item()


def test_arithmetic_without_axes_gives_arrays_not_numpy_scalars():
    x = md.Tensor(2.0, requires_grad=True)
    y = x * x + x
    assert type(y.data) is np.ndarray and y.device == "cpu"
    y.backward()
    assert type(x.grad) is np.ndarray and x.grad == 5


def test_numpy_functions_take_a_tensor_without_gradient_only():
    x = md.Tensor([1.0, 2.0])
    assert np.sum(np.asarray(x)) == 3
    copied = np.array(x)
    copied[0] = 100
    assert x.data[0] == 1
    x.requires_grad = True
    with pytest.raises(TypeError, match=r"this Tensor requires a gradient, which a NumPy function would lose: use x.detach\(\) or x.data"):
        np.asarray(x)


def test_a_numpy_array_on_the_left_asks_the_tensor():
    x = md.Tensor(np.ones(2), requires_grad=True)
    for y in (np.ones(2) * x, np.ones(2) + x, np.ones(2) - x, np.ones(2) / x, np.eye(2) @ x):
        assert isinstance(y, md.Tensor) and y.requires_grad
    assert isinstance(np.ones(2) < x, md.Tensor)


def test_iteration_and_indexing_are_recorded():
    x = md.Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    a, b, c = x
    (a * 2 + c).sum().backward()
    np.testing.assert_array_equal(x.grad, [[2, 2], [0, 0], [1, 1]])


def test_a_tensor_as_index():
    x = md.Tensor(np.arange(4.0))
    np.testing.assert_array_equal(x[md.Tensor([2, 2])].data, [2, 2])
    np.testing.assert_array_equal(x[x > 1].data, [2, 3])


OPERATORS = [
    lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y, lambda x, y: 2 + x, lambda x, y: 2 - x,
    lambda x, y: 2 * x,
    lambda x, y: 2 / x, lambda x, y: x**2, lambda x, y: -x, lambda x, y: abs(x), lambda x, y: x @ y.T, lambda x, y: x == y,
    lambda x, y: x != y, lambda x, y: x < y, lambda x, y: x <= y, lambda x, y: x > y, lambda x, y: x >= y, lambda x, y: x[1:, ::2],
    lambda x, y: x.sum(), lambda x, y: x.sum(axis=0, keepdims=True), lambda x, y: x.mean(1), lambda x, y: x.var(),
    lambda x, y: x.std(axis=1),
    lambda x, y: x.max(axis=(0, 1)), lambda x, y: x.min(), lambda x, y: x.argmax(), lambda x, y: x.argmax(1), lambda x, y: x.reshape(3, 2),
    lambda x, y: x.reshape((6,)), lambda x, y: x.reshape(-1), lambda x, y: x.T, lambda x, y: x.transpose(), lambda x, y: x.transpose(1, 0),
    lambda x, y: x.transpose((1, 0)), lambda x, y: x.swapaxes(0, 1), lambda x, y: x[:, None].squeeze(), lambda x, y: x[None].squeeze(0),
    lambda x, y: x.clip(0.3, 0.6), lambda x, y: x.clip(max=0.4), lambda x, y: x.astype("float32"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(OPERATORS)))
def test_operators_and_methods_do_what_numpys_do(number):
    rng = md.RNG(0)
    x, y = rng.uniform((2, 3), np.float64), rng.uniform((2, 3), np.float64)
    expected = OPERATORS[number](x, y)
    found = OPERATORS[number](md.Tensor(x), md.Tensor(y))
    assert isinstance(found, md.Tensor) and found.shape == np.shape(expected) and found.dtype == expected.dtype
    np.testing.assert_allclose(found.data, expected)


@pytest.mark.parametrize("name", ["exp", "log", "sqrt"])
def test_elementary_functions_as_methods(name):
    x = np.array([0.5, 2.0])
    np.testing.assert_array_equal(getattr(md.Tensor(x), name)().data, getattr(np, name)(x))


# -- changing it ------------------------------------------------------------------------------------------------------------------------


def test_setitem_takes_tensors_and_numbers():
    x = md.Tensor(np.zeros(3))
    x[1:] = md.Tensor([1.0, 2.0])
    x[md.Tensor([0])] = 7
    np.testing.assert_array_equal(x.data, [7, 1, 2])


def test_assign_wants_the_same_shape_and_dtype():
    x = md.Tensor(np.zeros(3))
    x.assign(np.ones(3))
    assert x.data[0] == 1
    with pytest.raises(ValueError, match=r"assign: wanted float64 \(3,\), got float64 \(2,\)"):
        x.assign(np.ones(2))
    with pytest.raises(ValueError, match=r"assign: wanted float64 \(3,\), got float32 \(3,\)"):
        x.assign(np.ones(3, np.float32))


def test_astype_goes_both_ways_and_brings_the_gradient_back():
    x = md.Tensor([1.0, 2.0], requires_grad=True)
    y = x.astype(np.float64)
    assert y.dtype == np.float64
    (y * y).backward(np.ones(2))
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, [2, 4])
    assert not x.astype(int).requires_grad


def test_tensors_are_compared_element_by_element_and_hashed_by_identity():
    x, y = md.Tensor([1.0, 2.0]), md.Tensor([1.0, 3.0])
    np.testing.assert_array_equal((x == y).data, [True, False])
    assert len({x, y, x}) == 2


def test_shape_errors_of_operators_name_both_shapes():
    with pytest.raises(ValueError, match=r"add: shapes \(2,\) and \(3,\) do not broadcast"):
        md.Tensor([1.0, 2.0]) + md.Tensor([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"matmul: the last size of x must equal the last but one of y, got shapes \(2, 3\) and \(2, 3\)"):
        md.Tensor(np.ones((2, 3))) @ md.Tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"power: shapes \(2,\) and \(3,\) do not broadcast"):
        F.power(md.Tensor([1.0, 2.0]), np.ones(3, "f"))
