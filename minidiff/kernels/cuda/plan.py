"""The choice of a tile, and of the number of splits, for a convolution's matrix product.

A rough model of the time, in GPU cycles, chooses. A large tile reads least per multiply-add, but a
small problem makes too few large tiles to occupy all multiprocessors. Splitting the sum over k
makes more blocks, at the price of a second kernel that adds the parts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

# The kinds of tiles: with a table of their k in shared memory; with channels last
# (csrc/conv2d/channels_last.h); for Hopper's wgmma (csrc/conv2d/warpgroup.h), pixels with what is
# around them, or, of weight gradients, whole rows of pixels.
TABLE, CHANNELS_LAST, HALO, ROWS = "table", "channels last", "halo", "rows"


class Tile(NamedTuple):
    m: int
    n: int
    depth: int  # k per slab
    cycles: int  # a multiprocessor's, for a slab of one block, while it has enough other blocks
    latency: int  # cycles from slab to slab of a block that is alone
    resident: int  # blocks that fit into a multiprocessor
    kind: str = TABLE

    @property
    def blocks(self) -> int:
        """How many share the m x n results: with whole rows, each has the taps of a kernel row."""
        return 3 if self.kind == ROWS else 1


# By their number in a plan; None where one is not for the convolution.
Tiles = tuple[Tile | None, ...]


class Product(NamedTuple):
    """result[m, n] = sum over k, `copies` times (groups, or groups and stride classes)."""

    m: int
    n: int
    k: int
    copies: int
    result_size: int
    transposed: int = 0  # numbers that tiles with channels last write anew


class Plan(NamedTuple):
    tile: int
    splits: int


# The tiles of csrc/conv2d/fast.cu, tf32.h, tf32_channels_last.h and tf32_warpgroup.h, in their
# order. `cycles` and `latency` are fitted to the seconds of all plans that were timed on an H200
# (docs/benchmarks/nvidia-h200.json), of a clock of 1.755 GHz, so that the cheapest plan by the
# model is the fastest one or close to it. tests/kernels/test_plan.py says how close; for shapes
# that were not fitted it is less close (docs/benchmarks/gpu_predictions.md). They absorb what the
# model leaves out.
FAST = (
    Tile(128, 128, 8, 1510, 1960, 2), Tile(64, 128, 8, 730, 1740, 3),
    Tile(32, 128, 8, 450, 1500, 6), Tile(64, 64, 16, 920, 2040, 4), Tile(32, 32, 8, 140, 550, 8),
)  # fmt: skip
TF32_CHANNELS_LAST = (
    Tile(64, 128, 16, 460, 900, 3, CHANNELS_LAST),
    Tile(32, 128, 16, 340, 330, 4, CHANNELS_LAST),
    Tile(64, 64, 16, 260, 520, 4, CHANNELS_LAST),
)  # fmt: skip
TF32X3_CHANNELS_LAST = (
    Tile(64, 128, 16, 870, 1820, 3, CHANNELS_LAST),
    Tile(32, 128, 16, 530, 1010, 3, CHANNELS_LAST),
    Tile(64, 64, 16, 460, 1200, 3, CHANNELS_LAST),
)  # fmt: skip
TF32_HALO = (
    Tile(128, 128, 72, 2560, 2700, 1, HALO), Tile(64, 192, 72, 2180, 2320, 2, HALO),
    Tile(32, 128, 72, 1250, 1560, 3, HALO), Tile(64, 64, 72, 910, 1920, 4, HALO),
    Tile(128, 192, 72, 3400, 3400, 1, HALO),
)  # fmt: skip
TF32X3_HALO = (
    Tile(64, 128, 72, 2490, 3230, 2, HALO), Tile(64, 192, 72, 3940, 4100, 1, HALO),
    Tile(32, 128, 72, 1640, 2170, 2, HALO), Tile(64, 64, 72, 1660, 2900, 2, HALO),
)  # fmt: skip
TF32 = (
    Tile(64, 128, 16, 810, 1200, 3), Tile(32, 128, 16, 520, 1530, 6),
    Tile(64, 64, 16, 540, 1540, 3), Tile(32, 64, 16, 370, 850, 6), Tile(128, 64, 16, 820, 2460, 3),
    *TF32_CHANNELS_LAST, *TF32_HALO,
)  # fmt: skip
TF32X3 = (
    Tile(64, 128, 16, 1220, 3070, 3), Tile(32, 128, 16, 750, 2860, 6),
    Tile(64, 64, 16, 640, 1900, 3), Tile(32, 64, 16, 380, 1400, 6),
    Tile(128, 64, 16, 1150, 1380, 2), *TF32X3_CHANNELS_LAST,
    *TF32X3_HALO,
)  # fmt: skip
# The same for weight gradients, whose k are pixels.
FAST_GRADIENT = (
    Tile(128, 128, 8, 1390, 2750, 2), Tile(64, 128, 8, 700, 2070, 3),
    Tile(32, 128, 8, 400, 1280, 6), Tile(64, 64, 16, 860, 2400, 4), Tile(32, 32, 8, 150, 1180, 8),
)  # fmt: skip
TF32_GRADIENT = (
    Tile(64, 96, 16, 550, 1630, 3), Tile(32, 96, 16, 510, 1480, 4), Tile(64, 64, 16, 400, 870, 3),
    Tile(32, 64, 16, 290, 1510, 6), Tile(128, 96, 16, 850, 2060, 2),
    Tile(64, 576, 56, 2700, 2700, 1, ROWS), Tile(32, 576, 56, 2000, 2160, 1, ROWS),
    Tile(128, 576, 56, 4200, 4200, 1, ROWS),
)  # fmt: skip
TF32X3_GRADIENT = (
    Tile(64, 96, 16, 920, 2480, 3), Tile(32, 96, 16, 570, 2090, 4), Tile(64, 64, 16, 670, 1580, 3),
    Tile(32, 64, 16, 390, 2160, 6), Tile(128, 96, 16, 1360, 2080, 1),
    Tile(64, 576, 56, 3650, 3650, 1, ROWS), Tile(32, 576, 56, 2650, 2650, 1, ROWS),
)  # fmt: skip

START = 3000  # cycles of a launch
# Slabs' time of a block: its tables, its first slabs, its results.
START_OF_BLOCK = {TABLE: 3, CHANNELS_LAST: 3, HALO: 0.7, ROWS: 0.5}
TRANSPOSING = 11900  # cycles of the launch that writes the source anew, beside its bytes
ARRANGING = 4000  # ... of the launch that arranges the weights
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
    blocks = splits * unsplit_blocks(product, tile)
    slabs = ceil_div(ceil_div(product.k, tile.depth), splits) + START_OF_BLOCK[tile.kind]
    full_rounds, rest = divmod(ceil_div(blocks, multiprocessors), tile.resident)
    slab = full_rounds * max(tile.latency, tile.resident * tile.cycles)
    slab += max(tile.latency, rest * tile.cycles) if rest else 0
    parts = 2 * splits * product.result_size
    adding_parts = START + parts / FLOATS_PER_CYCLE if splits > 1 or tile.kind == ROWS else 0
    before = 0.0
    if tile.kind == CHANNELS_LAST:
        before = TRANSPOSING + 2 * product.transposed / FLOATS_PER_CYCLE
    elif tile.kind == HALO:
        before = ARRANGING
    return START + before + slabs * slab + adding_parts


def unsplit_blocks(product: Product, tile: Tile) -> int:
    tiles = ceil_div(product.m, tile.m) * ceil_div(product.n, tile.n)
    return tiles * tile.blocks * product.copies


def plan(product: Product, tiles: Tiles, multiprocessors: int, table: bool) -> Plan:
    """The tile and the splits with the least estimated time.

    table: the kernel keeps a table of its k in shared memory.
    """
    return candidates(product, tiles, multiprocessors, table)[0]


@lru_cache(maxsize=4096)
def candidates(
    product: Product, tiles: Tiles, multiprocessors: int, table: bool
) -> tuple[Plan, ...]:
    """Plans worth trying, the best estimate first: the best eight, and the best of each tile."""
    choices = sorted({
        (cycles(product, tile, splits, multiprocessors), Plan(number, splits))
        for number, tile in enumerate(tiles) if tile is not None
        for splits in (*SPLITS, *full_rounds(product, tile, multiprocessors))
        if fits(product, tile, splits, table)
    })  # fmt: skip
    of_each_tile = {choice.tile: choice for _, choice in reversed(choices)}
    return tuple(dict.fromkeys([*(choice for _, choice in choices[:8]), *of_each_tile.values()]))


def full_rounds(product: Product, tile: Tile, multiprocessors: int) -> list[int]:
    """The splits whose blocks are as many as fit into the GPU at a time, once or twice."""
    unsplit = max(1, unsplit_blocks(product, tile))
    places = multiprocessors * tile.resident
    return [rounds * places // unsplit for rounds in (1, 2) if rounds * places >= 2 * unsplit]


def fits(product: Product, tile: Tile, splits: int, table: bool) -> bool:
    slabs = ceil_div(product.k, tile.depth)
    table = table and tile.kind == TABLE
    if table and ceil_div(slabs, splits) * tile.depth > MAX_TABLE:
        return False
    forced = table and slabs * tile.depth > MAX_TABLE
    if product.copies * splits > MAX_COPIES:
        return False
    return splits == 1 or (
        splits <= slabs and (forced or splits * product.result_size <= MAX_PARTS)
    )
