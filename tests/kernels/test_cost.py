"""The cost counter: its numbers equal those counted by hand on small kernels, and what the headers of csrc claim."""

import numpy as np
import pytest
from support.planted import Library, Program, possible

import minidiff
from minidiff import functional, kernels
from minidiff.kernels.cuda import cost as module
from minidiff.kernels.cuda.library import load

# Each is launched as the second string says; x and y are arrays that begin at a multiple of 256 bytes.
KERNELS = {
    "copy": ("""
        __global__ void kernel(const float* x, float* y, int n) {
            const int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i < n) y[i] = 3 * x[i] + 1;
        }""", 'launch("copy", kernel, 2, 64, 0, nullptr, x, y, 100);'),
    "stride": ("""
        __global__ void kernel(const float* x, float* y) {
            y[threadIdx.x] = x[9 * threadIdx.x + 7];
        }""", 'launch("stride", kernel, 1, 32, 0, nullptr, x, y);'),
    "transpose": ("""
        template <int PITCH>
        __global__ void kernel(const float* x, float* y) {
            __shared__ float tile[32][PITCH];
            for (int row = threadIdx.y; row < 32; row += 4) tile[row][threadIdx.x] = x[row * 10];
            __syncthreads();
            for (int row = threadIdx.y; row < 32; row += 4) y[row * 32 + threadIdx.x] = tile[threadIdx.x][row];
        }""", 'launch("transpose", kernel<PITCH>, 1, dim3(32, 4), 0, nullptr, x, y);'),
    "quads": ("""
        __global__ void kernel(const float* x, float* y) {
            __shared__ __align__(16) float numbers[256];
            const int t = threadIdx.x;
            for (int i = t; i < 256; i += 32) numbers[i] = 1;
            __syncwarp();
            const float4 a = *reinterpret_cast<const float4*>(&numbers[4 * t]);            // each lane its own: 4 wavefronts
            const float4 b = *reinterpret_cast<const float4*>(&numbers[4 * (t / 2)]);      // pairs l, l ^ 1: 2
            const float4 c = *reinterpret_cast<const float4*>(&numbers[4 * (t % 2)]);      // pairs l, l ^ 2: 2
            const float4 d = *reinterpret_cast<const float4*>(&numbers[0]);                // all the same: 2
            const float4 e = *reinterpret_cast<const float4*>(&numbers[8 * t]);            // every other quad: 8
            y[t] = a.x + b.x + c.x + d.x + e.x;
        }""", 'launch("quads", kernel, 1, 32, 0, nullptr, x, y);'),
    "dot": ("""
        __global__ void kernel(const float* x, float* y) {
            __shared__ float sums[4];
            float sum = 0;
            for (int i = threadIdx.x; i < 256; i += 128) sum += x[i] * x[i + 32];
            sum = warp_sum(sum);
            if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
            __syncthreads();
            if (threadIdx.x == 0) y[0] = sums[0] + sums[1] + sums[2] + sums[3];
        }""", 'launch("dot", kernel, 2, 128, 0, nullptr, x, threadIdx_is_0);'),
    "branches": ("""
        __global__ void kernel(const float* x, float* y) {
            float sum = 0;
            for (int k = 0; k < 8; k++) {
                if ((threadIdx.x + k) % 2) continue;      // half of the lanes, other ones each time
                sum += x[threadIdx.x + 32 * k];
            }
            for (int k = 0; k < int(threadIdx.x); k += 8) sum += x[32 * k + threadIdx.x % 8];
            y[threadIdx.x] = sum;
        }""", 'launch("branches", kernel, 1, 32, 0, nullptr, dy, y);'),
    "pieces": ("""
        struct Three { float a, b, c; };
        __global__ void kernel(const Three* x, float* y) {
            const Three three = x[threadIdx.x];
            y[threadIdx.x] = three.a + three.b + three.c;
        }""", 'launch("pieces", kernel, 1, 32, 0, nullptr, (const Three*)x, y);'),
    "asynchronous": ("""
        __global__ void kernel(const float* x, float* y) {
            __shared__ __align__(16) float numbers[128];
            copy_quad_async(&numbers[4 * threadIdx.x], x + 4 * threadIdx.x, threadIdx.x % 2 == 0);
            end_of_copies();
            wait_for_copies<0>();
            y[threadIdx.x] = numbers[4 * threadIdx.x];
        }""", 'launch("asynchronous", kernel, 1, 32, 0, nullptr, x, y);'),
}  # fmt: skip
KERNELS["dot"] = (KERNELS["dot"][0].replace("y[0] =", "y[blockIdx.x] ="), KERNELS["dot"][1].replace("threadIdx_is_0", "y"))

