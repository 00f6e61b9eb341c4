"""Times each tile of attention's kernels alone, and the backward pass with each number of parts: what their models are fitted to.

    python benchmarks/attention_tiles.py                     # on a GPU, less than a minute
    python benchmarks/attention_tiles.py --dry-run           # emulated, one small shape: only whether it runs

The models are `cycles` in csrc/attention/fast_forward.cu and tf32_forward.cu, attention_tf32x3_parts in tf32_backward.cu, and
TENSOR_CORES_FROM in minidiff/kernels/cuda/attention.py.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from gpu_shapes import BATCHES, SHAPES

from minidiff.kernels.cuda.library import load

TILES = {"fast": ("small", "narrow", "medium", "large"), "tf32x3": ("small", "large")}
PARTS = (1, 2, 4, 8)
ROUNDS, LAUNCHES = 5, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="emulated, one small shape")
    options = parser.parse_args()
    if options.dry_run:
        shapes, xp, microseconds = [(1, *SHAPES["attention"][-1])], np, by_clock
    else:
        import cupy as xp

        microseconds = by_events(xp)
        shapes = [(batch, *shape) for shape in SHAPES["attention"][:-1] for batch in BATCHES]
    module, why = load("cpu" if options.dry_run else "cuda")
    if module is None:
        raise SystemExit(f"attention_tiles.py: {why}")
    print("| heads, tokens, size | version | forward, by tile | backward, by parts (the model's: *) |\n|---|---|---|---|")
    for batch, heads, tokens, size in shapes:
        rng = np.random.default_rng(0)
        q, k, v, dy = (xp.asarray(rng.standard_normal((batch, heads, tokens, size), dtype=np.float32)) for _ in range(4))
        for version in TILES:
            forward, backward = cells(module, xp, microseconds, version, q, k, v, dy)
            print(f"| {batch * heads}, {tokens}, {size} | {version} | {forward} | {backward} |", flush=True)


def cells(module: Any, xp: Any, microseconds: Callable, version: str, q: Any, k: Any, v: Any, dy: Any) -> tuple[str, str]:
    """ "small 12.3, large 10.1", "1* 45.6, 2 41.0"; the sum over the parts is in the time."""
    heads, tokens, size = q.shape[0] * q.shape[1], q.shape[2], q.shape[3]
    y, lse, delta, dk, dv = (xp.empty(shape, "float32") for shape in (q.shape, q.shape[:-1], q.shape[:-1], k.shape, v.shape))
    inputs = version, q, k, v, None, False, 1 / math.sqrt(size), y, lse

    def forward(tile: str) -> Callable:
        return lambda: module.attention_forward(*inputs, tile, 0)

    def backward(parts: int) -> Callable:
        dq = xp.empty((parts, *q.shape), "float32")

        def run() -> Any:
            module.attention_backward(*inputs, dy, delta, dq, dk, dv, "auto", 0)
            return dq[0] if parts == 1 else dq.sum(axis=0)

        return run

    tiles = ("auto", *TILES[version]) if size <= 32 or version == "tf32x3" else ("auto", "small", "medium", "large")
    by_tile = ", ".join(f"{tile} {microseconds(forward(tile)):.1f}" for tile in tiles)
    chosen = getattr(module, f"attention_{version}_parts")(heads, tokens, size)
    all_parts = sorted({chosen, *(parts for parts in PARTS if parts <= math.ceil(tokens / 64))})
    return by_tile, ", ".join(f"{parts}{'*' * (parts == chosen)} {microseconds(backward(parts)):.1f}" for parts in all_parts)


def by_clock(run: Callable) -> float:
    """Microseconds of one call, on a processor."""
    start = time.perf_counter()
    run()
    return 1e6 * (time.perf_counter() - start)


def by_events(xp: Any) -> Callable[[Callable], float]:
    """Microseconds of one of LAUNCHES calls that follow each other on a GPU, the median of ROUNDS."""

    def microseconds(run: Callable) -> float:
        run()
        times = []
        for _ in range(ROUNDS):
            start, end = xp.cuda.Event(), xp.cuda.Event()
            start.record()
            for _ in range(LAUNCHES):
                run()
            end.record()
            end.synchronize()
            times.append(1e3 * xp.cuda.get_elapsed_time(start, end) / LAUNCHES)
        return statistics.median(times)

    return microseconds


if __name__ == "__main__":
    main()
