"""Part of gpu.py: the rungs of csrc/ladder/ beside PyTorch, for the columns of docs/ladder.md that only a GPU can fill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gpu_kernels import draw, ours_numpy, relative
from gpu_timing import Ours, Theirs, measure, sets_for

from minidiff.engine.registry import _kernels as table
from minidiff.kernels.cuda.ladder import NORM_WHILE_LOADING, RUNGS, Norm, norm_while_loading

TOLERANCE = 1e-5
BATCH, DRY_BATCH = 128, 1


class Case(NamedTuple):
    """An operation at a shape. ours: a rung's function and arrays -> y; theirs: tensors -> y."""

    operation: str
    rungs: dict[str, Callable]
    shape: str
    arrays: list[tuple[int, ...]]
    ours: Callable[..., Any]
    theirs: Callable[..., Any]


def rungs_of(operation: str, kernel: str) -> dict[str, Callable]:
    """The functions by name.    kernel: the name of the operation in the registry"""
    return {rung: table[kernel][rung].function for rung in RUNGS[operation]}


def normed_rungs() -> dict[str, Callable]:
    """Three operations in two kernels, and by the kernels that this replaces: the rungs, and what `auto` takes."""

    def one_after_the_other(norm: str, conv: str) -> Callable:
        norm_of, conv_of = table["group_norm_swish"][norm].function, table["conv2d"][conv].function
        return lambda x, n, weight: conv_of(norm_of(x, *n)[0], weight, None, 1, 1)[0]

    return {
        NORM_WHILE_LOADING: lambda x, n, weight: norm_while_loading(x, n, weight, None, 1, 1),
        "03_kept, then 07_two_slabs": one_after_the_other("03_kept", "07_two_slabs"),
        "fast, then fast": one_after_the_other("fast", "fast"),
    }


def cases(torch: Any, dry: bool) -> list[Case]:
    """The first shape of each operation is the one that the page shows."""
    B, nn = DRY_BATCH if dry else BATCH, torch.nn.functional

    def conv2d(c_in: int, c_out: int, size: int) -> Case:
        shapes = [(B, c_in, size, size), (c_out, c_in, 3, 3)]
        return Case("conv2d", rungs_of("conv2d", "conv2d"), f"{c_in} -> {c_out}, {size}x{size}, batch {B}", shapes,
                    lambda f, x, w: f(x, w, None, 1, 1)[0], lambda x, w: nn.conv2d(x, w, padding=1))  # fmt: skip

    def attention(heads: int, tokens: int, size: int) -> Case:
        return Case("attention", rungs_of("attention", "attention"), f"{heads} heads, {tokens} tokens of {size}, batch {B}", [(B, heads, tokens, size)] * 3,
                    lambda f, q, k, v: f(q, k, v)[0], nn.scaled_dot_product_attention)  # fmt: skip

    def group_norm(channels: int, size: int) -> Case:
        return Case("group_norm", rungs_of("group_norm", "group_norm_swish"), f"{channels} channels, {size}x{size}, batch {B}",
                    [(B, channels, size, size), (channels,), (channels,)], lambda f, x, w, b: f(x, 2 if dry else 8, w, b)[0],
                    lambda x, w, b: nn.silu(nn.group_norm(x, 2 if dry else 8, w, b)))  # fmt: skip

    def normed(c_in: int, c_out: int, size: int, groups: int) -> Case:
        shapes = [(B, c_in, size, size), (c_in,), (c_in,), (c_out, c_in, 3, 3)]
        return Case("conv2d", normed_rungs(), f"norm + swish + conv2d, {c_in} -> {c_out}, {size}x{size}, batch {B}", shapes,
                    lambda f, x, scale, shift, w: f(x, Norm(groups, scale, shift), w),
                    lambda x, scale, shift, w: nn.conv2d(nn.silu(nn.group_norm(x, groups, scale, shift)), w, padding=1))  # fmt: skip

    if dry:
        return [conv2d(2, 3, 5), attention(2, 7, 4), group_norm(4, 4), normed(4, 3, 5, 2)]
    return [conv2d(64, 64, 28), conv2d(256, 128, 7), attention(4, 196, 32), group_norm(64, 28), normed(64, 64, 28, 8), normed(256, 128, 7, 8)]


def run(emit: Callable[[dict], None], out_of_time: Callable[[], bool], dry: bool) -> None:
    """Measure each rung, from the first on, and hand each result to `emit`."""
    ours, theirs = Ours(), Theirs()
    for case in cases(theirs.torch, dry):
        drawn = draw(sets_for(4 * sum(int(np.prod(shape)) for shape in case.arrays)), *case.arrays)
        mine, other = ([[library.array(a) for a in arrays] for arrays in drawn] for library in (ours, theirs))
        with theirs.torch.no_grad():
            exact = ours_numpy(case.theirs(*(t.double() for t in other[0])))
            best = measure(theirs, [lambda arrays=arrays, case=case: case.theirs(*arrays) for arrays in other]).seconds
        for rung, function in case.rungs.items():
            row = {"kind": "ladder", "operation": case.operation, "shape": case.shape, "rung": rung, "theirs": best}
            if out_of_time():
                emit({"kind": "cut", "part": "ladder", "at": f"{rung} of {case.operation}, {case.shape}"})
                return
            emit(row | measured(case, function, ours, mine, exact))


def measured(case: Case, function: Callable, ours: Ours, mine: list[list[Any]], exact: np.ndarray) -> dict:
    """Its seconds, or why there are none."""
    try:
        error = relative(ours.numpy(case.ours(function, *mine[0])), exact)
        if not error <= TOLERANCE:
            return {"wrong": error}
        time = measure(ours, [lambda arrays=arrays: case.ours(function, *arrays) for arrays in mine])
        return {"seconds": time.seconds, "spread": round(time.spread, 3), "graph": time.graph, "error": error}
    except Exception as problem:  # one rung must not cost the others
        return {"failed": f"{type(problem).__name__}: {problem}"[:300]}
    finally:
        ours.kept = []
