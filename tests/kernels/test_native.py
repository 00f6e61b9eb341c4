"""csrc/cpu in each variant that this processor runs, against the definitions in float64."""

import numpy as np
import pytest

from minidiff import functional as F
from minidiff import kernel_versions, use_kernels
from minidiff.engine.registry import Unsupported
from minidiff.kernels.cpu import (
    native,
    native_attention,
    native_conv2d,
    native_group_norm,
    native_naive,
)

MODULE, REASON = native.load()
pytestmark = pytest.mark.skipif(MODULE is None, reason=f"the native kernels: {REASON}")


@pytest.fixture(params=MODULE.variants() if MODULE else [])
def variant(request):
    before = MODULE.variant()
    MODULE.choose(request.param)
    yield request.param
    MODULE.choose(before)


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def assert_close(ours, exact, tolerance=1e-5):
    assert ours.dtype == np.float32 and ours.shape == exact.shape
    assert np.abs(ours - exact).max() <= tolerance * max(np.abs(exact).max(), 1e-30)


def gradients_of(backward, dy, count):
    wanted = (True,) * count
    return backward(dy, wanted) if backward.__code__.co_argcount == 2 else backward(dy)


def compare(kernel, definition, arrays, options, seed=1):
    """y and the gradients of the arrays, against the definition in float64."""
    y, backward = kernel(*arrays, *options)
    exact = [None if a is None else a.astype(np.float64) for a in arrays]
    exact_y, exact_backward = definition.reference(*exact, *options)
    assert_close(y, exact_y)
    (dy,) = draw(y.shape, seed=seed)
    ours = gradients_of(backward, dy, len(arrays))
    theirs = gradients_of(exact_backward, dy.astype(np.float64), len(arrays))
    for array, a, b in zip(arrays, ours, theirs, strict=False):
        if array is not None and b is not None:
            assert_close(a, b.reshape(array.shape) if b.size == array.size else b)


@pytest.mark.parametrize("C, groups, size", [
    (32, 8, (32, 32)), (16, 8, (28, 28)), (7, 7, (5, 3)), (12, 4, (3, 3)), (1, 1, (2, 1)), (24, 3, (1, 1)), (40, 8, (11, 13)), (6, 2, (4,)),
    (5, 1, ()),
])  # fmt: skip
@pytest.mark.parametrize("swish", [False, True])
def test_group_norm(variant, C, groups, size, swish):
    x, weight, bias = draw((3, C, *size), (C,), (C,))
    definition = F.group_norm_swish if swish else F.group_norm
    kernel = native_group_norm.group_norm_kernel(swish)
    for w, b in ((weight, bias), (weight, None), (None, bias), (None, None)):
        y, backward = kernel(x, groups, w, b)
        exact = definition.reference(*(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in (x, groups, w, b)))
        assert_close(y, exact[0])
        (dy,) = draw(x.shape, seed=2)
        ours, theirs = backward(dy), exact[1](dy.astype(np.float64))
        scale = np.abs(dy).max()  # dx is 0 in exact arithmetic where a group has one number
        assert np.abs(ours[0] - theirs[0]).max() <= 1e-5 * max(scale, np.abs(theirs[0]).max())
        for array, a, exact_gradient in ((w, ours[2], theirs[2]), (b, ours[3], theirs[3])):
            if array is None:
                assert a is None
            else:
                axes = tuple(i for i in range(exact_gradient.ndim) if i != 1) if exact_gradient.shape != array.shape else ()
                exact_gradient = exact_gradient.sum(axis=axes)
                assert np.abs(a - exact_gradient).max() <= 1e-5 * max(np.abs(exact_gradient).max(), scale)


@pytest.mark.parametrize("N, C, O, H, W, padding", [
    (2, 8, 8, 5, 7, 1), (3, 16, 32, 28, 28, 1), (1, 17, 9, 4, 4, 0), (2, 64, 48, 7, 7, 2), (2, 12, 20, 9, 6, (0, 3)), (1, 8, 8, 3, 3, 0),
    (1, 8, 8, 1, 1, 1), (5, 9, 8, 2, 13, (1, 4)), (2, 1, 16, 9, 7, 1), (3, 16, 1, 9, 7, 1), (2, 3, 33, 4, 5, 2), (1, 20, 2, 5, 5, (0, 2)),
    (1, 1, 1, 3, 3, 1), (2, 7, 7, 6, 6, 1),
])  # fmt: skip
@pytest.mark.parametrize("with_bias", [True, False])
def test_conv2d(variant, N, C, O, H, W, padding, with_bias):  # noqa: E741
    x, weight, bias = draw((N, C, H, W), (O, C, 3, 3), (O,))
    arrays = [x, weight / np.float32(3 * C**0.5), bias if with_bias else None]
    compare(native_conv2d.conv2d_native, F.conv2d, arrays, (1, padding))


