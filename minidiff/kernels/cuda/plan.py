"""Which tile, and how many splits, a convolution's matrix product runs with: a rough model of the time, in GPU cycles.

A large tile reads least per multiply-add, but a small problem makes too few large tiles to occupy all multiprocessors. Splitting the sum
over k makes more blocks, at the price of a second kernel that adds the parts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Tile(NamedTuple):
    m: int
    n: int
    depth: int  # k per slab
    efficiency: float  # share of the peak that a busy multiprocessor reaches
    resident: int  # blocks that fit into a multiprocessor


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


# In the order of csrc/conv2d/fast.cu and csrc/conv2d/tf32.cu. The efficiencies are estimates.
FAST = (
    Tile(128, 128, 8, 0.75, 2), Tile(64, 128, 8, 0.70, 4), Tile(32, 128, 8, 0.60, 6), Tile(64, 64, 8, 0.60, 4), Tile(32, 32, 8, 0.35, 8),
)  # fmt: skip
TF32 = (Tile(64, 128, 16, 0.90, 3), Tile(32, 64, 16, 0.60, 6))

MULTIPLY_ADDS = 128  # per multiprocessor and cycle
SLAB_LATENCY = 700  # cycles from asking for a slab to having multiplied it, if nothing else runs
START = 2000  # cycles of a launch
FLOATS_PER_CYCLE = 400  # that the memory of the whole GPU delivers
MAX_TABLE = 43 * 1024 // 12  # k whose table fits into shared memory (csrc/conv2d/correlate.h)
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
    blocks_per_processor = ceil_div(blocks, multiprocessors)
    busy = (
        blocks_per_processor
        * slabs
        * tile.m
        * tile.n
        * tile.depth
        / (MULTIPLY_ADDS * tile.efficiency)
    )
    waiting = ceil_div(blocks_per_processor, tile.resident) * slabs * SLAB_LATENCY
    adding_parts = START + 2 * splits * product.result_size / FLOATS_PER_CYCLE if splits > 1 else 0
    return START + max(busy, waiting) + adding_parts


def plan(product: Product, tiles: tuple[Tile, ...], multiprocessors: int, table: bool) -> Plan:
    """The tile and the splits with the least estimated time.    table: the kernel keeps a table of its k in shared memory."""
    return candidates(product, tiles, multiprocessors, table)[0]


@lru_cache(maxsize=4096)
def candidates(
    product: Product, tiles: tuple[Tile, ...], multiprocessors: int, table: bool
) -> tuple[Plan, ...]:
    """Plans that are worth trying, the best estimate first: the best five, and the best of each tile."""
    choices = sorted(
        (cycles(product, tile, splits, multiprocessors), Plan(number, splits))
        for number, tile in enumerate(tiles)
        for splits in SPLITS
        if fits(product, tile, splits, table)
    )
    of_each_tile = {choice.tile: choice for _, choice in reversed(choices)}
    return tuple(dict.fromkeys([*(choice for _, choice in choices[:5]), *of_each_tile.values()]))


def fits(product: Product, tile: Tile, splits: int, table: bool) -> bool:
    slabs = ceil_div(product.k, tile.depth)
    if table and (ceil_div(slabs, splits) + 1) * tile.depth > MAX_TABLE:
        return False
    forced = table and (slabs + 1) * tile.depth > MAX_TABLE
    if product.copies * splits > MAX_COPIES:
        return False
    return splits == 1 or (
        splits <= slabs and (forced or splits * product.result_size <= MAX_PARTS)
    )
