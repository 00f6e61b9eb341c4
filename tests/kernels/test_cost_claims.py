"""What the headers of csrc claim about bytes and operations, against the cost counter."""

import numpy as np
import pytest
from support.planted import Bug, Library, Program, flattened, possible

import minidiff
from minidiff import functional, kernels
from minidiff.kernels.cuda import conv2d_launch
from minidiff.kernels.cuda.library import load
from minidiff.kernels.cuda.plan import Plan

# 1 x 1, of 64 channels, on 64 pixels: all tiles are full
CONV = conv2d_launch.Conv(1, 64, 8, 8, 64, 1, 1, 8, 8, 1, 1, 0, 0, 1, 1, 1)
WORK = 64 * 64 * 64  # multiply-adds
SMALLEST = Plan(4, 1)  # tiles of 32 x 32
SUMS = ("conv2d", "conv2d_input_gradient", "conv2d_weight_gradient")


def numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@pytest.fixture(scope="module")
def costs():
    """By kernel."""
    if load("cpu")[0] is None:
        pytest.skip(load("cpu")[1])
    x, weight, dy = numbers(*CONV.x_shape), numbers(*CONV.weight_shape), numbers(*CONV.y_shape)
    q = minidiff.Tensor(numbers(1, 2, 64, 32), requires_grad=True)
    long, short = (minidiff.Tensor(numbers(*shape), requires_grad=True) for shape in ((2, 24, 28, 28), (2, 64, 7, 7)))
    with kernels.count() as counted:
        for version in ("naive", "tiled", "fast"):
            conv2d_launch.forward(version, CONV, x, weight, plan=SMALLEST)
            conv2d_launch.input_gradient(version, CONV, dy, weight, plan=SMALLEST)
            conv2d_launch.weight_gradient(version, CONV, dy, x, plan=SMALLEST)
            with minidiff.use_kernels(attention=version):
                functional.attention(q, q, q)
        with minidiff.use_kernels(attention="tf32x3"):
            functional.attention(q, q, q).sum().backward()
        with minidiff.use_kernels(group_norm="fast"):
            for z in (long, short):
                functional.group_norm(z, 4).sum().backward()
    return {cost.kernel: cost for cost in counted}


@pytest.mark.parametrize("name", SUMS)
def test_a_convolution_makes_a_multiply_add_for_each_term(costs, name):
    """conv2d.h: 2 N O I J (C / groups) U V operations."""
    for version in ("naive", "tiled", "fast"):
        assert costs[f"{name}_{version}"].multiply_adds == WORK


@pytest.mark.parametrize("name", SUMS)
def test_naive_reads_8_bytes_a_term_and_tiled_a_sixteenth(costs, name):
    """naive.cu: every term reads two numbers from global memory. tiled.cu: 1/16 of that, but two from shared memory."""
    assert costs[f"{name}_naive"].global_read == 8 * WORK
    assert costs[f"{name}_tiled"].global_read == 8 * WORK / 16
    assert costs[f"{name}_tiled"].shared_read == 8 * WORK
    assert costs["conv2d_tiled"].bank_conflicts == 0  # docs/ladder.md: a padded tile has some


@pytest.mark.parametrize("name", SUMS)
def test_a_block_of_fast_reads_m_plus_n_numbers_for_m_n_multiply_adds(costs, name):
    """correlate.h, weight_gradient.h: (M + N) K numbers for M N K multiply-adds."""
    m = n = 32
    cost = costs[f"{name}_fast"]
    assert cost.multiply_adds / (cost.global_read / 4) == m * n / (m + n)
    # tile.h: rows + columns numbers for rows * columns multiply-adds; the tables of k and of pixels are read, too
    assert 8 / 16 <= cost.shared_read / 4 / cost.multiply_adds < 1.2 * 8 / 16