@pytest.mark.parametrize("shape, keys, value_size", [
    ((2, 3, 49, 16), 49, 16), ((1, 2, 7, 5), 11, 3), ((2, 4, 64, 32), 64, 32), ((3, 5, 4), 6, 4), ((1, 1), 1, 1), ((2, 2, 2, 3, 17), 33, 20),
])  # fmt: skip
def test_attention(variant, shape, keys, value_size):
    *leading, _, size = shape
    q, k, v = draw(shape, (*leading, keys, size), (*leading, keys, value_size))
    compare(native_attention.attention_native, F.attention, [q, k, v], ())


def test_attention_of_heads_cut_out_of_tokens_copies_nothing(variant):
    tokens = draw((2, 9, 4 * 8))[0]
    q = tokens.reshape(2, 9, 4, 8).transpose(0, 2, 1, 3)
    assert native_attention.heads_of(q) is q
    y, _ = native_attention.attention_native(q, q, q)
    assert y.transpose(0, 2, 1, 3).flags.c_contiguous
    compare(native_attention.attention_native, F.attention, [q, q, q], ())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_reach_the_result(variant, value):
    """Where the definition has a number, so has the kernel, and elsewhere neither has."""
    x, w, k = draw((2, 16, 4, 4), (16,), (16, 16, 3, 3))
    x[1, 3, 2, 2] = value
    with np.errstate(all="ignore"):
        for ours, exact in (
            (native_group_norm.group_norm_kernel(True)(x, 4, w, w)[0], F.group_norm_swish.reference(x, 4, w, w)[0]),
            (native_group_norm.group_norm_kernel(False)(x, 4, w, w)[0], F.group_norm.reference(x, 4, w, w)[0]),
            (native_attention.attention_native(x, x, x)[0], F.attention.reference(x, x, x)[0]),
        ):
            np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(exact))
        # the transforms of Winograd spread it over the whole tile, as any sum that contains it
        spread = np.isfinite(native_conv2d.conv2d_native(x, k, padding=1)[0])
        exact = np.isfinite(F.conv2d.reference(x, k, padding=1)[0])
        assert not spread[~exact].any() and spread[0].all()


@pytest.mark.parametrize("z", [-200.0, -88.0, -20.0, -1e-30, 0.0, 1e-30, 20.0, 88.0, 200.0])
def test_swish_is_right_at_both_ends(variant, z):
    """x has mean 0 and variance 1 in each group, so that z is the bias plus a number below 1."""
    x = np.float32([[[1, -1, 1, -1]]]) * np.float32(1e-3)
    bias = np.float32([z])
    y, backward = native_group_norm.group_norm_kernel(True)(x, 1, np.float32([0]), bias)
    exact = z / (1 + np.exp(-np.float64(z)))
    np.testing.assert_allclose(y, exact, rtol=1e-6, atol=1e-37)
    s = 1 / (1 + np.exp(-np.float64(z)))
    np.testing.assert_allclose(backward(np.ones_like(x))[3], 4 * s * (1 + z * (1 - s)), rtol=2e-6, atol=1e-35)


def test_what_the_kernels_refuse(variant):
    x, k = draw((1, 16, 4, 4), (16, 16, 3, 3))
    for call, reason in (
        (lambda: native_conv2d.conv2d_native(x.astype(np.float64), k), "x is float64, native kernels compute in float32"),
        (lambda: native_conv2d.conv2d_native(x, k, stride=2), "a 3x3 kernel with stride 1"),
        (lambda: native_conv2d.conv2d_native(x[:, :4], k[:, :4], padding=3), "few channels, and a padding as large as the kernel"),
        (lambda: native_conv2d.conv2d_native(x[:0], k), "x is empty"),
        (lambda: native_attention.attention_native(x, x, x, mask=np.ones((4, 4), bool)), "a mask"),
        (lambda: native_attention.attention_native(*[np.zeros((1, 600, 2), np.float32)] * 3), "600 keys"),
        (lambda: native_group_norm.group_norm_kernel(True)(x.astype(np.float16), 4), "x is float16"),
    ):
        with pytest.raises(Unsupported, match=reason):
            call()


