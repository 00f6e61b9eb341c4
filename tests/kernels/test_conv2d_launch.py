"""Every version of the convolution kernels, forward and all gradients, against sums written in float64 NumPy."""

import numpy as np
import pytest

from minidiff import kernels
from minidiff.kernels.cuda import conv2d_launch
from minidiff.kernels.cuda.conv2d import conv2d_sizes
from minidiff.kernels.cuda.conv2d_launch import GRADIENT_TILES, TILES, Conv
from minidiff.kernels.cuda.library import load
from minidiff.kernels.cuda.plan import CHANNELS_LAST, HALO, ROWS, TABLE, Plan

# (shape of x, shape of weight, options): 1, primes, sizes just below and above tiles, and every option that changes the addresses
CASES = {
    "one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    "small": ((2, 3, 7, 5), (4, 3, 3, 3), {"padding": 1}),
    "primes": ((2, 5, 11, 7), (7, 5, 3, 3), {"padding": 1}),
    "below tiles": ((1, 7, 5, 6), (31, 7, 3, 3), {"padding": 1}),
    "exact tiles": ((1, 8, 8, 16), (32, 8, 1, 1), {}),
    "above tiles": ((1, 4, 9, 8), (65, 4, 3, 3), {"padding": 1}),
    "stride 2": ((2, 3, 9, 8), (5, 3, 3, 3), {"padding": 1, "stride": 2}),
    "stride leaves gaps": ((1, 2, 10, 11), (3, 2, 2, 2), {"stride": 3}),
    "1x1 stride 2": ((2, 3, 6, 7), (4, 3, 1, 1), {"stride": 2}),
    "4x4 stride 2": ((1, 3, 8, 6), (5, 3, 4, 4), {"stride": 2, "padding": 1}),
    "dilation 2": ((1, 3, 9, 10), (4, 3, 3, 3), {"padding": 2, "dilation": 2}),
    "groups": ((2, 6, 5, 7), (4, 3, 3, 3), {"padding": 1, "groups": 2}),
    "depthwise": ((1, 5, 6, 6), (5, 1, 3, 3), {"padding": 1, "groups": 5, "stride": 2}),
    "all at once": ((2, 4, 11, 14), (6, 2, 3, 2), {"padding": (3, 0), "stride": (2, 3), "dilation": (3, 1), "groups": 2}),
    "a block of several images": ((5, 12, 5, 5), (8, 12, 3, 3), {"padding": 1}),
    "no padding": ((2, 9, 6, 9), (10, 9, 3, 3), {}),
    "a wider result": ((2, 3, 4, 6), (4, 3, 3, 3), {"padding": 2}),
    "one column": ((2, 3, 9, 1), (4, 3, 3, 3), {"padding": 1}),
    "padding wider than the kernel": ((1, 2, 4, 3), (3, 2, 2, 3), {"padding": (4, 5)}),
    "quads of channels": ((2, 20, 7, 5), (36, 20, 3, 3), {"padding": 1}),
    "quads, many": ((1, 48, 6, 12), (68, 48, 3, 3), {"padding": 1}),
    "quads, 4x4 stride 2": ((2, 12, 9, 8), (8, 12, 4, 4), {"padding": 1, "stride": 2}),
    "quads, stride leaves gaps": ((1, 4, 10, 11), (8, 4, 2, 2), {"stride": 3}),
    "quads, 1x1": ((3, 32, 5, 7), (16, 32, 1, 1), {}),
    "quads, all at once": ((2, 8, 11, 14), (24, 4, 3, 2), {"padding": (3, 0), "stride": (2, 3), "dilation": (3, 1), "groups": 2}),
    "no images": ((0, 3, 4, 4), (2, 3, 3, 3), {}),
}
TOLERANCE = {"naive": 1e-5, "tiled": 1e-5, "fast": 1e-5, "tf32": 3e-3, "tf32x3": 1e-5}


