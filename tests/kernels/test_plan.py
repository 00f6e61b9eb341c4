"""The choice of tiles and splits: not that it is the fastest, which only a GPU can say, but that it is possible and reasonable."""

import pytest

from minidiff.kernels.cuda import plan as planning
from minidiff.kernels.cuda.plan import FAST, MAX_PARTS, MAX_TABLE, TF32, TF32X3, Plan, Product

H100 = 132  # multiprocessors


def blocks(product, plan, tiles=FAST):
    tile = tiles[plan.tile]
    return -(-product.m // tile.m) * -(-product.n // tile.n) * product.copies * plan.splits


@pytest.mark.parametrize("images", [1, 32, 128])
@pytest.mark.parametrize("size, channels", [(28, 32), (28, 64), (14, 64), (7, 128)])
def test_a_unets_convolutions_occupy_most_of_the_gpu(images, size, channels):
    pixels = images * size * size
    product = Product(channels, pixels, 9 * channels, 1, pixels * channels)
    assert blocks(product, planning.plan(product, FAST, H100, table=True)) >= H100 // 2


def test_a_large_problem_needs_no_splits_and_no_small_tiles():
    product = Product(128, 128 * 28 * 28, 9 * 128, 1, 128 * 128 * 28 * 28)
    assert planning.plan(product, FAST, H100, table=True) == Plan(0, 1)


def test_a_long_sum_is_split():
    product = Product(64, 9 * 64, 128 * 28 * 28, 1, 64 * 9 * 64)
    assert planning.plan(product, FAST, H100, table=False).splits >= 8


@pytest.mark.parametrize("tiles", [FAST, TF32, FAST + TF32X3])
@pytest.mark.parametrize("product", [
    Product(1, 1, 1, 1, 1),
    Product(8, 1, 0, 1, 8),
    Product(2048, 2**21, 9 * 2048, 1, 2**31 - 2**17),
    Product(1, 100, 9, 512, 51200),
])  # fmt: skip
def test_every_problem_has_a_plan_that_fits(product, tiles):
    tile, splits = planning.plan(product, tiles, H100, table=True)
    slabs = -(-product.k // tiles[tile].depth)
    too_long = not tiles[tile].halo and slabs * tiles[tile].depth > MAX_TABLE  # with a halo there is no table
    assert tiles[tile].halo or -(-slabs // splits) * tiles[tile].depth <= MAX_TABLE
    assert splits == 1 or splits * product.result_size <= MAX_PARTS or too_long


def test_more_work_never_takes_less_time():
    small, large = Product(64, 1000, 576, 1, 64000), Product(64, 2000, 576, 1, 128000)
    for tile in FAST + TF32 + TF32X3:
        assert planning.cycles(small, tile, 1, H100) <= planning.cycles(large, tile, 1, H100)
