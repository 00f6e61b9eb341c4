import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F

X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "ours, expected",
    [
        (lambda x: F.reshape(x, (4, -1)), lambda x: x.reshape(4, -1)),
        (lambda x: F.transpose(x, (-1, 0, 1)), lambda x: x.transpose(2, 0, 1)),
        (lambda x: F.swapaxes(x, -1, 0), lambda x: x.swapaxes(-1, 0)),
        (lambda x: F.expand_dims(x, -1), lambda x: x[..., None]),
        (lambda x: F.expand_dims(x, 1), lambda x: x[:, None]),
        (lambda x: F.squeeze(x[:, None]), lambda x: x),
        (lambda x: F.broadcast_to(x, (5, 2, 3, 4)), lambda x: np.broadcast_to(x, (5, 2, 3, 4))),
        (lambda x: F.concatenate([x, 2 * x], axis=-2), lambda x: np.concatenate([x, 2 * x], axis=-2)),
        (lambda x: F.stack([x, 2 * x], axis=-1), lambda x: np.stack([x, 2 * x], axis=-1)),
        (lambda x: x[1, ..., ::2], lambda x: x[1, ..., ::2]),
        (lambda x: x[:, [2, 0, 0]], lambda x: x[:, [2, 0, 0]]),
        (lambda x: x[np.array([1, 0]), :, np.array([3, 3])], lambda x: x[[1, 0], :, [3, 3]]),
        (lambda x: x[x > 5], lambda x: x[x > 5]),
        (lambda x: x[True], lambda x: x[True]),
    ],
)
def test_it_is_numpys(ours, expected):
    result = ours(md.Tensor(X))
    np.testing.assert_array_equal(result.data, expected(X))
    assert result.shape == expected(X).shape


@pytest.mark.parametrize("widths", [(1, 2), (0, 1, 2, 0), (1, 1, 1, 1, 1, 1), ()], ids=str)
def test_pad_is_torchs(widths):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    expected = torch.nn.functional.pad(torch.tensor(X), widths, value=7.0)
    np.testing.assert_array_equal(F.pad(X, widths, value=7.0).data, expected.numpy())


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_pad_with_its_own_numbers_is_torchs(mode):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    image = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    expected = torch.nn.functional.pad(torch.tensor(image), (2, 1, 0, 2), mode)
    np.testing.assert_array_equal(F.pad(image, (2, 1, 0, 2), mode).data, expected.numpy())
    with pytest.raises(ValueError, match=f"pad: mode '{mode}' can't take .* from the 4 of axis 3"):
        F.pad(image, (5, 0), mode)
    with pytest.raises(ValueError, match="pad: mode must be constant, reflect, replicate, circular, got 'mirror'"):
        F.pad(image, (1, 0), "mirror")


def test_an_index_out_of_range_also_on_a_gpu(strict):
    """NumPy says so itself; CuPy would wrap round."""
    for array in (X, strict.asarray(X)):
        index = np.array([0, 2]) if array is X else strict.asarray([0, 2])
        with pytest.raises(IndexError):
            md.Tensor(array)[index]
    ints = strict.asarray([0, 3])
    x = md.Tensor(strict.asarray(X))
    with pytest.raises(IndexError, match=r"getitem: indices must be in -3..2, got 0..3"):
        x[:, ints]
    with pytest.raises(IndexError, match=r"getitem: indices must be in -2..1, got -3..0"):
        x[strict.asarray([0, -3])]
    with pytest.raises(IndexError, match=r"getitem: indices must be in -4..3, got 9..9"):
        x[..., strict.asarray([9])]
    np.testing.assert_array_equal(strict.asnumpy(x[..., None, ints].data), X[..., None, [0, 3]])


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.reshape(X, (5, -1)), ValueError, r"reshape: an array of shape \(2, 3, 4\) \(24 elements\) can't take shape \(5, -1\)"),
        (lambda: F.reshape(X, 24.0), TypeError, "reshape: shape must be ints, got 24.0"),
        (lambda: F.reshape(X, "24"), TypeError, "reshape: shape must be ints, got '24'"),
        (lambda: F.broadcast_to(X, (2.0, 3, 4)), TypeError, r"broadcast_to: shape must be ints, got \(2.0, 3, 4\)"),
        (lambda: F.pad(X, 1.0), TypeError, "pad: pad must be ints, got 1.0"),
        (lambda: F.transpose(X, (0, 1)), ValueError, r"transpose: axes must name each of the 3 axes of shape \(2, 3, 4\), got \(0, 1\)"),
        (lambda: F.transpose(X, (0, 1, 1)), ValueError, r"transpose: axis names an axis twice: \(0, 1, 1\)"),
        (lambda: F.transpose(X, (0, 1, 5)), ValueError, "transpose: axis must be in -3..2 for 3 axes, got 5"),
        (lambda: F.swapaxes(X, 0, 3), ValueError, "swapaxes: axis must be in -3..2 for 3 axes, got 3"),
        (lambda: F.squeeze(X, 1), ValueError, r"squeeze: only axes of size 1 can be left out, got axis 1 of shape \(2, 3, 4\)"),
        (lambda: F.expand_dims(X, 4), ValueError, "expand_dims: axis must be in -4..3 for 4 axes, got 4"),
        (lambda: F.broadcast_to(X, (3, 4)), ValueError, r"broadcast_to: shape \(2, 3, 4\) can't be repeated to \(3, 4\)"),
        (lambda: F.concatenate([]), ValueError, "concatenate: wanted at least one tensor, got none"),
        (lambda: F.concatenate([X, X[0]]), ValueError, r"concatenate: tensor 1 has shape \(3, 4\), which differs from \(2, 3, 4\)"),
        (lambda: F.concatenate([X, X[:, :2]]), ValueError, r"tensor 1 has shape \(2, 2, 4\), which .* elsewhere than on axis 0"),
        (lambda: F.concatenate([X], 3), ValueError, "concatenate: axis must be in -3..2 for 3 axes, got 3"),
        (lambda: F.stack([X, X[:1]]), ValueError, r"stack: wanted .* all of one shape, got shapes \[\(2, 3, 4\), \(1, 3, 4\)\]"),
        (lambda: F.stack([]), ValueError, r"stack: wanted at least one tensor, all of one shape, got shapes \[\]"),
        (lambda: F.stack([X], 4), ValueError, "stack: axis must be in -4..3 for 4 axes, got 4"),
        (lambda: F.pad(X, (1,)), ValueError, r"pad: wanted at most 3 pairs \(before, after\) of ints >= 0, last axis first, got \(1,\)"),
        (lambda: F.pad(X, (1, -1)), ValueError, r"pad: wanted at most 3 pairs .* got \(1, -1\)"),
        (lambda: F.pad(X[0, 0], (1, 1, 1, 1)), ValueError, r"pad: wanted at most 1 pairs .* got \(1, 1, 1, 1\)"),
    ],
)  # fmt: skip
def test_what_it_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()
