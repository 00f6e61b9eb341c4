"""What operations and Tensors take: arrays of plain numbers. Everything else is refused at the call, with the argument's name."""

import copy

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff import nn

X = md.Tensor([1.0, 2.0], requires_grad=True)
IMAGE = np.ones((1, 1, 3, 3), "f")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: X + 1j, "add: y must be a Tensor, an array or numbers, got 1j"),
        (lambda: X * np.complex64(1), "multiply: y must be numbers, got dtype complex64"),
        (lambda: X * np.array([1, 2], ">f4"), "multiply: y must be in this machine's byte order, got dtype '>f4': use x.astype('float32')"),
        (lambda: md.Tensor(np.ones(2, ">i4")), "Tensor: data must be in this machine's byte order, got dtype '>i4': use x.astype('int32')"),
        (lambda: md.Tensor(X, dtype=">f4"), "Tensor: dtype must be in this machine's byte order, got dtype '>f4': use x.astype('float32')"),
        (lambda: md.Tensor(np.ma.array([1.0, 2.0], mask=[0, 1])), "Tensor: data must be a plain array, got a MaskedArray"),
        (lambda: F.exp(np.ma.array([1.0])), "exp: x must be a plain array, got a MaskedArray, which is more than its numbers: use x.filled"),
        (lambda: X * "a", "multiply: y must be a Tensor, an array or numbers, got 'a'"),
        (lambda: F.exp(None), "exp: x must be a Tensor, an array or numbers, got None"),
        (lambda: F.linear(IMAGE, {}), "linear: weight must be a Tensor, an array or numbers, got dict"),
        (lambda: F.add([X, X], 1), "add: x must be one Tensor, got a list of them: stack them"),
        (lambda: F.concatenate(X), "concatenate: tensors must be a list of Tensors, got ndarray"),
        (lambda: F.stack(x for x in [X]), "stack: tensors must be a list of Tensors, got generator"),
        (lambda: F.stack([X, None]), "stack: tensors[1] must be a Tensor, an array or numbers, got None"),
        (lambda: X.astype(np.float16) * X, "multiply: float16 and float32 do not mix: convert one of them, such as x.astype(np.float32)"),
        (lambda: F.linear(IMAGE.astype("d"), np.ones((3, 3), "f"), np.ones(3, "f")), "linear: weight and x must have one dtype, got float32 and float64"),
        (lambda: np.mean(X), "np.mean of a Tensor that requires a gradient would lose it: use x.mean(), "),
        (lambda: np.stack([X, X]), "np.stack of a Tensor that requires a gradient would lose it"),
        (lambda: F.softmax(X, 0, axis=0), "softmax() got 'axis' twice"),
        (lambda: X.sum(np.array(0.5)), "sum: axis must be an int, got array(0.5)"),
        (lambda: copy.deepcopy(X * 2), "a result of multiply can't be copied or pickled, because its graph can't: only leaves can"),
    ],
)  # fmt: skip
def test_what_is_refused(call, message):
    with pytest.raises(TypeError) as error:
        call()
    assert message in str(error.value)


@pytest.mark.parametrize("other", [np.arange(2), np.int64(2)], ids=["array", "scalar"])
def test_integers_that_would_make_float64_are_called_by_their_name(other):
    with pytest.raises(TypeError, match=r"float32 would become float64, because one argument is int64 \("):
        X * other


def test_rows_of_two_lengths():
    with pytest.raises(ValueError, match=r"exp: x must be numbers in rows of one length, got \[\[1\], \[2, 3\]\]"):
        F.exp([[1], [2, 3]])


def test_numbers_and_lists_alone_become_tensors():
    for y, value in ((F.add(2.0, 3.0), 5), (F.exp(0), 1), (F.sum([1.0, 2.0]), 3), (F.sqrt([4]), 2), (F.maximum(1, [0.5, 0.0]), 1)):
        assert isinstance(y, md.Tensor)
        np.testing.assert_array_equal(y.data, np.full(y.shape, value))
    assert F.add(2.0, 3.0).dtype == F.sum([1.0]).dtype == np.float32 and F.add(2, 3).dtype == np.int64
    for dtype in (np.float16, np.float32, np.float64):
        assert (X.astype(dtype) * [1, 2]).dtype == (X.astype(dtype) * [1.5, 2]).dtype == dtype
    assert F.embedding([0, 1], np.ones((2, 3), "f")).shape == (2, 3)
    np.testing.assert_array_equal(nn.Identity()(F.where(1, X, 0.0)).data, X.data)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_and_a_memory_map_become_plain_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "x", "f", "w+", shape=(2, 2))
    for array in (np.matrix([[1.0, 2.0], [3.0, 4.0]], "f"), mapped):
        x = md.Tensor(array, requires_grad=True)
        (x * array).sum().backward()
        assert type(x.data) is type(x.grad) is np.ndarray
        np.testing.assert_array_equal(x.grad, array)


