"""Do the checks of the emulator find bugs? One mistake at a time is made in a copy of a kernel, and each must be found."""

import re

import pytest
from support.planted import Bug, Program, flattened, library_of

THREAD = r"thread \(\d+,\d+,\d+\) of block \(\d+,\d+,\d+\)"
TILED, NAIVE, FAST, TILE = "conv2d/tiled.cu", "conv2d/naive.cu", "conv2d/fast.cu", "common/tile.h"
CORRELATE, WEIGHT, NORM, PARTS = "conv2d/correlate.h", "conv2d/weight_gradient.h", "group_norm/forward.cu", "group_norm/parts.h"
TRANSPOSE, CHANNELS_LAST_TILES, CHANNELS_LAST = "conv2d/channels_last.cu", "conv2d/tf32_channels_last.h", "conv2d/channels_last_correlate.h"

BUGS = {
    # shared memory
    "no barrier after the loads": Bug(
        TILED, TILED, "__syncthreads();  // the tiles are complete", "",
        rf"shared memory that nobody has written: {THREAD} reads at conv2d/tiled.cu:\d+"),
    "no barrier before the next tile": Bug(
        TILED, TILED, "__syncthreads();  // nobody needs them any more", "",
        rf"data race in shared memory: {THREAD} (read|wrote) at conv2d/tiled.cu:\d+ and {THREAD} (reads|writes) at conv2d/tiled.cu:\d+"),
    "half of a tile is never loaded": Bug(
        TILED, TILED, "        right_tile[y][x] = first_k", "        if (x < 8) right_tile[y][x] = first_k",
        rf"shared memory that nobody has written: {THREAD} reads at conv2d/tiled.cu:\d+"),
    "an index beyond the tile": Bug(
        TILED, TILED, "for (int k = 0; k < TILE; k++)", "for (int k = 0; k <= TILE; k++)",
        rf"index 16 is out of range at conv2d/tiled.cu:\d+ in {THREAD}|shared memory that nobody has written"),
    "sums of warps read without a barrier": Bug(
        NAIVE, NAIVE, "    __syncthreads();\n    if (warp != 0) return;", "    if (warp != 0) return;",
        rf"shared memory that nobody has written: {THREAD} reads at conv2d/naive.cu:\d+|data race in shared memory"),
    "the other slab overwritten too early": Bug(
        FAST, TILE, "copy(next, stages[free], ", "copy(next, stages[now], ",
        r"data race in shared memory: .* at conv2d/(correlate|weight_gradient).h:\d+|a copy that is on its way"),
    "no barrier between slabs": Bug(
        FAST, TILE, "__syncthreads();  // this slab has arrived for everybody, and nobody needs the one before it any more", "",
        "a copy that is on its way|data race in shared memory|shared memory that nobody has written"),
    "a slab multiplied before it has arrived": Bug(
        FAST, TILE, "wait_for_copies<STAGES - 2>();", "wait_for_copies<STAGES - 1>();",
        rf"a copy that is on its way: {THREAD} started it at conv2d/correlate.h:\d+ and {THREAD} reads at common/tile.h:\d+"),
    "copies that arrive after the barrier": Bug(
        FAST, TILE, "wait_for_copies<STAGES - 2>();\n        __syncthreads();", "__syncthreads();\n        wait_for_copies<STAGES - 2>();",
        r"a copy that is on its way|data race in shared memory: .* at conv2d/(correlate|weight_gradient).h:\d+"),
    "four numbers copied to an address for one": Bug(
        FAST, CORRELATE, "copy_async(a.from(a_place, ", "copy_quad_async(a.from(a_place, ",
        rf"misaligned: {THREAD} reads 16 bytes at once at conv2d/correlate.h:\d+, at an address that is a multiple of (4|8) only"),
    "table read before it is complete": Bug(
        FAST, CORRELATE, "__syncthreads();  // the table is complete", "",
        r"shared memory that nobody has written: .* at conv2d/correlate.h:\d+"),
    "a tile transposed without a barrier": Bug(
        TRANSPOSE, TRANSPOSE, "    __syncthreads();\n    const int quad", "    const int quad",
        r"shared memory that nobody has written: .* at conv2d/channels_last.cu:\d+"),
    "taps read before they are complete": Bug(
        CHANNELS_LAST_TILES, CHANNELS_LAST, "__syncthreads();  // the table is complete", "",
        r"data race in shared memory: .* at conv2d/channels_last_correlate.h:\d+"),
    # global memory
    "channels beyond the last, with channels last": Bug(
        CHANNELS_LAST_TILES, CHANNELS_LAST, "channel + quad < c.C ? unsigned(at.y) : ~0u", "unsigned(at.y)",
        r"out of bounds: .* reads at conv2d/channels_last_correlate.h:\d+"),
    "weights beyond the last rows, with channels last": Bug(
        CHANNELS_LAST_TILES, CHANNELS_LAST, "first_piece + piece_e < pieces_left", "true",
        r"out of bounds: .* reads at conv2d/channels_last_correlate.h:\d+"),
    "pixels beyond the plane are transposed": Bug(
        TRANSPOSE, TRANSPOSE, "if (channel < array.channels && pixel < array.plane)", "if (channel < array.channels)",
        r"out of bounds: .* reads at conv2d/channels_last.cu:\d+"),
    "reads beside the image": Bug(
        TILED, TILED, "return conv.inside(h, w) ? x[", "return true ? x[",
        rf"out of bounds: {THREAD} reads at conv2d/tiled.cu:\d+, \d+ elements before an array of \d+ elements"),
    "the last block writes past the end": Bug(
        NAIVE, NAIVE, "if (t >= unsigned(conv.N) * conv.O * conv.I * conv.J) return;", "",
        rf"out of bounds: {THREAD} (reads|writes) at conv2d/naive.cu:\d+"),
    "k beyond the end of the sum": Bug(
        FAST, CORRELATE, "const bool padding = k >= K;", "const bool padding = false;",
        r"out of bounds: .* reads at conv2d/correlate.h:\d+"),
    "channels beyond the last": Bug(
        FAST, CORRELATE, "if (m >= c.M || pixel >= pixels) return;", "if (pixel >= pixels) return;",
        "out of bounds|data race in global memory"),
    "one pixel too many": Bug(
        FAST, CORRELATE, "if (pixel + 2 < pixels)", "if (pixel + 2 <= pixels)",
        "data race in global memory: .* writes at conv2d/correlate.h"),
    "pixels beyond the last image": Bug(
        FAST, WEIGHT, "outside = k < K ? ", "outside = true ? ", r"out of bounds: .* reads at conv2d/weight_gradient.h:\d+"),
    "weights beyond the last row": Bug(
        FAST, CORRELATE, "POINTERS == WEIGHTS ? min(m, m_left - 1) : m", "m", r"out of bounds: .* reads at conv2d/correlate.h:\d+"),
    "rows of dy beyond the last": Bug(
        FAST, WEIGHT, "min(slab_m + e * STEP, m_left - 1) * plane", "(slab_m + e * STEP) * plane", r"out of bounds: .* reads at conv2d/weight_gradient.h:\d+"),
    "every block adds up the bias gradient": Bug(
        FAST, WEIGHT, "if (g.bias && blockIdx.x == 0)", "if (g.bias)",
        rf"data race in global memory: {THREAD} wrote at conv2d/weight_gradient.h:\d+ and {THREAD} writes at conv2d/weight_gradient.h:\d+"),
    "the bias gradient of channels beyond the last": Bug(
        FAST, WEIGHT, "if (m < M && m < m_left) results", "if (m < M) results", "out of bounds|data race in global memory"),
    "all threads write one number": Bug(
        NAIVE, NAIVE, "if (threadIdx.x == 0) dbias[o] = sum;", "dbias[o] = sum;",
        rf"data race in global memory: {THREAD} wrote at conv2d/naive.cu:\d+ and {THREAD} writes at conv2d/naive.cu:\d+ with no "
        "barrier between"),
    "add without atomicAdd": Bug(
        NAIVE, NAIVE, "if (threadIdx.x % warpSize == 0) sum_of_warp[warp] = sum;", "dbias[o] += sum;\n    sum_of_warp[warp] = 0;",
        "data race in global memory"),
    # barriers
    "a barrier that some threads miss": Bug(
        TILED, TILED, "__syncthreads();  // the tiles are complete", "if (m < M) __syncthreads();",
        "barrier divergence in block|shared memory that nobody has written|data race in shared memory"),
    "threads that leave before the barrier": Bug(
        TILED, TILED, "    float sum = 0;\n    for (int first_k", "    if (n >= N) return;\n    float sum = 0;\n    for (int first_k",
        r"barrier divergence in block \(\d+,\d+,\d+\): thread .* waits in __syncthreads\(\) at line \d+, but thread .* has returned"
        "|shared memory that nobody has written"),
    "a shuffle in a branch": Bug(
        NAIVE, NAIVE, "    sum = warp_sum(sum);\n    if (threadIdx.x % warpSize == 0)",
        "    if (threadIdx.x % 32 < 8) sum = warp_sum(sum);\n    if (threadIdx.x % warpSize == 0)",
        "barrier divergence in block .* waits for its warp at line"),
    "a shuffle with a part of the warp": Bug(
        NAIVE, NAIVE, "    sum = warp_sum(sum);\n    if (threadIdx.x % warpSize == 0)",
        "    sum += __shfl_xor_sync(0xffff, sum, 1);\n    if (threadIdx.x % warpSize == 0)",
        rf"not emulated: a warp function with a mask other than 0xffffffff, by {THREAD} at line \d+"),
    # addresses
    "quads written at any address": Bug(
        FAST, FAST, "c.quads = conv.I * conv.J % 4 == 0 && aligned(result);", "c.quads = true;",
        rf"misaligned: {THREAD} writes 16 bytes at once at conv2d/correlate.h:\d+, at an address that is a multiple of (4|8) only"),
    "a table that begins in the middle of a pair": Bug(
        FAST, WEIGHT, "&kept_in_shared(*dynamic_shared<int2>());", "(int2*)(dynamic_shared<int>() + 1);",
        rf"misaligned: {THREAD} writes 8 bytes at once at conv2d/weight_gradient.h:\d+, at an address that is a multiple of 4 only"),
    "packs that begin at any number": Bug(
        NORM, PARTS, "reinterpret_cast<size_t>(address) % sizeof(Pack<4>) == 0", "address",
        rf"misaligned: {THREAD} reads 16 bytes at once at group_norm/forward.cu:\d+"),
    "an index beyond the last array of a struct": Bug(
        FAST, CORRELATE, "for (int t = 0; t < columns.taps; t++) inside |=", "for (int t = 0; t < 16; t++) inside |=",
        rf"index 15 is out of range at conv2d/correlate.h:\d+ in {THREAD}"),
    # launches
    "grid.z beyond 65535": Bug(
        FAST, CORRELATE, "c.groups * c.step_h * c.step_w * c.splits);", "70000);",
        r"conv2d_fast: a launch that a GPU refuses, at conv2d/correlate.h:\d+: grid.z is 70000, a GPU takes 65535 at most"),
    "grid.y beyond 65535": Bug(
        TILED, TILED, "grid(ceil_div(N, TILE), ceil_div(M, TILE), groups)", "grid(ceil_div(N, TILE), 65536, groups)",
        r"conv2d_tiled: a launch that a GPU refuses, at conv2d/tiled.cu:\d+: grid.y is 65536"),
    "more than 1024 threads": Bug(
        NAIVE, NAIVE, "constexpr int THREADS = 128;", "constexpr int THREADS = 1056;",
        r"conv2d_naive: a launch that a GPU refuses, at conv2d/naive.cu:\d+: a block of threads: 1056"),
    "more threads than the launch bounds": Bug(
        FAST, CORRELATE, "__launch_bounds__(Tile::THREADS, Tile::RESIDENT)", "__launch_bounds__(32, Tile::RESIDENT)",
        r"a launch that a GPU refuses, at conv2d/correlate.h:\d+: a block of 64 threads, but the kernel's __launch_bounds__ is 32"),
    "too much dynamic shared memory": Bug(
        FAST, WEIGHT, "sizeof(int2) * (conv.I + conv.J)", "sizeof(int2) * 30000 * (conv.I + conv.J)",
        r"a launch that a GPU refuses, at conv2d/weight_gradient.h:\d+: bytes of dynamic shared memory: 2880000"),
    "too much shared memory, static and dynamic": Bug(
        FAST, CORRELATE, "const size_t table = (", "const size_t table = 224 * 1024 + 0 * (",
        rf"{THREAD} uses \d+ bytes of static and 229376 of dynamic shared memory at conv2d/correlate.h:\d+, a block of this GPU has 232448"
        "|too few splits"),
    "too large a static tile": Bug(
        TILED, TILED, "right_tile[TILE][TILE];", "right_tile[60 * TILE][TILE];",
        rf"{THREAD} uses \d+ bytes of static and 0 of dynamic shared memory at conv2d/tiled.cu:\d+, of static may be 49152"),
}  # fmt: skip

