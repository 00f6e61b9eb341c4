"""The rungs of csrc/ladder/: numbered forms of a kernel, from naive to fast.

    with minidiff.use_kernels(conv2d="03_register_column"): ...

Each is one idea faster than the one before. They are for reading, counting and timing
(docs/ladder.md), and run only where they are asked for by name. A rung computes the forward pass;
its gradient is that of version "tiled", or "naive" where there is none.

Rung 10 of conv2d computes three operations at once, and no gradient. So it is a function here,
`norm_while_loading`. Rung 11 runs on GPUs of compute capability 9.0 only, and in the emulator.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from minidiff.engine.registry import Unsupported, register_kernel
from minidiff.kernels.cuda.attention import attention
from minidiff.kernels.cuda.conv2d import conv2d, conv2d_sizes
from minidiff.kernels.cuda.conv2d_launch import Conv, prepared
from minidiff.kernels.cuda.group_norm import group_norm
from minidiff.kernels.cuda.plan import MAX_COPIES, MAX_PARTS, Plan, ceil_div

RUNGS = {
    "conv2d": (
        "01_naive", "02_shared_tile", "03_register_column", "04_register_tile", "05_float4",
        "06_lanes", "07_two_slabs", "08_split_k", "09_winograd", "11_warpgroups",
    ),
    "attention": (
        "01_three_passes", "02_online_softmax", "03_shared_tile", "04_register_tile", "05_float4",
    ),
    "group_norm": ("01_naive", "02_block", "03_kept"),
}  # fmt: skip
NORM_WHILE_LOADING = "10_norm_while_loading"  # the rung of conv2d that is no version of it
TILE_M, TILE_N, DEPTH = 64, 128, 8  # of 08_split_k


def splits_of(conv: Conv, multiprocessors: int) -> Plan:
    """As many parts of the sum as give each multiprocessor two blocks."""
    pixels, channels = conv.N * conv.I * conv.J, conv.O // conv.groups
    blocks = max(1, ceil_div(pixels, TILE_N) * ceil_div(channels, TILE_M) * conv.groups)
    slabs = ceil_div(conv.C // conv.groups * conv.U * conv.V, DEPTH)
    wanted = 2 * multiprocessors // blocks
    limits = slabs, MAX_COPIES // conv.groups, MAX_PARTS // max(1, conv.O * pixels)
    return Plan(0, max(1, min(wanted, *limits)))


def only_3_by_3(conv: Conv, multiprocessors: int) -> Plan:
    """The one plan of 09_winograd.

    Raises: Unsupported if the kernel is not 3 x 3, or its stride or dilation not 1.
    """
    steps = conv.stride_h, conv.stride_w, conv.dilation_h, conv.dilation_w
    if (conv.U, conv.V) != (3, 3) or max(steps) > 1:
        raise Unsupported("09_winograd is for 3 x 3 kernels of stride 1, without dilation")
    return Plan(0, 1)


def for_warpgroups(conv: Conv, multiprocessors: int) -> Plan:
    """The one plan of 11_warpgroups.

    Raises: Unsupported if the kernel is not 3 x 3.
    """
    if (conv.U, conv.V) != (3, 3):
        raise Unsupported("11_warpgroups is for 3 x 3 kernels")
    return Plan(0, 1)


PLANS = {
    "08_split_k": splits_of,
    "09_winograd": only_3_by_3,
    "11_warpgroups": for_warpgroups,
}


def _register(operation: str, version: str, function) -> None:
    register_kernel(operation, version, function, devices=(), by_name=("cpu", "cuda"))


for rung in RUNGS["conv2d"]:
    _register("conv2d", rung, conv2d(rung, gradient="tiled", plan_of=PLANS.get(rung)))
for rung in RUNGS["attention"]:
    _register("attention", rung, attention(rung, gradient="tiled"))
for rung in RUNGS["group_norm"]:
    _register("group_norm", rung, group_norm(rung, swish=False, gradient="naive"))
    _register("group_norm_swish", rung, group_norm(rung, swish=True, gradient="naive"))


class Norm(NamedTuple):
    """GroupNorm with Swish behind it, as `functional.group_norm_swish` takes them."""

    num_groups: int
    weight: Any = None  # (C,), a number for each channel, or None
    bias: Any = None
    eps: float = 1e-5


def norm_while_loading(
    x: Any, norm: Norm, weight: Any, bias: Any = None, stride=1, padding=0, dilation=1, groups=1
) -> Any:
    """y = conv2d(group_norm_swish(x)), by csrc/ladder/conv2d/10_norm_while_loading.cu.

    The normalised array is never in memory, so that there is nothing to learn from: no gradient.
    x: (N, C, H, W) -> (N, O, I, J); arrays of NumPy or CuPy, the other arguments as of conv2d.
    Raises: Unsupported if the kernel does not take the arrays.
    """
    conv = conv2d_sizes(x.shape, weight.shape, stride, padding, dilation, groups)
    arrays = {"x": x, "weight": weight, "bias": bias}
    of_norm = {"norm.weight": norm.weight, "norm.bias": norm.bias}
    lib, plain = prepared(NORM_WHILE_LOADING, conv, **arrays, **of_norm)
    x, weight, bias, scale, shift = plain
    scales = lib.xp.empty((2, conv.N, conv.C), "float32")
    y = lib.xp.empty(conv.y_shape, "float32")
    lib.module.conv2d_of_group_norm_swish(
        NORM_WHILE_LOADING, conv, x, norm.num_groups, scale, shift, norm.eps, weight, bias,
        scales, y, lib.stream,
    )  # fmt: skip
    return y
