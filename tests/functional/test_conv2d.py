import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff.kernels.cpu import im2col, winograd
from minidiff.kernels.cpu.conv2d import im2col as im2col_entry

SIZES = [(7, 9), (8, 8), (1, 1)]
KERNELS = [(3, 3), (1, 1), (4, 2)]
every_way = pytest.mark.parametrize("kernels", ["reference", "auto"])


def conv2d_as_loops(x, weight, bias, stride, padding, dilation, groups):
    """The definition, one output number at a time, in float64. All three as pairs."""
    N, C, H, W = x.shape
    channels_out, in_group, rows, cols = weight.shape
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip((H, W), padding, dilation, (rows, cols), stride, strict=True)]
    y = np.zeros((N, channels_out, *size))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = 0 if bias is None else bias[o]
        first = o // (channels_out // groups) * in_group  # of the channels that output channel o sees
        for c, u, v in np.ndindex(in_group, rows, cols):
            a, b = i * stride[0] + u * dilation[0] - padding[0], j * stride[1] + v * dilation[1] - padding[1]
            if 0 <= a < H and 0 <= b < W:
                y[n, o, i, j] += float(weight[o, c, u, v]) * float(x[n, first + c, a, b])
    return y


def conv2d_as_einsum(x, weight, padding):
    """The definition as one sum over all windows, for stride 1."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))  # n c i j u v
    return np.einsum("ncijuv,ocuv->noij", windows, weight)


@pytest.mark.parametrize(
    "size, kernel, stride, padding, dilation, groups",
    [
        ((5, 6), (3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((5, 6), (3, 2), (2, 1), (0, 2), (1, 1), 1),
        ((7, 5), (2, 3), (1, 2), (1, 3), (3, 2), 2),
        ((4, 4), (1, 1), (2, 2), (0, 0), (1, 1), 4),
        ((1, 2), (3, 3), (1, 1), (1, 1), (1, 1), 2),
    ],
)
@every_way
def test_it_is_the_sum_that_defines_it(size, kernel, stride, padding, dilation, groups, kernels):
    x, weight, bias = md.RNG(0).normal((2, 4, *size)), md.RNG(1).normal((8, 4 // groups, *kernel)), md.RNG(2).normal((8,))
    expected = conv2d_as_loops(x, weight, bias, stride, padding, dilation, groups)
    with md.use_kernels(kernels):
        y = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    np.testing.assert_allclose(y.data, expected, rtol=1e-5, atol=1e-5)


@every_way
def test_the_3x3_of_a_unet_is_one_sum_over_all_windows(kernels):
    """Enough channels for Winograd's algorithm."""
    x, weight = md.RNG(0).normal((3, 16, 6, 7)), md.RNG(1).normal((16, 16, 3, 3))
    with md.use_kernels(kernels):
        y = F.conv2d(x, weight, padding=1)
    np.testing.assert_allclose(y.data, conv2d_as_einsum(x, weight, 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size, kernel", list(itertools.product(SIZES, KERNELS)))
def test_result_and_gradients_are_torchs(size, kernel):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    from support.against_torch import compare

    fitting = 0
    for stride, padding, dilation, groups in itertools.product([1, 2, (3, 2)], [0, 1, (2, 3)], [1, 2, (1, 3)], [1, 2]):
        pairs = [v if isinstance(v, tuple) else (v, v) for v in (padding, dilation)]
        if any(n + 2 * p < d * (k - 1) + 1 for n, p, d, k in zip(size, *pairs, kernel, strict=True)):
            continue
        fitting += 1
        arrays = md.RNG(0).normal((3, 4, *size)), md.RNG(1).normal((6, 4 // groups, *kernel)), md.RNG(2).normal((6,))
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        compare(lambda *a: F.conv2d(*a, **options), lambda *a: torch.nn.functional.conv2d(*a, **options), arrays)  # noqa: B023
    assert fitting > 4


@pytest.mark.parametrize(
    "n, size, c_in, c_out, padding",
    [
        (5, (8, 8), 16, 32, 1), (3, (7, 9), 32, 16, 1), (3, (1, 1), 16, 16, 1), (2, (3, 5), 16, 16, 2), (4, (7, 7), 48, 16, (0, 2)),
        (9, (14, 14), 64, 64, 1), (2, (28, 28), 32, 32, 1), (2, (2, 3), 16, 16, 3),
    ],
)  # fmt: skip
def test_winograd_is_torchs(n, size, c_in, c_out, padding):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    from support.against_torch import compare

    arrays = md.RNG(0).normal((n, c_in, *size)), md.RNG(1).normal((c_out, c_in, 3, 3)), md.RNG(2).normal((c_out,))
    compare(lambda *a: F.conv2d(*a, padding=padding), lambda *a: torch.nn.functional.conv2d(*a, padding=padding), arrays)


@pytest.mark.parametrize("channels, options", [(3, {"padding": 1}), (3, {"stride": 2}), (16, {"padding": 1})])
def test_memory_order_does_not_matter(channels, options):
    x, weight = md.RNG(0).normal((4, channels, 6, 6)), md.RNG(1).normal((channels, channels, 3, 3))
    expected = F.conv2d(x, weight, **options).data
    channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    backwards = x[:, ::-1, :, ::-1].copy()[:, ::-1, :, ::-1]
    weight_last = np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)
    for other_x, other_weight in ((channels_last, weight), (backwards, weight), (x, weight_last)):
        np.testing.assert_allclose(F.conv2d(other_x, other_weight, **options).data, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("channels, stride", [(3, 1), (3, 2), (16, 1)])
def test_the_cut_into_chunks_does_not_matter(channels, stride, monkeypatch):
    x = md.Tensor(md.RNG(0).normal((7, channels, 6, 5)), requires_grad=True)
    weight = md.Tensor(md.RNG(1).normal((channels, channels, 3, 3)), requires_grad=True)

    def results():
        y = F.conv2d(x, weight, stride=stride, padding=1)
        return [y.data, *md.gradients(y, [x, weight], np.ones_like(y.data))]

    whole = results()
    for chunk in (1, 2000, 20_000):
        monkeypatch.setattr(im2col, "CHUNK", chunk)
        monkeypatch.setattr(winograd, "CHUNK", chunk)
        monkeypatch.setattr(winograd, "ROWS", 1)
        for ours, expected in zip(results(), whole, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_threads_do_not_share_scratch_memory():
    def job(seed):
        x = md.Tensor(md.RNG(seed).normal((4, 16, 12, 12)), requires_grad=True)
        weight = md.Tensor(md.RNG(seed + 1).normal((16, 16, 3, 3)), requires_grad=True)
        results = []
        for stride in (1, 2):
            y = F.conv2d(x, weight, stride=stride, padding=1)
            results += [y.data, *md.gradients(y, [x, weight], y.data)]
        return results

    alone = [job(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for ours, expected in zip(pool.map(job, range(4)), alone, strict=True):
                for a, b in zip(ours, expected, strict=True):
                    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("wanted", list(itertools.product([True, False], repeat=3)))
def test_only_the_wanted_gradients_are_computed(wanted):
    x, weight, bias = md.RNG(0).normal((2, 2, 5, 5)), md.RNG(1).normal((3, 2, 3, 3)), md.RNG(2).normal((3,))
    for stride in (1, 2):
        y, backward = im2col_entry(x, weight, bias, stride)
        every = backward(y, (True,) * 7)
        for want, gradient, expected in zip(wanted, backward(y, (*wanted, False, False, False, False)), every, strict=True):
            if want:
                np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)
            else:
                assert gradient is None


@every_way
def test_no_images(kernels):
    with md.use_kernels(kernels):
        y = F.conv2d(np.zeros((0, 3, 5, 5), np.float32), np.zeros((4, 3, 3, 3), np.float32), padding=1)
    assert y.shape == (0, 4, 5, 5)


X, WEIGHT = np.ones((1, 3, 5, 5), np.float32), np.ones((4, 3, 3, 3), np.float32)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.conv2d(X, WEIGHT[:, :2]), r"^conv2d: x has C = 3 but weight wants C = 2 \* groups = 2$"),
        (lambda: F.conv2d(X, WEIGHT[:, :1], groups=2), r"^conv2d: x has C = 3 but weight wants C = 1 \* groups = 2$"),
        (lambda: F.conv2d(X, WEIGHT[:, :1], groups=3), r"^conv2d: weight.shape\[0\] = 4 must be a multiple of groups = 3$"),
        (lambda: F.conv2d(X, WEIGHT, groups=0), r"^conv2d: groups must be an int >= 1, got 0$"),
        (lambda: F.conv2d(X[0], WEIGHT), r"^conv2d: x must be \(N, C, H, W\), got shape \(3, 5, 5\)$"),
        (lambda: F.conv2d(X, WEIGHT[0]), r"^conv2d: weight must be \(O, C / groups, rows, columns\), got shape \(3, 3, 3\)$"),
        (lambda: F.conv2d(X, WEIGHT, X[0, 0, 0]), r"^conv2d: bias must have shape \(4,\), one number per output channel, got \(5,\)$"),
        (lambda: F.conv2d(X, WEIGHT, stride=0), r"^conv2d: stride must be an int >= 1 or a pair of them \(rows, columns\), got 0$"),
        (lambda: F.conv2d(X, WEIGHT, stride=(1, 1.0)), r"^conv2d: stride must be .* got \(1, 1.0\)$"),
        (lambda: F.conv2d(X, WEIGHT, padding=-1), r"^conv2d: padding must be an int >= 0 or a pair .* got -1$"),
        (lambda: F.conv2d(X, WEIGHT, padding="same"), r"^conv2d: padding must be .* got 'same'$"),
        (lambda: F.conv2d(X, WEIGHT, dilation=(1, 2, 3)), r"^conv2d: dilation must be .* got \(1, 2, 3\)$"),
        (lambda: F.conv2d(X[:, :, :2], WEIGHT), r"^conv2d: the window reaches over 3 pixels, but x has H = 2, with padding 2$"),
        (
            lambda: F.conv2d(X, WEIGHT, padding=(9, 1), dilation=4),
            r"^conv2d: the window reaches over 9 pixels, but x has W = 5, with padding 7$",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.conv2d(X.astype(int), WEIGHT), r"^conv2d: x must be floating-point, got int64$"),
        (lambda: F.conv2d(X, WEIGHT.astype(np.float64)), r"^conv2d: weight and x must have one dtype, got float64 and float32$"),
        (lambda: F.conv2d(X, WEIGHT, np.ones(4)), r"^conv2d: bias and x must have one dtype, got float64 and float32$"),
    ],
)
def test_dtypes_are_not_mixed(call, message):
    with pytest.raises(TypeError, match=message):
        call()
