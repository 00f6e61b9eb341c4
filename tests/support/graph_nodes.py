"""How many kernels a step launches, which is how many nodes its CUDA graph has: by the stand-in for CuPy, where kernels of csrc do nothing.

Each call of the stand-in that computes something is one launch; a view and an array that is only allocated are none. A call of csrc is as
many launches as its function makes.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from support.fake_cupy import EmulatedKernels, Watcher, arrays_in

from minidiff.kernels.cuda import library
from minidiff.kernels.cuda.conv2d_launch import GRADIENT_TILES, TILES
from minidiff.kernels.cuda.plan import ROWS, TABLE

ASKING = {
    "has_wgmma", "attention_fast_fits", "attention_tf32x3_fits", "attention_forward_cycles", "conv2d_takes", "conv2d_parts"
}  # functions that launch nothing
ALLOCATING = {"empty", "empty_like"}
MAY_BE_VIEWS = {"getitem", "reshape", "transpose", "swapaxes", "squeeze", "broadcast_to", "ravel", "asarray", "ascontiguousarray"}


class Silent:
    """The kernels' module of a GPU with so many multiprocessors: its functions leave their results as they are, and are counted."""

    def __init__(self, module: Any, multiprocessors: int, nodes: collections.Counter[str]):
        self.module, self.nodes = module, nodes
        self.multiprocessors = lambda: multiprocessors

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.module, name)
        if name.endswith("_refuses") or name in ASKING or not callable(function):
            return function

        def call(*args: Any) -> Any:
            if name in ("attention_fast_parts", "attention_tf32x3_parts"):
                return function(*args)
            for array in arrays_in([getattr(a, "_values", a) for a in args]):
                assert array.flags.c_contiguous
            self.nodes[name] += launches(name, args)
            return None

        return call


def launches(name: str, args: tuple[Any, ...]) -> int:
    """Kernels that one call of csrc launches."""
    if name in ("conv2d", "conv2d_input_gradient", "conv2d_weight_gradient"):
        tile, splits = args[-4:-2]  # before parts and stream
        weights = name == "conv2d_weight_gradient"
        kind = (GRADIENT_TILES if weights else TILES)[args[0]][tile].kind if args[0] in TILES else TABLE
        preparing = kind != TABLE and not weights  # the source or the weights are written anew
        adding_parts = splits > 1 or kind == ROWS
        bias_alone = name == "conv2d_weight_gradient" and args[0] in ("naive", "tiled") and args[-5]
        return 1 + preparing + adding_parts + bias_alone
    return {"attention_backward": 2, "group_norm_backward": 2}.get(name, 1)


@contextlib.contextmanager
def counted(watcher: Watcher, multiprocessors: int = 132) -> Iterator[collections.Counter[str]]:
    """Inside of fake_cupy.installed(): the launches of the block, by the names of the functions."""
    nodes: collections.Counter[str] = collections.Counter()
    after, load = watcher.after, library.load

    def count(function: Any, args: Any, kwargs: Any, result: Any) -> None:
        name = getattr(function, "__name__", "")
        results = arrays_in(getattr(result, "_values", result), scalars=True)
        view = name in MAY_BE_VIEWS and all(np.may_share_memory(r, g) for r in results for g in arrays_in((args, kwargs)))
        if name not in ALLOCATING and not view:
            nodes[name] += 1
        after(function, args, kwargs, result)

    def silent(device: str) -> tuple[Any, str]:
        module, reason = load(device)
        if isinstance(module, EmulatedKernels):
            return Silent(module.module, multiprocessors, nodes), ""
        return module, reason

    watcher.after, library.load = count, silent
    try:
        yield nodes
    finally:
        watcher.after, library.load = after, load
