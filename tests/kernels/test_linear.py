"""linear by the kernels of conv2d, against the reference."""

import numpy as np
import pytest

import minidiff
from minidiff import Tensor, functional, gradients, use_kernels

SHAPES = {  # x, out
    "rows": ((7, 5), 4),
    "one row": ((6,), 3),
    "tokens": ((2, 9, 8), 33),
    "heads": ((2, 3, 5, 4), 1),
    "one of each": ((1, 1), 1),
    "over a tile": ((65, 33), 65),
}


def inputs(device, shape, out):
    rng = np.random.default_rng(0)
    shapes = shape, (out, shape[-1]), (out,), (*shape[:-1], out)
    return [device.array(rng.standard_normal(s, dtype=np.float32)) for s in shapes]


@pytest.mark.parametrize("version", ["naive", "tiled", "fast"])
@pytest.mark.parametrize("case", SHAPES)
def test_forward_and_gradients_equal_the_reference(device, case, version):
    *arrays, dy = inputs(device, *SHAPES[case])
    x, weight, bias, d = (device.numpy(a).astype(np.float64) for a in (*arrays, dy))
    rows_x, rows_d = x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])
    wanted = x @ weight.T + bias, d @ weight, rows_d.T @ rows_x, rows_d.sum(0)
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    with use_kernels("strict", linear=version):
        result = functional.linear(*tensors)
        found = gradients(result, tensors, gradient=dy)
    for name, ours, want in zip(("y", "dx", "dweight", "dbias"), (result.data, *found), wanted, strict=True):
        ours = device.numpy(ours)
        assert ours.shape == want.shape and ours.dtype == np.float32, name
        assert np.abs(ours - want).max() <= 1e-5 * np.abs(want).max(), name
    assert device.margins_intact()


def test_tokens_that_are_a_view_of_images(device):
    """As in the U-Net: neither the transposed x nor the transposed dy has to be copied first by anybody."""
    images = device.array(np.random.default_rng(1).standard_normal((2, 6, 5), dtype=np.float32))
    weight = device.array(np.random.default_rng(2).standard_normal((4, 6), dtype=np.float32))
    tokens = images.swapaxes(1, 2)
    with use_kernels("strict", linear="fast"):
        y = functional.linear(tokens, weight).data
    wanted = device.numpy(tokens).astype(np.float64) @ device.numpy(weight).T
    assert np.abs(device.numpy(y) - wanted).max() <= 1e-5 * np.abs(wanted).max()
    assert y.swapaxes(1, 2).flags.c_contiguous  # asked of y itself: a copy on the host lies as NumPy likes


def test_only_the_gradients_that_are_wanted(device):
    x, weight, bias, dy = inputs(device, (7, 5), 4)
    tensor = Tensor(weight, requires_grad=True)
    with use_kernels("strict", linear="fast"):
        (dweight,) = gradients(functional.linear(x, tensor), [tensor], gradient=dy)
    wanted = device.numpy(dy).T @ device.numpy(x)
    assert np.abs(device.numpy(dweight) - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x, w, b: (x[:, :4], w, b), r"^linear: weight must be \(out, in\) .*, got x \(7, 4\) and weight \(4, 5\)"),
        (lambda x, w, b: (x, w, b[:3]), r"^linear: bias must have shape \(4,\), got \(3,\)"),
        (lambda x, w, b: (x, w[0]), r"^linear: weight must be \(out, in\) .*, got x \(7, 5\) and weight \(5,\)"),
        (lambda x, w, b: (x[:0], w, b), r"a size is 0: x \(0, 5\), weight \(4, 5\)"),
        (lambda x, w, b: (x.astype("float64"), w.astype("float64")), "x is float64, the kernels compute in float32"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_the_reason(device, change, message):
    arguments = change(*inputs(device, (7, 5), 4)[:3])
    with use_kernels("strict", linear="fast"), pytest.raises((RuntimeError, ValueError), match=message):
        functional.linear(*arguments)


def test_versions_are_registered_simplest_first():
    assert minidiff.kernel_versions("linear") == ["naive", "tiled", "tf32", "fast"]