NOT_BUGS = {source: Bug(source, source, "\nnamespace {", "\nnamespace {", "") for source in (TILED, NAIVE, FAST, NORM)} | {
    TRANSPOSE: Bug(TRANSPOSE, TRANSPOSE, "\nnamespace {", "\nnamespace {", ""), CHANNELS_LAST_TILES: Bug(CHANNELS_LAST_TILES, CHANNELS_LAST_TILES, "#pragma once", "#pragma once", "")
}

CALLS = {
    NAIVE: """conv2d_naive(conv, x, weight, bias, y, 0); conv2d_input_gradient_naive(conv, dy, weight, nullptr, dx, 0);
              conv2d_weight_gradient_naive(conv, dy, x, dweight, 0); conv2d_bias_gradient_naive(conv, dy, dbias, 0);
              conv2d_bias_gradient_tiled(conv, dy, dbias, 0);""",
    TILED: """conv2d_tiled(conv, x, weight, bias, y, 0); conv2d_input_gradient_tiled(conv, dy, weight, nullptr, dx, 0);
              conv2d_weight_gradient_tiled(conv, dy, x, dweight, 0);""",
    FAST: """const Plan plan{4, 2, parts};
             conv2d_fast(conv, x, weight, bias, y, plan, 0); conv2d_input_gradient_fast(conv, dy, weight, nullptr, dx, plan, 0);
             conv2d_weight_gradient_fast(conv, dy, x, {gradients, true}, plan, 0);""",
    TRANSPOSE: """const Transposition array = transposition_of(dy, y, 1, 36, 35, true);
             to_channels_last("transpose", array, {weight, parts, {1, 18, 5, 1, 45, 9, 810}, 2}, 0);""",
    CHANNELS_LAST_TILES: """Correlation c{};
             c.N = c.groups = c.step_h = c.step_w = c.source_step_h = c.source_step_w = c.splits = c.V = 1;
             c.M = 16, c.C = 36, c.result_h = c.source_h = 7, c.result_w = c.source_w = 5;
             c.rows[0] = {0, 7, 1, {0}, {0}, Divider(7)}, c.columns[0] = {0, 5, 1, {0}, {0}, Divider(5)};
             const ChannelsLast l{c, {1, 16, 36, 1, 36, 1, 576}, 1, 36};
             launch_channels_last<ChannelsLastTile<32, 64, 2, 4, 4, 1, true>>("channels last", l, dy, weight, bias, y, parts, 0);""",
    NORM: """group_norm_forward_fast({2, 3, 2, 36, 1e-5f, true, dy + 1, bias, bias, y, dbias, parts}, 0);
             group_norm_forward_naive({2, 3, 6, 35, 1e-5f, false, dy, bias, bias, y, dbias, parts}, 0);""",
}  # fmt: skip
CONV = "const Conv conv{2, 5, 7, 5, 18, 3, 3, 7, 5, 1, 1, 1, 1, 1, 1, 1};"