HAND = {
    # 100 numbers by warps of 32, 32, 32 and 4: 4 + 4 + 4 + 1 sectors
    "copy": dict(global_read=400, global_written=400, sectors_read=13 * 32, sectors_written=13 * 32, wavefronts=0, multiply_adds=100,
                 barriers=0),
    # 36 bytes from one to the next: 32 sectors, whose last word each is read first, then the others'
    "stride": dict(global_read=128, sectors_read=32 * 32, sectors_written=128, multiply_adds=0),
    # writes: 32 rows, a wavefront each; reads: 32 columns, 32 wavefronts each
    "transpose 32": dict(wavefronts=32 + 32 * 32, bank_conflicts=32 * 31, shared_read=4096, shared_written=4096, barriers=1,
                         global_read=4096, sectors_read=32 * 32, sectors_written=4096),
    "transpose 33": dict(wavefronts=32 + 32, bank_conflicts=0, barriers=1),
    "quads": dict(wavefronts=8 + 4 + 2 + 2 + 2 + 8, shared_written=1024, shared_read=5 * 512, bank_conflicts=4),
    # 2 blocks of 4 warps read 2 times 2 rows of 4 sectors; 1 + 4 words of shared memory; 2 multiply-adds a thread
    "dot": dict(sectors_read=2 * 4 * 2 * 2 * 128, sectors_written=64, wavefronts=2 * (4 + 4), multiply_adds=2 * 128 * 2, barriers=2,
                multiplications=512, additions=512 + 2 * 128 * 5 + 2 * 3),
    # first loop: every second number of 32 in a row, 4 sectors, 8 times. Second: k = 0, 8, 16, 24 for the lanes beyond k, one sector each
    "branches": dict(global_read=4 * (8 * 16 + 31 + 23 + 15 + 7), sectors_read=32 * (8 * 4 + 4), sectors_written=128),
    # three loads of 4 bytes, 12 bytes apart: each touches all 12 sectors
    "pieces": dict(global_read=384, sectors_read=3 * 12 * 32, sectors_written=128),
    # half of the lanes read 16 bytes, 32 apart: a sector each; all write
    "asynchronous": dict(global_read=256, sectors_read=16 * 32, shared_written=512, shared_read=128, wavefronts=4 + 4, sectors_written=128),
}  # fmt: skip


def program(name):
    kernel, _, pitch = name.partition(" ")
    text, call = KERNELS[kernel]
    return Program(text, call.replace("PITCH", pitch))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if not possible():
        pytest.skip("needs g++ and the sources")
    return Library(tmp_path_factory.mktemp("costs"), [program(name) for name in HAND], optimization="-Og", pieces=1)


@pytest.mark.parametrize("name", HAND)
def test_the_counter_equals_a_count_by_hand(library, name):
    costs = library.costs(list(HAND).index(name))
    assert {key: costs[key] for key in HAND[name]} == HAND[name]


def test_count_gives_a_line_for_each_launch(emulated):
    x, weight = np.ones((1, 16, 4, 4), np.float32), np.ones((16, 16, 1, 1), np.float32)
    with kernels.count() as costs:
        with minidiff.use_kernels(conv2d="tiled"):
            functional.conv2d(minidiff.Tensor(x), minidiff.Tensor(weight))
    assert [cost.kernel for cost in costs] == ["conv2d_tiled"] and costs[0].grid == (1, 1, 1) and costs[0].block == (16, 16, 1)
    assert costs[0].multiply_adds == 16 * 16 * 16 and costs[0].barriers == 2
    assert costs[0].sectors_read == costs[0].global_read == 2 * 4 * 256 and costs[0].coalescing == 1
    assert 0.9 < costs[0].busy_lanes <= 1
    head, line = str(costs).splitlines()
    assert head.split() == [
        "kernel", "grid", "block", "bytes", "read", "written", "coalescing", "wavefronts", "conflicts", "multiply-adds", "barriers",
        "busy", "lanes"]  # fmt: skip
    assert line.split()[:6] == ["conv2d_tiled", "1x1x1", "16x16x1", "2,048", "1,024", "100%"]


def test_what_is_counted_does_not_depend_on_where_numpy_puts_an_array(emulated):
    """CuPy's arrays begin at multiples of 256 bytes; a view begins where it begins."""
    weight, read = np.ones((1, 1, 1, 1), np.float32), []
    for start in (0, 0, 1):
        x = np.ones(64 + start, np.float32)[start:].reshape(1, 1, 8, 8)
        with kernels.count() as costs, minidiff.use_kernels(conv2d="naive"):
            functional.conv2d(minidiff.Tensor(x), minidiff.Tensor(weight))
        read.append(costs[0].sectors_read - 2 * 32)  # two warps read the weight
    assert read == [2 * 128, 2 * 128, 2 * 160]


def test_counting_ends_with_its_block(emulated):
    with pytest.raises(RuntimeError, match="kernels.count: it counts already"):
        with kernels.count(), kernels.count():
            pass
    with pytest.raises(ZeroDivisionError):
        with kernels.count():
            1 / 0  # noqa: B018
    assert load("cpu")[0].set_counting(False) is False and load("cpu")[0].take_costs() == []


def test_count_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(module, "load", lambda device: (None, "the cpu kernels are not built"))
    with pytest.raises(RuntimeError, match="kernels.count: the cpu kernels are not built"):
        with kernels.count():
            pass
