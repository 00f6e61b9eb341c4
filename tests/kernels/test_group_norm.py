"""Every version of the GroupNorm and GroupNorm + Swish kernels against float64; emulated, with all memory accesses checked."""

import numpy as np
import pytest

import minidiff
from minidiff import functional
from minidiff.engine.backend import to_cpu
from minidiff.engine.registry import use_kernels
from minidiff.kernels.cuda.group_norm import VERSIONS, group_norm

both = pytest.mark.parametrize("swish", [False, True], ids=["plain", "swish"])
every_version = pytest.mark.parametrize("version", VERSIONS)


def reference(x, groups, weight, bias, dy, swish, eps=1e-5):
    """y, dx, dweight, dbias in float64; dx by the full Jacobian of the normalisation, (I - 1/n - x_hat x_hat^T / n) / std."""
    N, C = x.shape[:2]
    x, dy = x.astype(np.float64), dy.astype(np.float64).reshape(N, C, -1)
    per_channel = (1, C, 1)
    w = np.ones(per_channel) if weight is None else weight.astype(np.float64).reshape(per_channel)
    b = np.zeros(per_channel) if bias is None else bias.astype(np.float64).reshape(per_channel)
    rows = x.reshape(N * groups, -1)
    std = np.sqrt(rows.var(axis=1, keepdims=True) + eps)
    x_hat = (rows - rows.mean(axis=1, keepdims=True)) / std
    z = x_hat.reshape(N, C, -1) * w + b
    sigma = 1 / (1 + np.exp(-z)) if swish else np.ones_like(z)
    dz = dy * (sigma + z * sigma * (1 - sigma)) if swish else dy
    dx_hat = (dz * w).reshape(rows.shape)
    jacobian = np.eye(rows.shape[1]) - (1 + x_hat[:, :, None] * x_hat[:, None, :]) / rows.shape[1]
    dx = np.einsum("rij,rj->ri", jacobian, dx_hat) / std
    dweight = (dz * x_hat.reshape(dz.shape)).sum(axis=(0, 2)) if weight is not None else None
    return (z * sigma).reshape(x.shape), dx.reshape(x.shape), dweight, dz.sum(axis=(0, 2)) if bias is not None else None