def shorten(file, text):
    """The other tiles would take long to compile."""
    return re.sub(r"case [0-3]: .*", "", text) if file == FAST else text


# What fast.cu defines for the kernels with channels last.
OF_FAST = """
bool aligned(const float*) { return true; }
void sum_parts(const char*, const float*, int, int, const float*, int, int, float*, cudaStream_t) {}
Correlation forward_correlation(const Conv&, int, const float*, const float*) { return {}; }
Correlation input_gradient_correlation(const Conv&, int, const float*) { return {}; }"""


def planted(bug):
    call = CALLS[bug.source]
    text = flattened(bug, shorten) + (OF_FAST if bug.source in (TRANSPOSE, CHANNELS_LAST_TILES) else "")
    return Program(text, call if bug.source == NORM else CONV + call)

# Kernels of their own, for what today's kernels do not do. Each is launched with 64 threads and writes y or reads x.
MISTAKES = {
    "a vector as an argument, without a barrier": (
        """__device__ float first(float4 v) { return v.x; }
        __global__ void kernel(const float* x, float* y) {
            __shared__ __align__(16) float tile[64];
            tile[threadIdx.x] = x[threadIdx.x];
            y[threadIdx.x] = first(*reinterpret_cast<const float4*>(&tile[threadIdx.x / 4 * 4]));
        }""", rf"shared memory that nobody has written: {THREAD} reads at own/own.cu:5"),
    "a vector as a result, without a barrier": (
        """__global__ void kernel(const float* x, float* y) {
            __shared__ float2 tile[32];
            tile[threadIdx.x / 2] = make_float2(x[threadIdx.x], 1);
            y[threadIdx.x] = tile[threadIdx.x / 2].x;
        }""", rf"data race in shared memory: {THREAD} (wrote|read) at own/own.cu:\d and {THREAD} (reads|writes) at own/own.cu:3"),
    "a vector at an odd number": (
        """__global__ void kernel(const float* x, float* y) {
            const float2 pair = *reinterpret_cast<const float2*>(x + 1 + 2 * threadIdx.x);
            y[threadIdx.x] = pair.x;
        }""", rf"misaligned: {THREAD} reads 8 bytes at once at own/own.cu:2, at an address that is a multiple of 4 only"),
    "an atomic that others read": (
        """__global__ void kernel(const float* x, float* y) {
            atomicAdd(y, x[threadIdx.x]);
            if (threadIdx.x == 40) y[1] = y[0];
        }""", rf"data race in global memory: {THREAD} (wrote|read) at own/own.cu:[23] and {THREAD} (reads|adds atomically) at own/own.cu:[23]"),
    "a vector beyond the end": (
        """__global__ void kernel(const float* x, float* y) {
            *reinterpret_cast<float4*>(y + 4 * (threadIdx.x + 300)) = make_float4(x[0], 0, 0, 0);
        }""", rf"out of bounds: {THREAD} writes at own/own.cu:2, element \d+ past the end of an array of 1260 elements"),
    "a copy that nobody waits for": (
        """__global__ void kernel(const float* x, float* y) {
            __shared__ float tile[64];
            copy_async(&tile[threadIdx.x], x + threadIdx.x, true);
            end_of_copies();
            __syncthreads();
            y[threadIdx.x] = tile[threadIdx.x];
        }""", rf"a copy that is on its way: {THREAD} started it at own/own.cu:3 and {THREAD} reads at own/own.cu:6 before it has waited"),
    "a division by 0": (
        """__global__ void kernel(const float* x, float* y) {
            y[threadIdx.x] = x[threadIdx.x % (threadIdx.x / 32)];
        }""", rf"division by 0 at own/own.cu:2 in {THREAD}"),
    "launch bounds that are a number": (
        """__global__ void __launch_bounds__(32) kernel(const float* x, float* y) { y[threadIdx.x] = x[0]; }""",
        "own: a launch that a GPU refuses, at own/own.cu:2: a block of 64 threads, but the kernel's __launch_bounds__ is 32"),
}  # fmt: skip
LAUNCH = """
void run(const float* x, float* y) { launch("own", kernel, 1, 64, 0, nullptr, x, y); }"""
# What one GPU takes and another does not: the program's GPU, the launch, what must be found.
LIMITS = {
    "block.z beyond 64": (90, "1, dim3(1, 1, 65), 0", "block.z is 65, a GPU takes 64 at most"),
    "an empty block": (90, "1, 0, 0", "a block of 0 threads"),
    "a large block of an H100": (90, "1, 64, 225 * 1024", ""),
    "a large block on an A100": (80, "1, 64, 225 * 1024", "bytes of dynamic shared memory: 230400, a GPU takes 166912 at most"),
    "a Turing GPU with 64 KB": (75, "1, 64, 64 * 1024", rf"{THREAD} uses 256 bytes of static and 65536 of dynamic .* at own/own.cu:3, a block of this GPU has 65536"),
}