def test_options_that_are_numbers_of_numpy_do_not_make_float64():
    x, eps = md.Tensor(np.ones((2, 4, 3), "f"), requires_grad=True), np.float64(1e-5)
    for y in (F.layer_norm(x, 3, eps=eps), F.group_norm(x, np.int64(2), None, None, eps), F.dropout(x, np.float64(0.3), md.RNG(0)), F.attention(x, x, x, scale=eps)):
        assert y.dtype == np.float32
    assert F.pad(x, (np.int64(1), 0), value=np.float64(2)).dtype == np.float32


def test_a_tensor_of_another_library_is_told_the_way_in():
    torch = pytest.importorskip("torch", reason="needs the compare extra")
    for call in (lambda: X + torch.ones(2), lambda: torch.ones(2) + X, lambda: F.exp(torch.ones(2))):
        with pytest.raises(TypeError, match=r"must be a Tensor, an array or numbers, got a torch.Tensor: use minidiff.from_dlpack\(x\)"):
            call()


def test_comparing_with_none_and_text():
    assert (X == None) is False and (X != None) is True and (X == "a") is False  # noqa: E711


def test_functions_of_numpy_take_tensors_without_gradients():
    x = X.detach()
    np.testing.assert_array_equal(np.stack([x, x]), [[1, 2], [1, 2]])
    assert np.mean(x) == 1.5 and np.shape(X) == (2,) and np.allclose(x, x)


@pytest.mark.parametrize("name", ["mean", "max", "softmax", "sum", "var"])
def test_float16_counts_more_than_its_largest_number(name):
    """As PyTorch: 70,000 equal values."""
    x = md.Tensor(np.ones(70_000, np.float16), requires_grad=True)
    y = getattr(F, name)(x * np.float16(1 / 70_000)) if name == "sum" else getattr(F, name)(x)
    weights = np.ones(y.shape, np.float16)
    if name == "softmax":
        weights[::2] = 0
    gradient = md.gradients(y, [x], weights)[0]
    assert y.dtype == gradient.dtype == np.float16
    expected = {"mean": (1, 1 / 70_000), "max": (1, 1 / 70_000), "softmax": (1 / 70_000, 0), "sum": (1, 1 / 70_000), "var": (0, 0)}[name]
    np.testing.assert_allclose(y.data, np.full(y.shape, expected[0]), rtol=0.01)
    np.testing.assert_allclose(gradient, np.full(70_000, expected[1]), rtol=0.01, atol=1e-5 if name == "softmax" else 0)


def test_operations_that_only_move_float16_still_make_views():
    x = np.zeros((2, 3), np.float16)
    for y in (F.getitem(x, 0), F.reshape(x, 6), F.transpose(x), F.squeeze(x), F.expand_dims(x, 0)):
        assert y.dtype == np.float16 and np.shares_memory(y.data, x)


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "swish", "erfc", "gelu", "mean", "divide"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64"])
def test_integers_become_numbers_with_a_fraction_in_full_precision(name, dtype):
    """NumPy makes float16 of booleans and bytes: exp(True) would be 2.719. erfc must not come back as integers."""
    x = np.array([1, 0, 1], dtype) + np.array([0, 1, 1], dtype)
    arguments = (x, x) if name == "divide" else (x,)
    y = getattr(F, name)(*arguments)
    assert y.dtype in (np.float32, np.float64)
    np.testing.assert_allclose(y.data, getattr(F, name)(*(a.astype(np.float64) for a in arguments)).data, rtol=1e-6)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: F.mse_loss(x, x), "mse_loss: prediction must be floating-point, got int64"),
        (lambda x: F.dropout(x, 0.3, md.RNG(0)), "dropout: x must be floating-point, got int64"),
        (F.softmax, "softmax: x must be floating-point, got int64"),
        (F.log_softmax, "log_softmax: x must be floating-point, got int64"),
        (F.logsumexp, "logsumexp: x must be floating-point, got int64"),
        (lambda x: F.cross_entropy(x, [0, 1]), "cross_entropy: logits must be floating-point, got int64"),
        (lambda x: F.pad(x, (1, 1), value=0.5), "pad: x is int64 and can't hold value 0.5"),
        (lambda x: F.pad(x, (1, 1), value=-np.inf), "pad: x is int64 and can't hold value -inf"),
        (lambda x: F.linear(x, x), "linear: x must be floating-point, got int64"),
        (lambda x: F.max_pool2d(x[None, None], 2, padding=1), "max_pool2d: with padding, x must be floating-point, got int64"),
    ],
)
def test_integers_that_would_lose_a_fraction_are_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call(np.ones((2, 2), np.int64))