def plans(device, version, conv, which):
    """(tile, splits) to try for one of the three sums, those that are for it."""
    if version not in TILES:
        return [(0, 1)]
    tiles = (GRADIENT_TILES if which == "weight gradient" else TILES)[version]
    taken = [number for number in range(len(tiles)) if device.module.conv2d_takes(version, conv, which, number)]
    return [(number, splits) for number in taken for splits in (1, 3)]


def kind(wanted, which, version="tf32"):
    """The numbers of the tiles of this kind, or of these kinds."""
    tiles = (GRADIENT_TILES if which == "weight gradient" else TILES)[version]
    return [number for number, tile in enumerate(tiles) if tile.kind in wanted]


def reference(conv: Conv, x, weight, dy):
    """y, dx, dweight, dbias in float64: a loop over the kernel's elements, each a product of matrices."""
    y, dweight = np.zeros(conv.y_shape), np.zeros(conv.weight_shape)
    rows, columns = conv.H + 2 * conv.padding_h, conv.W + 2 * conv.padding_w
    padded = np.zeros((conv.N, conv.C, rows, columns))
    inside = np.s_[:, :, conv.padding_h : conv.padding_h + conv.H, conv.padding_w : conv.padding_w + conv.W]
    padded[inside] = x
    dpadded = np.zeros_like(padded)
    group_c, group_o = conv.C // conv.groups, conv.O // conv.groups
    for group in range(conv.groups):
        c, o = np.s_[group * group_c : (group + 1) * group_c], np.s_[group * group_o : (group + 1) * group_o]
        for u in range(conv.U):
            for v in range(conv.V):
                h = np.arange(conv.I) * conv.stride_h + u * conv.dilation_h
                w = np.arange(conv.J) * conv.stride_w + v * conv.dilation_w
                seen = padded[:, c][:, :, h[:, None], w]
                y[:, o] += np.einsum("oc,ncij->noij", weight[o, :, u, v], seen)
                dweight[o, :, u, v] = np.einsum("noij,ncij->oc", dy[:, o], seen)
                np.add.at(dpadded, (slice(None), c, h[:, None], w), np.einsum("oc,noij->ncij", weight[o, :, u, v], dy[:, o]))
    return y, dpadded[inside], dweight, dy.sum((0, 2, 3))