def limit(capability, launch):
    return Program("""
#line 1 "own/own.cu"
        __global__ void kernel(float* y) {
            __shared__ float tile[64];
            tile[threadIdx.x] = 1;
            y[threadIdx.x] = tile[threadIdx.x];
        }""", f'launch("own", kernel, {launch}, nullptr, y);', capability)  # fmt: skip


PROGRAMS = {
    **{name: planted(bug) for name, bug in BUGS.items()},
    **{source: planted(bug) for source, bug in NOT_BUGS.items()},
    **{name: Program('#line 1 "own/own.cu"\n' + text + LAUNCH, "run(x, y);") for name, (text, _) in MISTAKES.items()},
    **{name: limit(capability, launch) for name, (capability, launch, _) in LIMITS.items()},
}
FOUND = {
    **{name: bug.found for name, bug in BUGS.items()},
    **{name: found for name, (_, found) in MISTAKES.items()},
    **{name: found for name, (_, _, found) in LIMITS.items() if found},
}


library = library_of(PROGRAMS)


@pytest.mark.parametrize("name", FOUND)
def test_planted_bug_is_found(library, name):
    message = library.run_named(name)[0]
    assert re.search(FOUND[name], message), message


@pytest.mark.parametrize("name", [*NOT_BUGS, *(name for name, (_, _, found) in LIMITS.items() if not found)])
def test_no_false_alarm(library, name):
    assert library.run_named(name)[0] == ""
