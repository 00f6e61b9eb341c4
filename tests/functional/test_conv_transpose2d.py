import itertools

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff.kernels.cpu.conv_transpose2d import im2col as im2col_entry


def conv_transpose2d_as_loops(x, weight, stride, padding, dilation, output_padding):
    """The definition: each input number adds its kernel to the output around it. In float64, without groups; all sizes as pairs."""
    N, C, H, W = x.shape
    _, channels_out, rows, cols = weight.shape
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip((H, W), stride, padding, dilation, (rows, cols), output_padding, strict=True)
    ]
    y = np.zeros((N, channels_out, *size))
    for n, c, a, b, o, u, v in np.ndindex(N, C, H, W, channels_out, rows, cols):
        i, j = a * stride[0] + u * dilation[0] - padding[0], b * stride[1] + v * dilation[1] - padding[1]
        if 0 <= i < size[0] and 0 <= j < size[1]:
            y[n, o, i, j] += float(weight[c, o, u, v]) * float(x[n, c, a, b])
    return y


@pytest.mark.parametrize(
    "kernel, stride, padding, dilation, output_padding",
    [
        ((4, 4), (2, 2), (1, 1), (1, 1), (0, 0)),
        ((3, 3), (1, 1), (1, 1), (1, 1), (0, 0)),
        ((3, 2), (3, 2), (0, 1), (1, 1), (2, 1)),
        ((1, 2), (2, 3), (0, 0), (1, 1), (0, 0)),
        ((3, 3), (2, 4), (1, 2), (2, 3), (1, 3)),
    ],
)
@pytest.mark.parametrize("kernels", ["reference", "auto"])
def test_it_is_the_sum_that_defines_it(kernel, stride, padding, dilation, output_padding, kernels):
    x, weight = md.RNG(0).normal((2, 3, 3, 4)), md.RNG(1).normal((3, 2, *kernel))
    expected = conv_transpose2d_as_loops(x, weight, stride, padding, dilation, output_padding)
    with md.use_kernels(kernels):
        y = F.conv_transpose2d(x, weight, None, stride, padding, output_padding, 1, dilation)
    np.testing.assert_allclose(y.data, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size, kernel", list(itertools.product([(7, 9), (4, 4), (1, 1)], [(3, 3), (1, 1), (4, 4), (4, 2)])))
def test_result_and_gradients_are_torchs(size, kernel):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    from support.against_torch import compare

    fitting = 0
    for stride, padding, extra, dilation, groups in itertools.product([1, 2, (3, 2)], [0, 1, (2, 0)], [0, 1], [1, (1, 3)], [1, 2]):
        s, p, d = (v if isinstance(v, tuple) else (v, v) for v in (stride, padding, dilation))
        sizes = [(n - 1) * a - 2 * b + c * (k - 1) + extra + 1 for n, a, b, c, k in zip(size, s, p, d, kernel, strict=True)]
        if min(sizes) < 1 or any(extra >= max(a, c) for a, c in zip(s, d, strict=True)):
            continue
        fitting += 1
        arrays = md.RNG(0).normal((3, 4, *size)), md.RNG(1).normal((4, 6 // groups, *kernel)), md.RNG(2).normal((6,))
        options = {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups, "dilation": dilation}
        compare(lambda *a: F.conv_transpose2d(*a, **options), lambda *a: torch.nn.functional.conv_transpose2d(*a, **options), arrays)  # noqa: B023
    assert fitting > 4


@pytest.mark.parametrize("stride, padding, dilation", [(1, 0, 1), (2, 1, 1), ((2, 3), (0, 1), (3, 1))])
def test_it_is_the_transpose_of_conv2d(stride, padding, dilation):
    """<conv2d(x, w), y> = <x, conv_transpose2d(y, w)> for all x and y, in float64."""
    x, weight = md.RNG(0).normal((2, 3, 9, 10), dtype=np.float64), md.RNG(1).normal((4, 3, 3, 2), dtype=np.float64)
    forward = F.conv2d(x, weight, None, stride, padding, dilation).data
    y = md.RNG(2).normal(forward.shape, dtype=np.float64)
    s, p, d = (v if isinstance(v, tuple) else (v, v) for v in (stride, padding, dilation))
    remainder = [(n + 2 * b - c * (k - 1) - 1) % a for n, a, b, c, k in zip(x.shape[2:], s, p, d, (3, 2), strict=True)]
    back = F.conv_transpose2d(y, weight, None, stride, padding, tuple(remainder), 1, dilation).data
    assert back.shape == x.shape
    assert abs((forward * y).sum() - (x * back).sum()) <= 1e-12 * np.abs(forward * y).sum()


@pytest.mark.parametrize("wanted", list(itertools.product([True, False], repeat=3)))
def test_only_the_wanted_gradients_are_computed(wanted):
    x, weight, bias = md.RNG(0).normal((2, 2, 3, 3)), md.RNG(1).normal((2, 3, 4, 4)), md.RNG(2).normal((3,))
    y, backward = im2col_entry(x, weight, bias, 2, 1)
    every = backward(y, (True,) * 8)
    for want, gradient, expected in zip(wanted, backward(y, (*wanted, *[False] * 5)), every, strict=True):
        if want:
            np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)
        else:
            assert gradient is None


X, WEIGHT = np.ones((1, 3, 5, 5), np.float32), np.ones((3, 4, 3, 3), np.float32)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.conv_transpose2d(X, WEIGHT[:2]), r"^conv_transpose2d: x has C = 3 but weight wants C = 2$"),
        (lambda: F.conv_transpose2d(X, WEIGHT, groups=2), r"^conv_transpose2d: weight.shape\[0\] = 3 must be a multiple of groups = 2$"),
        (lambda: F.conv_transpose2d(X, WEIGHT[0]), r"^conv_transpose2d: weight must be \(C, O / groups, rows, columns\), got shape"),
        (lambda: F.conv_transpose2d(X, WEIGHT, X[0, 0, 0]), r"^conv_transpose2d: bias must have shape \(4,\), .* got \(5,\)$"),
        (lambda: F.conv_transpose2d(X, WEIGHT, output_padding=1), r"^conv_transpose2d: output_padding must be smaller than stride or dil"),
        (lambda: F.conv_transpose2d(X, WEIGHT, output_padding=-1), r"^conv_transpose2d: output_padding must be an int >= 0 or a pair"),
        (lambda: F.conv_transpose2d(X, WEIGHT, padding=4), r"^conv_transpose2d: padding 4 leaves -1x-1 pixels of x with shape"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_dtypes_are_not_mixed():
    with pytest.raises(TypeError, match=r"^conv_transpose2d: weight and x must have one dtype, got float64 and float32$"):
        F.conv_transpose2d(X, WEIGHT.astype(np.float64))