def test_the_module_itself_never_leaves_its_arrays(variant):
    x, y = draw((2, 4, 8), (2, 4, 8))
    mean = np.empty((2, 2), np.float32)
    with pytest.raises(ValueError, match=r"mean: wanted a contiguous float32 array of shape \(2, 2\)"):
        MODULE.group_norm_forward(x, 2, None, None, 1e-5, False, y, mean[:1], mean)
    with pytest.raises(ValueError, match="groups: wanted a number that divides the channels"):
        MODULE.group_norm_forward(x, 3, None, None, 1e-5, False, y, mean, mean)
    with pytest.raises(TypeError):
        MODULE.group_norm_forward(x.astype(np.float64), 2, None, None, 1e-5, False, y, mean, mean)
    with pytest.raises(ValueError, match=r"v: wanted 36 contiguous float32 matrices \(4, 3\)"):
        MODULE.winograd_pixels(np.ones((1, 5, 6, 3), np.float32), 1, 1, 5, 6, np.empty((36, 3, 3), np.float32))
    y.flags.writeable = False
    with pytest.raises(ValueError, match="y: wanted an array that may be written"):
        MODULE.group_norm_forward(x, 2, None, None, 1e-5, False, y, mean, mean)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="variant: wanted one that this processor runs .*plain.*, got 'mmx'"):
        MODULE.choose("mmx")


def test_a_network_computes_the_same_in_each_variant(variant):
    """Through the registry, forward and backward, with the checks of mode "check"."""
    x, weight, k = draw((2, 16, 8, 8), (16,), (16, 16, 3, 3))
    from minidiff import Tensor

    tensors = [Tensor(a, requires_grad=True) for a in (x, weight, k)]
    with use_kernels("check"):
        h = F.group_norm_swish(tensors[0], 4, tensors[1])
        y = F.conv2d(h, tensors[2], padding=1)
        tokens = y.reshape(2, 1, 16, 64).transpose(0, 1, 3, 2)
        F.attention(tokens, tokens, tokens).sum().backward()
    assert all(np.isfinite(t.grad).all() for t in tensors)


def test_the_naive_versions_run_only_by_name(variant):
    """They take every option of conv2d, and are tested by the table of test_every_entry.py."""
    x, weight, bias = draw((2, 4, 9, 8), (6, 2, 3, 3), (6,))
    options = {"stride": (2, 1), "padding": (1, 2), "dilation": 2, "groups": 2}
    for operation in ("conv2d", "group_norm", "group_norm_swish", "attention"):
        assert kernel_versions(operation)[0] == "native_naive" and "native_naive" not in kernel_versions(operation, "cpu")
    with use_kernels(conv2d="native_naive"):
        y = F.conv2d(x, weight, bias, **options).numpy()
    np.testing.assert_allclose(y, F.conv2d.reference(x, weight, bias, **options)[0], rtol=1e-5, atol=1e-5)
    with use_kernels(attention="native_naive"), pytest.raises(RuntimeError, match=r"'native_naive' does not take these arguments \(a mask\)"):
        F.attention(x, x, x, is_causal=True)


def test_the_naive_kernels_refuse_what_does_not_fit():
    x, weight, y = draw((2, 4, 5, 5), (6, 2, 3, 3), (2, 6, 3, 3))
    options = (3, 3, 1, 1, 0, 0, 1, 1, 2)
    with pytest.raises(ValueError, match=r"y: wanted a contiguous float32 array of shape \(2, 6, 3, 3\)"):
        MODULE.conv2d_naive(x, weight, None, options, y[:1])
    with pytest.raises(ValueError, match="groups: wanted a number that divides the channels of x and y, and a weight that fits"):
        MODULE.conv2d_naive(x, weight, None, (*options[:-1], 4), y)
    with pytest.raises(ValueError, match=r"k: wanted a contiguous float32 array of shape \(4, \.\.\., 5\)"):
        MODULE.attention_naive(x[0], x[0, :3], x[0], 1.0, x[0], x[0])
    with pytest.raises(ValueError, match="groups: wanted a number that divides the channels"):
        MODULE.group_norm_naive(x[0], 2, None, None, 1e-5, False, x[0], x[0, 0, :, :2], x[0, 0, :, :2])


def test_nan_passes_through_the_naive_kernels():
    x, weight, k = draw((2, 16, 4, 4), (16,), (16, 16, 3, 3))
    x[1, 3, 2, 2] = np.nan
    for ours, exact in (
        (native_naive.conv2d_naive(x, k, padding=1)[0], F.conv2d.reference(x, k, padding=1)[0]),
        (native_naive.group_norm_kernel(True)(x, 4, weight, weight)[0], F.group_norm_swish.reference(x, 4, weight, weight)[0]),
        (native_naive.attention_naive(x, x, x)[0], F.attention.reference(x, x, x)[0]),
    ):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(exact))