def problem(case):
    x_shape, weight_shape, options = CASES[case]
    conv = conv2d_sizes(x_shape, weight_shape, **{"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **options})
    rng = np.random.default_rng(len(case))
    shapes = conv.x_shape, conv.weight_shape, conv.y_shape, (conv.O,), (conv.C,)
    return conv, *(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def assert_close(device, what, result, wanted, tolerance):
    result = device.numpy(result)
    error = np.abs(result - wanted).max(initial=0)
    scale = np.abs(wanted).max(initial=1e-30)
    assert error <= tolerance * scale, f"{what}: relative error {error / scale:.2g}"
    assert device.margins_intact(), f"{what}: written beside an array"


def parts(device, version, conv, which, tile, splits, size):
    needed = device.module.conv2d_parts(version, conv, which, tile, splits, size)
    return device.empty(needed) if needed else None


@pytest.mark.parametrize("version", TOLERANCE)
@pytest.mark.parametrize("case", CASES)
def test_forward_and_gradients(device, case, version):
    conv, x, weight, dy, bias, input_bias = problem(case)
    y, dx, dweight, dbias = reference(conv, x, weight, dy)
    y += bias[:, None, None]
    dx += input_bias[:, None, None]
    x_, weight_, dy_, bias_, input_bias_ = (device.array(a) for a in (x, weight, dy, bias, input_bias))
    tolerance = TOLERANCE[version]
    run, stream = device.module, device.stream
    for tile, splits in plans(device, version, conv, "forward"):
        result = device.empty(y.shape)
        run.conv2d(version, conv, x_, weight_, bias_, result, tile, splits, parts(device, version, conv, "forward", tile, splits, y.size), stream)
        assert_close(device, f"forward ({version}, tile {tile}, {splits} splits)", result, y, tolerance)
    for tile, splits in plans(device, version, conv, "input gradient"):
        result = device.empty(dx.shape)
        sums = parts(device, version, conv, "input gradient", tile, splits, dx.size)
        arrays = dy_, weight_, input_bias_, result, tile, splits, sums
        run.conv2d_input_gradient(version, conv, *arrays, stream)
        assert_close(device, f"input gradient ({version}, tile {tile}, {splits} splits)", result, dx, tolerance)
    for tile, splits in plans(device, version, conv, "weight gradient"):
        result = device.empty(dweight.size + dbias.size)
        sums = parts(device, version, conv, "weight gradient", tile, splits, result.size)
        arrays = dy_, x_, result, True, tile, splits, sums
        run.conv2d_weight_gradient(version, conv, *arrays, stream)
        how = f"({version}, tile {tile}, {splits} splits)"
        assert_close(device, f"weight gradient {how}", result[: dweight.size].reshape(dweight.shape), dweight, tolerance)
        assert_close(device, f"bias gradient {how}", result[dweight.size :], dbias, 1e-5)
        alone = device.empty(dweight.shape)
        sums = parts(device, version, conv, "weight gradient", tile, splits, alone.size)
        run.conv2d_weight_gradient(version, conv, dy_, x_, alone, False, tile, splits, sums, stream)
        assert_close(device, f"weight gradient alone {how}", alone, device.numpy(result[: dweight.size].reshape(dweight.shape)), 0)

    result = device.empty(dbias.shape)
    device.module.conv2d_bias_gradient(version, conv, dy_, result, device.stream)
    assert_close(device, f"bias gradient ({version})", result, dbias, 1e-5)


@pytest.mark.parametrize("version", ["tiled", "fast"])
def test_two_runs_agree_to_the_last_bit(device, version):
    conv, x, weight, dy, *_ = problem("primes")
    x_, dy_ = device.array(x), device.array(dy)
    results = []
    for _ in range(2):
        result = device.empty(conv.weight_shape)
        splits = 3 if version == "fast" else 1
        arrays = dy_, x_, result, False, 3, splits, parts(device, version, conv, "weight gradient", 3, splits, result.size)
        device.module.conv2d_weight_gradient(version, conv, *arrays, device.stream)
        results.append(device.numpy(result))
    np.testing.assert_array_equal(*results)


def test_weight_of_infinity_meets_only_its_own_pixels(device):
    """The padding of a slab must not multiply: 0 * inf is NaN."""
    conv, x, weight, *_ = problem("1x1 stride 2")
    weight[1] = np.inf
    result = device.empty(conv.y_shape)
    device.module.conv2d("fast", conv, device.array(np.abs(x)), device.array(weight), None, result, 4, 1, None, device.stream)
    result = device.numpy(result)
    assert np.isinf(result[:, 1]).all() and np.isfinite(result[:, [0, 2, 3]]).all()


@pytest.mark.parametrize("case, expected", [
    ("small", (False, True, False)),  # 3 -> 4 channels
    ("below tiles", (False, False, False)),
    ("above tiles", (True, False, False)),
    ("quads of channels", (True, True, False)),
    ("groups", (False, False, False)),  # of 3 -> 2
    ("quads, all at once", (True, True, False)),
])  # fmt: skip
def test_channels_last_are_for_quads_of_channels(emulated, case, expected):
    """Of what is read: x, or dy."""
    conv = problem(case)[0]
    sums = "forward", "input gradient", "weight gradient"
    takes = load("cpu")[0].conv2d_takes
    assert tuple(any(takes("tf32", conv, which, number) for number in kind((CHANNELS_LAST,), which)) for which in sums) == expected
    assert all(takes("tf32", conv, which, number) for which in sums for number in kind((TABLE,), which))


@pytest.mark.parametrize("case, expected", [
    ("small", (True, True, True)),
    ("primes", (True, True, True)),
    ("groups", (True, True, True)),
    ("a wider result", (True, True, True)),
    ("1x1 stride 2", (False, False, False)),
    ("stride 2", (False, False, False)),  # 1, 2, 2 and 4 taps reach its classes
    ("quads, 4x4 stride 2", (False, True, False)),  # 2 x 2 taps reach each
    ("dilation 2", (False, False, False)),
    ("exact tiles", (False, False, False)),  # 1 x 1
    ("padding wider than the kernel", (False, False, False)),
])  # fmt: skip
def test_wgmma_is_for_three_by_three_taps(emulated, case, expected):
    conv = problem(case)[0]
    sums, takes = ("forward", "input gradient", "weight gradient"), load("cpu")[0].conv2d_takes
    for version in ("tf32", "tf32x3"):
        assert tuple(all(takes(version, conv, which, n) for n in kind((HALO, ROWS), which, version)) for which in sums) == expected
        assert tuple(any(takes(version, conv, which, n) for n in kind((HALO, ROWS), which, version)) for which in sums) == expected


def test_images_too_wide_for_wgmma_take_other_tiles(emulated):
    takes = load("cpu")[0].conv2d_takes
    for size, expected in ((28, (True, True)), (64, (True, True)), (65, (False, False)), (200, (False, False))):
        conv = conv2d_sizes((1, 8, size, size), (8, 8, 3, 3), 1, 1, 1, 1)
        sums = "forward", "weight gradient"
        assert tuple(any(takes("tf32x3", conv, which, n) for n in kind((HALO, ROWS), which, "tf32x3")) for which in sums) == expected, size


def test_more_weights_than_an_int_counts_take_other_tiles(emulated):
    """Both parts of 16384 x 16384 x 9 weights are 4.8e9 numbers."""
    takes = load("cpu")[0].conv2d_takes
    for channels, expected in ((1024, True), (16384, False)):
        conv = conv2d_sizes((1, channels, 7, 7), (channels, channels, 3, 3), 1, 1, 1, 1)
        for which in ("forward", "input gradient", "weight gradient"):
            assert all(takes("tf32x3", conv, which, n) == expected for n in kind((HALO, ROWS), which, "tf32x3")), (channels, which)


def test_more_channels_than_blocks_in_a_grids_second_size_take_other_tiles(emulated):
    """The kernel that adds up the parts of a weight gradient has a block for each output channel."""
    takes = load("cpu")[0].conv2d_takes
    for channels, expected in ((65535, True), (65536, False)):
        conv = conv2d_sizes((1, 1, 4, 4), (channels, 1, 3, 3), 1, 1, 1, 1)
        assert all(takes("tf32x3", conv, "weight gradient", n) == expected for n in kind((ROWS,), "weight gradient", "tf32x3")), channels


def test_tiles_are_refused_where_they_are_not_for_the_convolution(emulated):
    conv, x, weight, dy, *_ = problem("stride 2")  # 3 -> 5 channels
    module = load("cpu")[0]
    sums = np.empty(10**5, np.float32)
    for tile in (*kind((CHANNELS_LAST,), "forward"), *kind((HALO, ROWS), "forward"), 99):
        message = f"conv2d: tile {tile} of tf32 is not for the forward of this convolution, or not for this GPU"
        with pytest.raises(ValueError, match=message):
            module.conv2d("tf32", conv, x, weight, None, np.empty_like(dy), tile, 1, sums, 0)
    conv, x, weight, dy, *_ = problem("quads of channels")
    needed = module.conv2d_parts("tf32x3", conv, "forward", 5, 1, dy.size)
    with pytest.raises(ValueError, match=f"conv2d: parts must have {needed} elements, got {needed - 1}"):
        module.conv2d("tf32x3", conv, x, weight, None, np.empty_like(dy), 5, 1, sums[: needed - 1], 0)
    with pytest.raises(ValueError, match="conv2d: this tile, or more than one split, needs an array parts"):
        module.conv2d("tf32x3", conv, x, weight, None, np.empty_like(dy), 8, 1, None, 0)
    with pytest.raises(ValueError, match="conv2d: tile 7 of tf32x3 is not for the weight gradient of this convolution"):
        module.conv2d_weight_gradient("tf32x3", conv, dy, x, np.empty_like(weight), False, 7, 1, sums, 0)
    with pytest.raises(RuntimeError, match="conv2d_fast: there is no tile 5"):
        module.conv2d("fast", conv, x, weight, None, np.empty_like(dy), 5, 1, None, 0)
    with pytest.raises(ValueError, match="conv2d: wanted the sum forward, input gradient or weight gradient, got backward"):
        module.conv2d_parts("tf32", conv, "backward", 5, 1, 1)


@pytest.mark.parametrize("which", ["forward", "input gradient"])
def test_channels_last_use_whole_sectors_and_all_banks(emulated, which):
    """channels_last.h: 64 bytes of a pixel are side by side, and what a warp reads at once is in different banks."""
    conv = conv2d_sizes((2, 32, 14, 14), (64, 32, 3, 3), 1, 1, 1, 1)
    if which == "input gradient":
        conv = conv2d_sizes((2, 64, 14, 14), (32, 64, 3, 3), 1, 1, 1, 1)
    rng = np.random.default_rng(0)
    x, weight, dy = (rng.standard_normal(s, dtype=np.float32) for s in (conv.x_shape, conv.weight_shape, conv.y_shape))
    run = {
        "forward": lambda tile: conv2d_launch.forward("tf32x3", conv, x, weight, plan=Plan(tile, 1)),
        "input gradient": lambda tile: conv2d_launch.input_gradient("tf32x3", conv, dy, weight, plan=Plan(tile, 1)),
    }[which]
    with kernels.count() as counted:
        run(0)
        run(5)
    before, transposing, after = counted
    assert transposing.multiply_adds == 0 and transposing.global_written >= 4 * (x if which == "forward" else dy).size
    assert after.multiply_adds >= 2 * 14 * 14 * 64 * 32 * 9
    assert after.sectors_read == after.global_read and before.sectors_read > before.global_read
    assert after.bank_conflicts == 0 < before.bank_conflicts


@pytest.mark.parametrize("version, dtype, message", [
    ("tiled", np.float64, "wanted an array of type <f4, got <f8"),
    ("magic", np.float32, "conv2d: there is no version magic"),
])  # fmt: skip
def test_the_module_refuses(emulated, version, dtype, message):
    conv, x, weight, *_ = problem("small")
    with pytest.raises((TypeError, ValueError), match=message):
        load("cpu")[0].conv2d(version, conv, x.astype(dtype), weight, None, np.empty(conv.y_shape, np.float32), 0, 1, None, 0)


def test_the_module_refuses_arrays_that_do_not_fit(emulated):
    conv, x, weight, *_ = problem("small")
    y = np.empty(conv.y_shape, np.float32)
    run = load("cpu")[0].conv2d
    with pytest.raises(ValueError, match="conv2d: y must have 280 elements, got 279"):
        run("tiled", conv, x, weight, None, y.ravel()[1:], 0, 1, None, 0)
    with pytest.raises(TypeError, match=r"wanted a contiguous array \(order C\)"):
        run("tiled", conv, x.transpose(0, 1, 3, 2), weight, None, y, 0, 1, None, 0)
    with pytest.raises(TypeError, match="wanted an array of NumPy, got list"):
        run("tiled", conv, [1.0], weight, None, y, 0, 1, None, 0)
    with pytest.raises(ValueError, match="sizes that are no convolution"):
        run("tiled", conv._replace(groups=0), x, weight, None, y, 0, 1, None, 0)
    with pytest.raises(RuntimeError, match="conv2d_fast: there is no tile 9"):
        run("fast", conv, x, weight, None, y, 9, 1, None, 0)
