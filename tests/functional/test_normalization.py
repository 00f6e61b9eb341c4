import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff.kernels.cpu import group_norm as chunked

SHAPES = [((4, 8, 7, 9), 2), ((3, 6, 5, 5), 6), ((2, 32, 9, 9), 8), ((5, 12), 3), ((2, 6, 11), 1), ((2, 4, 3, 5, 6), 2), ((9, 8, 7, 7), 8)]


def as_defined(x, groups, weight, bias, eps=1e-5):
    """Group by group, in float64."""
    y = np.empty(x.shape)
    for n in range(x.shape[0]):
        for channels in np.split(np.arange(x.shape[1]), groups):
            values = x[n, channels].astype(np.float64)
            y[n, channels] = (values - values.mean()) / np.sqrt(values.var() + eps)
    per_channel = (1, -1) + (1,) * (x.ndim - 2)
    return y * weight.reshape(per_channel) + bias.reshape(per_channel)


def drawn(shape, channels):
    return md.RNG(0).normal(shape) * 2 + 3, 1 + 0.5 * md.RNG(1).normal((channels,)), md.RNG(2).normal((channels,))


@pytest.mark.parametrize("kernels", ["reference", "auto"])
@pytest.mark.parametrize("shape, groups", SHAPES)
def test_group_norm_is_what_the_formula_says_of_each_group(shape, groups, kernels):
    x, weight, bias = drawn(shape, shape[1])
    z = as_defined(x, groups, weight, bias)
    with md.use_kernels(kernels):
        np.testing.assert_allclose(F.group_norm(x, groups, weight, bias).data, z, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(F.group_norm_swish(x, groups, weight, bias).data, z / (1 + np.exp(-z)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape, groups", SHAPES)
@pytest.mark.parametrize("parameters", ["both", "weight", "none"])
@pytest.mark.parametrize("swish", [False, True])
def test_group_norm_is_torchs(shape, groups, parameters, swish):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    from support.against_torch import compare

    arrays = drawn(shape, shape[1])[: {"both": 3, "weight": 2, "none": 1}[parameters]]
    ours = F.group_norm_swish if swish else F.group_norm

    def theirs(x, weight=None, bias=None):
        z = torch.nn.functional.group_norm(x, groups, weight, bias)
        return torch.nn.functional.silu(z) if swish else z

    compare(lambda x, *parameters: ours(x, groups, *parameters), theirs, arrays)


@pytest.mark.parametrize("kernels", ["reference", "auto"])
@pytest.mark.parametrize("operation", [F.group_norm, F.group_norm_swish])
def test_a_large_mean_does_not_drown_the_deviations(operation, kernels):
    x = md.RNG(0).normal((2, 8, 16, 16))
    exact = operation(x.astype(np.float64), 4).data
    with md.use_kernels(kernels):
        y = operation(x + np.float32(1000), 4).data
    assert np.abs(y - exact).max() < 1e-3  # float32 numbers near 1000 are 6e-5 apart


@pytest.mark.parametrize("operation", [chunked.group_norm, chunked.group_norm_swish])
def test_memory_order_and_the_cut_into_chunks_do_not_matter(operation, monkeypatch):
    x, weight, bias = drawn((7, 8, 6, 5), 8)
    dy = md.RNG(3).normal(x.shape)

    def results(array, dy):
        y, backward = operation(array, 4, weight, bias)
        return [y, *(g for g in backward(dy) if g is not None)]

    expected = results(x, dy)
    last, dy_last = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for a in (x, dy))
    for chunk, arrays in ((2**16, (last, dy_last)), (1, (x, dy)), (600, (last, dy))):
        monkeypatch.setattr(chunked, "CHUNK", chunk)
        for ours, right in zip(results(*arrays), expected, strict=True):
            np.testing.assert_allclose(ours, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("operation", [F.group_norm, F.group_norm_swish])
def test_a_second_backward_pass_gives_the_same(operation):
    x, weight, bias = (md.Tensor(a, requires_grad=True) for a in drawn((2, 4, 3, 3), 4))
    y = operation(x, 2, weight, bias)
    first = md.gradients(y, [x, weight, bias], np.ones_like(y.data), retain_graph=True)
    for a, b in zip(md.gradients(y, [x, weight, bias], np.ones_like(y.data)), first, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kernels", ["reference", "auto"])
def test_no_images(kernels):
    with md.use_kernels(kernels):
        assert F.group_norm_swish(np.zeros((0, 4, 3, 3), np.float32), 2).shape == (0, 4, 3, 3)


@pytest.mark.parametrize("shape, normalized", [((3, 5, 6), 6), ((3, 5, 6), (5, 6)), ((4, 3), (4, 3)), ((2, 1, 8), 8)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_layer_norm_is_torchs(shape, normalized, count):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    from support.against_torch import compare

    size = (normalized,) if isinstance(normalized, int) else normalized
    arrays = (md.RNG(0).normal(shape) + 1, md.RNG(1).normal(size), md.RNG(2).normal(size))[:count]
    compare(lambda x, *p: F.layer_norm(x, normalized, *p), lambda x, *p: torch.nn.functional.layer_norm(x, size, *p), arrays)


X = np.ones((2, 6, 4, 4), np.float32)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.group_norm(X, 4), r"^group_norm: x has C = 6, which num_groups = 4 must divide$"),
        (lambda: F.group_norm(X, 0), r"^group_norm: x has C = 6, which num_groups = 0 must divide$"),
        (lambda: F.group_norm_swish(X, 2.0), r"^group_norm_swish: x has C = 6, which num_groups = 2.0 must divide$"),
        (lambda: F.group_norm(X[0, 0, 0], 1), r"^group_norm: x must be \(N, C, ...\), got shape \(4,\)$"),
        (lambda: F.group_norm(X, 2, X[0, 0, 0]), r"^group_norm: weight must have shape \(6,\), got \(4,\)$"),
        (lambda: F.group_norm_swish(X, 2, None, X[0]), r"^group_norm_swish: bias must have shape \(6,\), got \(6, 4, 4\)$"),
        (lambda: F.layer_norm(X, 5), r"^layer_norm: x must end in normalized_shape = \(5,\), sizes >= 1, got shape \(2, 6, 4, 4\)$"),
        (lambda: F.layer_norm(X, ()), r"^layer_norm: x must end in normalized_shape = \(\), sizes >= 1, got shape"),
        (lambda: F.layer_norm(X, (4, 4), X[0, 0, 0]), r"^layer_norm: weight must have shape \(4, 4\), got \(4,\)$"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.group_norm(X.astype(int), 2), r"^group_norm: x must be floating-point, got int64$"),
        (lambda: F.layer_norm(X.astype(int), 4), r"^layer_norm: x must be floating-point, got int64$"),
        (lambda: F.group_norm_swish(X, 2, np.ones(6)), r"^group_norm_swish: weight and x must have one dtype, got float64 and float32$"),
        (lambda: F.layer_norm(X, 4, None, np.ones(4)), r"^layer_norm: bias and x must have one dtype, got float64 and float32$"),
    ],
)
def test_dtypes_are_not_mixed(call, message):
    with pytest.raises(TypeError, match=message):
        call()