def inputs(shape, seed=0):
    """x, weight, bias, dy."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s).astype(np.float32) for s in (shape, shape[1:2], shape[1:2], shape)]


def assert_close(name, result, expected, tolerance=1e-5):
    """Every element within `tolerance` of the largest one."""
    assert result.dtype == np.float32 and result.shape == expected.shape, (name, result.dtype, result.shape)
    largest = np.abs(expected).max()
    error = np.abs(to_cpu(result) - expected).max() / (largest if largest > 1e-12 else 1)  # a group of one number: dx = 0
    assert error <= tolerance, f"{name} is wrong by {error:.2g} of its largest element"


def compare(version, swish, device, arrays, groups, eps=1e-5):
    x, weight, bias, dy = (None if a is None else device.array(a) for a in arrays)
    y, backward = group_norm(version, swish)(x, groups, weight, bias, eps)
    dx, no_gradient, dweight, dbias = backward(dy)
    assert no_gradient is None  # of num_groups
    expected = reference(arrays[0], groups, *arrays[1:], swish, eps)
    for name, result, want in zip(("y", "dx", "dweight", "dbias"), (y, dx, dweight, dbias), expected, strict=True):
        if want is None:
            assert result is None
        else:
            assert_close(name, result, want)


# x (N, C, ...) and groups: rows of 1, of primes, of multiples of 4 (read four at a time), shorter and longer than a warp reads at once;
# groups of one channel, of all channels, of more channels than a block has warps; more images than one thread sums up;
# groups that are a multiple of 4 though their rows are not, so that what is read at once belongs to two channels
TABLE = [
    ((1, 1, 1, 1), 1),
    ((2, 6, 3), 3),
    ((2, 6), 2),
    ((1, 4, 7, 7), 4),
    ((3, 4, 5, 13), 2),
    ((2, 8, 4, 4), 2),
    ((1, 3, 12, 12), 3),
    ((1, 2, 28, 28), 2),
    ((2, 21, 3, 3), 1),
    ((1, 40, 2, 2), 1),
    ((19, 3, 2, 2), 3),
    ((2, 33, 5), 11),
    ((2, 8, 7, 7), 2),
    ((2, 12, 5), 3),
    ((1, 16, 7, 7), 1),
    ((1, 4, 14, 14), 1),
    ((35, 6, 3, 2), 2),
]


@every_version
@both
@pytest.mark.parametrize(("shape", "groups"), TABLE)
def test_forward_and_backward_equal_the_reference(version, swish, shape, groups, device):
    compare(version, swish, device, inputs(shape), groups)


@every_version
@both
@pytest.mark.parametrize(("with_weight", "with_bias"), [(False, False), (True, False), (False, True)])
def test_weight_and_bias_are_optional(version, swish, with_weight, with_bias, device):
    x, weight, bias, dy = inputs((2, 6, 4, 4))
    compare(version, swish, device, [x, weight if with_weight else None, bias if with_bias else None, dy], 3, eps=0.1)


@every_version
@both
@pytest.mark.parametrize(("channels", "pixels"), [(2, 4101), (2, 8200), (84, 49), (6, 784)])
def test_groups_that_do_not_fit_into_registers_or_shared_memory(version, swish, channels, pixels, device):
    """Two channels of 8,200 numbers: too many for shared memory in the forward pass, 4,101 in the backward pass only.

    84 channels of 49 numbers, and 6 of 784: too many for the registers of a block.
    """
    x, weight, bias, dy = inputs((1, channels, pixels))
    y, backward = group_norm(version, swish)(*(device.xp.asarray(x), 1, device.xp.asarray(weight), device.xp.asarray(bias)))
    dx, _, dweight, dbias = backward(device.xp.asarray(dy))
    expected = reference_of_one_group(x, weight, bias, dy, swish)
    for name, result, want in zip(("y", "dx", "dweight", "dbias"), (y, dx, dweight, dbias), expected, strict=True):
        assert_close(name, result, want)


def reference_of_one_group(x, weight, bias, dy, swish):
    """As reference(), without the Jacobian, which would have 16,400^2 elements."""
    x, w, b, dy = x.astype(np.float64), weight[:, None].astype(np.float64), bias[:, None].astype(np.float64), dy.astype(np.float64)
    std = np.sqrt(x.var() + 1e-5)
    x_hat = (x - x.mean()) / std
    z = x_hat * w + b
    sigma = 1 / (1 + np.exp(-z)) if swish else np.ones_like(z)
    dz = dy * (sigma + z * sigma * (1 - sigma)) if swish else dy
    dx_hat = dz * w
    dx = (dx_hat - dx_hat.mean() - x_hat * (dx_hat * x_hat).mean()) / std
    return z * sigma, dx, (dz * x_hat).sum(axis=(0, 2)), dz.sum(axis=(0, 2))


@every_version
def test_a_common_offset_does_not_eat_the_digits(version, device):
    """x around 64, with digits that float32 holds exactly: a sum of the squares of x would lose the variance."""
    x, weight, bias, dy = inputs((1, 4, 16, 16))
    x = (np.round(x * 2**12) / 2**12 + 64).astype(np.float32)
    compare(version, True, device, [x, weight, bias, dy], 2)


@every_version
@both
def test_constant_groups_and_large_numbers_stay_finite(version, swish, device):
    x, weight, bias, dy = inputs((1, 4, 3, 3))
    x[0, :2] = 7  # no variance: x_hat = 0
    x[0, 2:] *= 1e6
    compare(version, swish, device, [x, weight, bias, dy], 2)
    compare(version, swish, device, [x, weight * 200, bias, dy], 2)  # exp(-z) overflows to inf, the sigmoid is 0


@every_version
@both
def test_arrays_may_be_strided_or_unaligned(version, swish, device):
    x, weight, bias, dy = inputs((2, 6, 4, 4))
    expected = reference(x, 3, weight, bias, dy, swish)
    parameters = [device.xp.asarray(a) for a in (weight, bias)]
    channels_last = [device.xp.asarray(np.ascontiguousarray(np.moveaxis(a, 1, -1))) for a in (x, dy)]
    unaligned = [device.xp.asarray(np.append(np.float32(0), a.reshape(-1)))[1:].reshape(a.shape) for a in (x, dy)]
    for x_given, dy_given in ([device.xp.moveaxis(a, -1, 1) for a in channels_last], unaligned):
        y, backward = group_norm(version, swish)(x_given, 3, *parameters)
        dx, _, dweight, dbias = backward(dy_given)
        for name, result, want in zip(("y", "dx", "dweight", "dbias"), (y, dx, dweight, dbias), expected, strict=True):
            assert_close(name, result, want)


@every_version
@pytest.mark.parametrize("C", [6, 8])
def test_nothing_is_written_outside_of_the_results(version, C, device):
    x, weight, bias, dy = (device.array(a) for a in inputs((3, C, 25)))
    y, mean, inverse_std = device.empty(x.shape), device.empty((3, 2)), device.empty((3, 2))
    gradients = [device.empty(shape) for shape in (x.shape, (C,), (C,), (3, C), (3, C))]
    device.module.group_norm_forward(version, x, 2, weight, bias, 1e-5, True, y, mean, inverse_std, device.stream)
    device.module.group_norm_backward(version, x, 2, weight, bias, 1e-5, True, mean, inverse_std, dy, *gradients, device.stream)
    assert device.margins_intact()
    assert not any(np.isnan(to_cpu(a)).any() for a in (y, mean, inverse_std, *gradients))


@every_version
@pytest.mark.parametrize("channels", [6, 8])
def test_the_gradient_is_the_same_in_every_run(version, channels, device):
    x, weight, bias, dy = (device.xp.asarray(a) for a in inputs((9, channels, 7, 7)))
    runs = [group_norm(version, True)(x, 2, weight, bias)[1](dy) for _ in range(2)]
    for a, b in zip(*runs, strict=True):
        assert a is b is None or (to_cpu(a) == to_cpu(b)).all()


@every_version
@pytest.mark.parametrize("operation", ["group_norm", "group_norm_swish"])
def test_the_operation_runs_the_kernels_and_checks_them(version, operation, device):
    x, weight, bias, dy = (device.xp.asarray(a) for a in inputs((2, 6, 5, 5)))
    tensors = [minidiff.Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    with use_kernels("check", **{operation: version}):
        getattr(functional, operation)(tensors[0], 3, *tensors[1:]).backward(dy)
    _, *expected = reference(*(to_cpu(x), 3, *(to_cpu(a) for a in (weight, bias, dy))), operation == "group_norm_swish")
    for name, tensor, want in zip(("x", "weight", "bias"), tensors, expected, strict=True):
        assert_close(name, tensor.grad, want)


WRONG = {
    "float64": (lambda x, w, b: (x.astype("float64"), 3), "x is float64, the kernels compute in float32"),
    "float64 weight": (lambda x, w, b: (x, 3, w.astype("float64"), b), "weight and x must have one dtype, got float64 and float32"),
    "no images": (lambda x, w, b: (x[:0], 3, w, b), r"no size 0, got \(0, 6, 5\)"),
    "one axis": (lambda x, w, b: (w, 3), r"x must be \(N, C, ...\), got shape \(6,\)"),
    "groups": (lambda x, w, b: (x, 4, w, b), "x has C = 6, which num_groups = 4 must divide"),
    "no groups": (lambda x, w, b: (x, 0, w, b), "num_groups = 0 must divide"),
    "weight": (lambda x, w, b: (x, 3, w[:5], b), r"weight must have shape \(6,\), got \(5,\)"),
    "bias": (lambda x, w, b: (x, 3, w, b[:, None]), r"bias must have shape \(6,\), got \(6, 1\)"),
    "large groups": (lambda x, w, b: (x.repeat(1000, 1), 1), "groups of 6000 channels; the kernels take 4096 at most"),
}


@pytest.mark.parametrize("case", WRONG)
def test_arguments_that_do_not_fit_are_refused_with_the_reason(case, device):
    change, message = WRONG[case]
    arguments = change(*(device.xp.asarray(a) for a in inputs((2, 6, 5))[:3]))
    for version in VERSIONS:
        with use_kernels(group_norm_swish=version), pytest.raises((RuntimeError, ValueError, TypeError), match=message):
            functional.group_norm_swish(*arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "quick"}, "version must be naive or fast"),
        ({"x": (2, 6)}, r"x must be \(images, channels, pixels\)"),
        ({"y": (2, 6, 4)}, "y must be like x"),
        ({"weight": (5,)}, "a number for each channel"),
        ({"mean": (3,)}, r"mean and inverse_std must be \(images, groups\)"),
        ({"x": (0, 6, 5)}, "x must have 1 to"),
    ],
)
def test_the_compiled_module_refuses_what_would_leave_an_array(change, message, device):
    """minidiff.kernels.cuda.group_norm never asks for these."""
    shapes = {"x": (2, 6, 5), "weight": (6,), "y": (2, 6, 5), "mean": (2, 3)}
    shapes.update({name: shape for name, shape in change.items() if name in shapes})
    x, weight, y, mean = (device.xp.asarray(np.zeros(shape, np.float32)) for shape in shapes.values())
    with pytest.raises(ValueError, match=message):
        device.module.group_norm_forward(change.get("version", "fast"), x, 3, weight, None, 1e-5, True, y, mean, mean, 0)