def test_attention_reads_what_its_headers_say(costs):
    """forward.cu, fast_forward.cu, for 2 heads of 64 tokens of 32 numbers."""
    h, T, D = 2, 64, 32
    queries = 32  # of a block
    work = 2 * h * T * T * D
    for version in ("naive", "tiled", "fast"):
        assert work <= costs[f"attention_{version}"].multiply_adds < 1.05 * work
    assert costs["attention_naive"].global_read == 4 * h * D * 3 * T * T
    assert costs["attention_tiled"].global_read == 4 * h * D * 3 * T
    assert costs["attention_fast"].global_read == 4 * h * D * (T + 2 * T * (T // queries))
    assert costs["attention_tiled"].shared_read > 1.8 * costs["attention_fast"].shared_read


def test_attention_has_no_bank_conflicts(costs):
    """tiles.h, tf32_tiles.h: lanes of different rows or columns read from different banks."""
    assert costs["attention_fast"].bank_conflicts == 0
    assert costs["attention_tf32x3"].bank_conflicts == 0
    backward = costs["attention_backward_tf32x3"]
    assert backward.bank_conflicts < 0.07 * backward.wavefronts  # writing dS alone has any


def test_attention_on_tensor_cores_makes_three_products_for_one(costs):
    """tf32_forward.cu, tf32_backward.cu, for 2 heads of 64 tokens of 32 numbers: whole tiles. Exponentials and the sums of tiles come on top."""
    h, T, D = 2, 64, 32
    for kernel, products in (("attention_tf32x3", 2), ("attention_backward_tf32x3", 5)):
        work = 3 * products * h * T * T * D
        assert work <= costs[kernel].multiply_adds < 1.02 * work
    assert costs["attention_tf32x3"].global_read == 4 * h * 3 * T * D  # a block has 64 queries


def test_group_norm_moves_8_and_12_bytes_a_number(costs):
    """group_norm.h, forward: x read, y written; backward: x and dy read, dx written. Apart from those of each channel or group."""
    check = [
        (2 * 24 * 28 * 28, "group_norm_fast", "group_norm_backward_fast", 12.6),
        # a group has 784 numbers and 16 channels, so that what belongs to each of them counts
        (2 * 64 * 7 * 7, "group_norm_in_registers", "group_norm_backward_short", 13),
    ]
    for size, *names, most in check:
        forward, backward = (costs[name] for name in names)
        assert 8 <= (forward.sectors_read + forward.sectors_written) / size < 8.5
        assert 12 <= (backward.sectors_read + backward.sectors_written) / size < most
        assert forward.bank_conflicts == 0


def test_group_norm_of_short_channels_has_one_barrier(costs):
    """backward_short.cu: each pack of four leaves two pairs of sums in shared memory; a channel reads them once."""
    backward = costs["group_norm_backward_short"]
    blocks, warps, packs = 2 * 4, 2, 2 * 64 * 49 // 4
    assert backward.barriers == blocks
    of_block = 8 * blocks * warps  # a pair for each warp, which all threads read
    assert backward.shared_written == 16 * packs + of_block
    ends = 2 * 64 - blocks  # a channel reads the pack before its first, whether or not that crosses; a group's first channel does not
    assert backward.shared_read == 16 * (packs + ends) + 32 * warps * of_block


def header(name):
    """Its text, for a program's namespace."""
    return flattened(Bug(name, "", "", "", ""))


TILE = """
using Tile = RegisterTile<64, 64, 8, 4, 4>;
__global__ void kernel(float* y) {
    __shared__ __align__(16) Stage<Tile> stage;
    for (int i = threadIdx.x; i < 64 * Tile::DEPTH; i += Tile::THREADS)
        stage.a.at(i / 64, i % 64) = stage.b.at(i / 64, i % 64) = 1;
    __syncthreads();
    Tile tile;
    tile.multiply_add(stage.a, stage.b, [](int) {});
    y[threadIdx.x] = tile.sum[0][0];
}"""
# Two reads of 16 bytes: an operand by rows, and one by columns. ROW, COLUMN: where a lane stands.
PLACES = """
__global__ void kernel(const float* x, float* y) {
    __shared__ __align__(16) float numbers[32];
    numbers[threadIdx.x] = 1;
    __syncwarp();
    const int row = ROW, column = COLUMN;
    const float4 a = *reinterpret_cast<const float4*>(&numbers[4 * row]);
    const float4 b = *reinterpret_cast<const float4*>(&numbers[4 * column]);
    y[threadIdx.x] = a.x + b.x;
}"""


def places(row, column):
    text = header("common/warp_place.h") + PLACES.replace("ROW", row).replace("COLUMN", column)
    return Program(text, 'launch("places", kernel, 1, 32, 0, nullptr, x, y);')


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if not possible():
        pytest.skip("needs g++ and the sources")
    programs = [
        Program(header("common/tile.h") + TILE, 'launch("tile", kernel, 1, Tile::THREADS, 0, nullptr, y);'),
        places("WarpPlace().row", "WarpPlace().column"),
        places("threadIdx.x / 8", "threadIdx.x % 8"),
    ]
    return Library(tmp_path_factory.mktemp("claims"), programs, optimization="-Og", pieces=1)


def test_a_register_tile_reads_at_the_full_rate(library):
    """tile.h: per k, a thread reads ROWS + COLUMNS numbers for ROWS * COLUMNS multiply-adds, by reads of two wavefronts a warp."""
    rows, columns, depth, threads = 8, 4, 8, 128
    cost = library.costs(0)
    assert cost["multiply_adds"] == threads * depth * rows * columns
    assert cost["shared_read"] == threads * depth * (rows + columns) * 4
    written = 2 * 64 * depth // 32
    assert cost["wavefronts"] == written + threads // 32 * depth * (rows // 4 + columns // 4) * 2
    assert cost["bank_conflicts"] == 0


def test_lanes_by_warp_place_read_in_two_wavefronts_where_row_by_row_takes_two_and_four(library):
    """warp_place.h."""
    written = 1
    assert library.costs(1)["wavefronts"] == written + 2 + 2
    assert library.costs(2)["wavefronts"] == written + 2 + 4
