"""The choice of a tile, and of the number of splits, for a convolution's matrix product.

A rough model of the time, in GPU cycles, chooses. A large tile reads least per multiply-add, but a
small problem makes too few large tiles to occupy all multiprocessors. Splitting the sum over k
makes more blocks, at the price of a second kernel that adds the parts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Tile(NamedTuple):
    m: int
    n: int
    depth: int  # k per slab
    cycles: int  # a multiprocessor's, for a slab of one block, while it has enough other blocks
    latency: int  # cycles from slab to slab of a block that is alone
    resident: int  # blocks that fit into a multiprocessor
    halo: bool = False  # csrc/conv2d/halo.h: 3 x 3 kernels of stride 1; keeps no table of its k


class Product(NamedTuple):
    """result[m, n] = sum over k, `copies` times (groups, or groups and stride classes)."""

    m: int
    n: int
    k: int
    copies: int
    result_size: int


class Plan(NamedTuple):
    tile: int
    splits: int


# The tiles of csrc/conv2d/fast.cu, tf32.h and tf32_halo_tiles.h, in their order. Those with a halo
# come last, so that the others keep their numbers without them. `cycles` and `latency` are fitted
# to the seconds of all plans that were timed on an H200 (docs/benchmarks/nvidia-h200.json), of a
# clock of 1.755 GHz, so that the cheapest plan by the model is the fastest one or close to it.
# tests/kernels/test_plan.py says how close; for shapes that were not fitted it is less close
# (docs/benchmarks/gpu_predictions.md). They absorb what the model leaves out.
FAST = (
    Tile(128, 128, 8, 1980, 2560, 2), Tile(64, 128, 8, 990, 2350, 3),
    Tile(32, 128, 8, 550, 1850, 6), Tile(64, 64, 8, 500, 1170, 4), Tile(32, 32, 8, 180, 780, 8),
)  # fmt: skip
HALO_TF32 = (
    Tile(64, 128, 72, 3130, 7610, 3, halo=True), Tile(32, 128, 72, 1800, 4790, 6, halo=True),
    Tile(64, 64, 72, 1810, 4180, 4, halo=True),
)  # fmt: skip
HALO_TF32X3 = (
    Tile(64, 128, 72, 5120, 8300, 3, halo=True), Tile(32, 128, 72, 3530, 4700, 6, halo=True),
    Tile(64, 64, 72, 3400, 5420, 4, halo=True),
)  # fmt: skip
TF32 = (
    Tile(64, 128, 16, 990, 1200, 3), Tile(32, 128, 16, 520, 1910, 6),
    Tile(64, 64, 16, 540, 1540, 3), Tile(32, 64, 16, 480, 900, 6),
    Tile(128, 64, 16, 960, 1590, 3), *HALO_TF32,
)  # fmt: skip
TF32X3 = (
    Tile(64, 128, 16, 1450, 3070, 3), Tile(32, 128, 16, 930, 2860, 6),
    Tile(64, 64, 16, 650, 1460, 3), Tile(32, 64, 16, 500, 1540, 6),
    Tile(128, 64, 16, 1540, 1510, 2), *HALO_TF32X3,
)  # fmt: skip
# The same for weight gradients, whose k are pixels.
FAST_GRADIENT = (
    Tile(128, 128, 8, 1470, 2200, 2), Tile(64, 128, 8, 770, 2070, 3),
    Tile(32, 128, 8, 420, 1670, 6), Tile(64, 64, 8, 430, 1200, 4),
    Tile(32, 32, 8, 160, 1180, 8),
)  # fmt: skip
TF32_GRADIENT = (
    Tile(64, 96, 16, 550, 1630, 3), Tile(32, 96, 16, 590, 1200, 4),
    Tile(64, 64, 16, 400, 1010, 3), Tile(32, 64, 16, 290, 1120, 6),
    Tile(128, 96, 16, 850, 2360, 2),
)  # fmt: skip
TF32X3_GRADIENT = (
    Tile(64, 96, 16, 920, 2480, 3), Tile(32, 96, 16, 550, 2350, 4),
    Tile(64, 64, 16, 670, 1710, 3), Tile(32, 64, 16, 470, 2000, 6),
    Tile(128, 96, 16, 1360, 2480, 1),
)  # fmt: skip

START = 3000  # cycles of a launch
START_OF_BLOCK = 3  # slabs' time: its tables, its first slabs, its results
START_WITH_HALO = 1  # of slabs that are 4 times as deep
FLOATS_PER_CYCLE = 400  # that the memory of the whole GPU delivers
MAX_TABLE = 36 * 1024 // 12  # k whose table fits into shared memory (csrc/conv2d/correlate.h)
MAX_PARTS = 2**26  # floats
MAX_COPIES = 2**16 - 1  # copies * splits of a launch: the third size of a CUDA grid
SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


def ceil_div(count: int, size: int) -> int:
    """How many pieces of `size` cover `count` things."""
    return -(-count // size)


def cycles(product: Product, tile: Tile, splits: int, multiprocessors: int) -> float:
    """The estimated time of the product, cut into `splits` parts."""
    blocks = ceil_div(product.m, tile.m) * ceil_div(product.n, tile.n) * product.copies * splits
    slabs = ceil_div(ceil_div(product.k, tile.depth), splits)
    slabs += START_WITH_HALO if tile.halo else START_OF_BLOCK
    full_rounds, rest = divmod(ceil_div(blocks, multiprocessors), tile.resident)
    slab = full_rounds * max(tile.latency, tile.resident * tile.cycles)
    slab += max(tile.latency, rest * tile.cycles) if rest else 0
    parts = 2 * splits * product.result_size
    adding_parts = START + parts / FLOATS_PER_CYCLE if splits > 1 else 0
    return START + slabs * slab + adding_parts


def plan(product: Product, tiles: tuple[Tile, ...], multiprocessors: int, table: bool) -> Plan:
    """The tile and the splits with the least estimated time.

    table: the kernel keeps a table of its k in shared memory.
    """
    return candidates(product, tiles, multiprocessors, table)[0]


@lru_cache(maxsize=4096)
def candidates(
    product: Product, tiles: tuple[Tile, ...], multiprocessors: int, table: bool
) -> tuple[Plan, ...]:
    """Plans worth trying, the best estimate first: the best eight, and the best of each tile."""
    choices = sorted({
        (cycles(product, tile, splits, multiprocessors), Plan(number, splits))
        for number, tile in enumerate(tiles)
        for splits in (*SPLITS, *full_rounds(product, tile, multiprocessors))
        if fits(product, tile, splits, table)
    })  # fmt: skip
    of_each_tile = {choice.tile: choice for _, choice in reversed(choices)}
    return tuple(dict.fromkeys([*(choice for _, choice in choices[:8]), *of_each_tile.values()]))


def full_rounds(product: Product, tile: Tile, multiprocessors: int) -> list[int]:
    """The splits whose blocks are as many as fit into the GPU at a time, once or twice."""
    unsplit = max(1, ceil_div(product.m, tile.m) * ceil_div(product.n, tile.n) * product.copies)
    places = multiprocessors * tile.resident
    return [rounds * places // unsplit for rounds in (1, 2) if rounds * places >= 2 * unsplit]


def fits(product: Product, tile: Tile, splits: int, table: bool) -> bool:
    slabs = ceil_div(product.k, tile.depth)
    table = table and not tile.halo
    if table and ceil_div(slabs, splits) * tile.depth > MAX_TABLE:
        return False
    forced = table and slabs * tile.depth > MAX_TABLE
    if product.copies * splits > MAX_COPIES:
        return False
    return splits == 1 or (
        splits <= slabs and (forced or splits * product.result_size <= MAX_PARTS)
    )
