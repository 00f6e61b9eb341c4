"""conv2d and conv_transpose2d by kernels: the operations through the table of minidiff.engine.registry, against the reference."""

import numpy as np
import pytest

import minidiff
from minidiff import Tensor, gradients, kernels, use_kernels
from minidiff.functional import conv2d, conv_transpose2d
from minidiff.kernels.cuda import conv2d_launch
from minidiff.kernels.cuda.conv2d import conv2d_sizes
from minidiff.kernels.cuda.ladder import RUNGS
from minidiff.kernels.cuda.plan import Plan

VERSIONS = ("naive", "tiled", "tf32x3", "fast")


def inputs(device, *shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [Tensor(device.array(rng.standard_normal(shape, dtype=np.float32)), requires_grad=True) for shape in shapes]


def results(device, operation, x, weight, bias, options):
    """y and the gradients of x, weight, bias, for a random gradient of y."""
    y = operation(x, weight, bias, **options)
    dy = np.random.default_rng(1).standard_normal(y.shape, dtype=np.float32)
    return [y.data, *gradients((y * device.xp.asarray(dy)).sum(), [x, weight, bias])]


def assert_same(device, ours, theirs):
    for name, a, b in zip(("y", "dx", "dweight", "dbias"), ours, theirs, strict=True):
        a, b = device.numpy(a), device.numpy(b)
        assert a.shape == b.shape and a.dtype == b.dtype
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max(), name


CASES = [
    (conv2d, (2, 3, 7, 5), (4, 3, 3, 3), 4, {"padding": 1}),
    (conv2d, (1, 4, 8, 9), (6, 2, 3, 3), 6, {"padding": (1, 0), "stride": 2, "groups": 2}),
    (conv_transpose2d, (2, 4, 5, 3), (4, 3, 4, 4), 3, {"stride": 2, "padding": 1}),
    (conv_transpose2d, (1, 4, 3, 4), (4, 3, 3, 2), 6, {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2), "groups": 2}),
    (conv_transpose2d, (1, 2, 5, 4), (2, 3, 3, 3), 3, {"dilation": 2, "padding": 1}),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operation, x_shape, weight_shape, channels, options", CASES)
def test_equals_the_reference(device, operation, x_shape, weight_shape, channels, options, version):
    x, weight, bias = inputs(device, x_shape, weight_shape, (channels,))
    with use_kernels("reference"):
        theirs = results(device, operation, x, weight, bias, options)
    with use_kernels("strict", **{operation.name: version}):
        ours = results(device, operation, x, weight, bias, options)
    assert_same(device, ours, theirs)


@pytest.mark.parametrize("operation, x_shape, weight_shape, channels, options", CASES)
def test_mode_check_compares_both(device, operation, x_shape, weight_shape, channels, options):
    with use_kernels("check", **{operation.name: "fast"}):
        results(device, operation, *inputs(device, x_shape, weight_shape, (channels,)), options)


def test_channels_last_memory_gives_the_same(device):
    x, weight, bias = inputs(device, (2, 5, 6, 3), (4, 3, 3, 3), (4,))
    x = Tensor(x.data.transpose(0, 3, 1, 2), requires_grad=True)
    with use_kernels("reference"):
        theirs = results(device, conv2d, x, weight, bias, {"padding": 1})
    with use_kernels("strict", conv2d="fast"):
        ours = results(device, conv2d, x, weight, bias, {"padding": 1})
    assert_same(device, ours, theirs)


def test_only_the_gradients_that_are_wanted(device):
    x, weight, bias = inputs(device, (1, 2, 4, 4), (3, 2, 3, 3), (3,))
    with use_kernels("strict", conv2d="fast"):
        y = conv2d(x.detach(), weight, None)
        (dweight,) = gradients(y.sum(), [weight])
    assert dweight.shape == weight.shape


def test_no_images(device):
    x, weight, bias = inputs(device, (0, 2, 4, 4), (3, 2, 3, 3), (3,))
    with use_kernels("strict", conv2d="fast"):
        y, dx, dweight, dbias = results(device, conv2d, x, weight, bias, {})
    assert y.shape == (0, 3, 2, 2) and dx.shape == (0, 2, 4, 4)
    assert not dweight.any() and not dbias.any()


@pytest.mark.parametrize("change, message", [
    ({"x": np.zeros((1, 3, 4, 4)), "weight": np.zeros((4, 3, 3, 3))}, "x is float64, the kernels compute in float32"),
    ({"x": np.zeros((1, 2, 4, 4), np.float32)}, "^conv2d: x has C = 2 but weight wants C = 3"),
    ({"x": np.zeros((3, 4, 4), np.float32)}, r"^conv2d: x must be \(N, C, H, W\), got shape \(3, 4, 4\)"),
    ({"x": np.zeros((1, 3, 0, 4), np.float32), "padding": 2}, "a size is 0"),
    ({"bias": np.zeros(5, np.float32)}, r"^conv2d: bias must have shape \(4,\), .* got \(5,\)"),
    ({"stride": 0}, r"^conv2d: stride must be an int >= 1 or a pair of them .*, got 0"),
    ({"padding": "same"}, "^conv2d: padding must be an int >= 0"),
    ({"groups": 2}, r"^conv2d: x has C = 3 but weight wants C = 3 \* groups = 6"),
    ({"dilation": 3}, "^conv2d: the window reaches over 7 pixels, but x has H = 4, with padding 4"),
    ({"stride": 5, "padding": 4}, "the stride is more than 4"),
    ({"weight": np.zeros((4, 3, 16, 1), np.float32), "padding": 9}, "the kernel has more than 15 rows or columns"),
])  # fmt: skip
def test_what_the_kernels_do_not_take_is_named(emulated, change, message):
    arguments = {"x": np.zeros((1, 3, 4, 4), np.float32), "weight": np.zeros((4, 3, 3, 3), np.float32), "bias": None, **change}
    with use_kernels("strict", conv2d="fast"), pytest.raises((RuntimeError, ValueError), match=message):
        conv2d(**arguments)


@pytest.mark.parametrize("options, message", [
    ({"output_padding": 1}, "^conv_transpose2d: output_padding must be smaller than stride or dilation"),
    ({"padding": 9}, "^conv_transpose2d: padding 9 leaves -12x-12 pixels of x"),
])  # fmt: skip
def test_what_the_transposed_kernels_do_not_take_is_named(emulated, options, message):
    x, weight = np.zeros((1, 3, 4, 4), np.float32), np.zeros((3, 2, 3, 3), np.float32)
    with use_kernels("strict", conv_transpose2d="fast"), pytest.raises(ValueError, match=message):
        conv_transpose2d(x, weight, **options)
    with use_kernels("strict", conv_transpose2d="fast"), pytest.raises(ValueError, match="x has C = 2 but weight wants C = 3"):
        conv_transpose2d(x[:, :2], weight)


def test_tf32_only_when_allowed(emulated):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((1, 4, 6, 6), dtype=np.float32), rng.standard_normal((3, 4, 3, 3), dtype=np.float32)
    message = r"TF32 keeps 3 decimal digits; allow it with minidiff.allow_tf32\(True\)"
    with use_kernels(conv2d="tf32"), pytest.raises(RuntimeError, match=message):
        conv2d(x, weight)
    exact = conv2d(x, weight).numpy()
    kernels.allow_tf32(True)
    try:
        with use_kernels(conv2d="tf32"):
            rounded = conv2d(x, weight).numpy()
    finally:
        kernels.allow_tf32(False)
    assert 1e-6 < np.abs(rounded - exact).max() / np.abs(exact).max() < 2e-3


def test_a_tensor_core_needs_a_gpu_that_has_one():
    class Device:
        compute_capability = "75"

    class Array:
        device = Device()

    kernels.allow_tf32(True)
    try:
        assert kernels.conv2d.permitted("fast", Array()) == "fast"
        for capability in ("80", "90", "120"):
            Device.compute_capability = capability
            assert kernels.conv2d.permitted("fast", Array()) == "tf32"
        assert kernels.conv2d.permitted("fast", np.zeros(1)) == "fast"
    finally:
        kernels.allow_tf32(False)
    assert kernels.conv2d.permitted("fast", Array()) == "fast"


def test_fast_takes_the_exact_tiles_of_tensor_cores_where_a_gpu_has_them(cuda):
    """On the stand-in, whose compute capability is 9.0, a plan's number may mean a tile of "tf32x3"."""
    xp, _ = cuda
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape, dtype=np.float32) for shape in ((1, 5, 6, 6), (7, 5, 3, 3)))
    conv = conv2d_sizes(x.shape, weight.shape, 1, 1, 1, 1)
    assert conv2d_launch.has_tensor_cores(xp.asarray(x)) and not conv2d_launch.has_tensor_cores(x)
    assert [conv2d_launch.named("fast", tile) for tile in (0, 4, 5, 8)] == [("fast", 0), ("fast", 4), ("tf32x3", 0), ("tf32x3", 3)]
    expected = conv2d(x, weight, padding=1).numpy()
    y = conv2d_launch.forward("fast", conv, xp.asarray(x), xp.asarray(weight), plan=Plan(7, 2))
    assert 0 < np.abs(xp.asnumpy(y) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_versions_are_registered_simplest_first():
    versions = {op: [v for v in minidiff.kernel_versions(op) if not v.startswith("native")] for op in ("conv2d", "conv_transpose2d")}
    rungs = list(RUNGS["conv2d"])  # last, but never chosen unless they are named
    assert versions["conv2d"] == ["im2col", "winograd", "naive", "tiled", "tf32", "tf32x3", "fast", *rungs]
    assert versions["conv_transpose2d"] == ["im2col", "naive", "tiled", "tf32", "tf32x3", "fast"]
    assert minidiff.kernel_versions("conv2d", "cuda") == ["im2col", "fast"]
