// 2-D convolution by wgmma (warpgroup.h), forward pass and input gradient: the sums of correlate.h, as a product of
//
//     a = source[pixel, (c,tap)], 64 pixels a warpgroup      b = weight[(c,tap), m], N channels of the result
//
//     block     owns Tile::M pixels of one stride class, in the order in which they lie in memory, across rows and images, x Tile::N
//               channels; blockIdx = (pixels, channels, (group, class, split))
//     slab      8 (2 x 2 taps: 16) channels: of the source, all lines that a tap of these pixels falls on, with a margin left and right, 0
//               where they leave the image:
//
//                   . . . . . .                           a line of a margin, taken from the image above or 0
//                   . 0 1 2 3 .                           pixels 2 ... 7 of 4 x 4: at lines 1 and 2, from column 3 on
//                   . 4 5 6 7 .                           tap (u, v) of pixel 2 is at line 0 + u, column 2 + v
//                   . . . . . .
//
//               and the weights, as they were arranged by a kernel of their own (arrange_weights): as tensor cores want them, both parts
//     thread    copies the same one or two positions of each channel. Lane 4 g + t reads pixels g and g + 8 of its warp, channels t and t + 4;
//               a channel's numbers are a multiple of 32 and 8 more: 8 pixels of 4 channels in 32 banks, unless a line ends among them
//     bytes     of a slab, a block reads positions * CHANNELS + SLAB numbers for Tile::M Tile::N CHANNELS TAPS multiply-adds
#pragma once

#include "conv2d/warpgroup.h"

constexpr int MAX_SIDE = 3, MAX_CLASSES = 4;

struct HaloClass {  // of one class of results: where its taps are in a block's piece of the source
    int first_h, first_w;  // of tap (0, 0), in the sorted order of taps, for result (0, 0)
    int more_lines;        // than rows of results
    int pitch, lines;      // numbers of a line; lines of an image
    int row_at[MAX_SIDE];  // of the taps
    int tap[MAX_SIDE * MAX_SIDE];  // of the weights
};

struct Halo {
    Correlation c;
    int slabs, blocks_m;
    HaloClass of_class[MAX_CLASSES];
    int positions;  // the most that a block has

    template <class Tile>
    __host__ __device__ long long arranged() const {  // numbers of the weights
        return 1LL * c.step_h * c.step_w * c.groups * blocks_m * slabs * Tile::SLAB;
    }
};

template <int WARPGROUPS, int COLUMNS, int STAGE_COUNT, bool PENDING_, int BLOCKS_PER_SM, int PRODUCTS_, int SIDE_>
struct HaloTile {
    static constexpr int M = WARPGROUP_ROWS * WARPGROUPS, N = COLUMNS, THREADS = WARPGROUP * WARPGROUPS, RESIDENT = BLOCKS_PER_SM;
    static constexpr int SIDE = SIDE_, TAPS = SIDE * SIDE, CHANNELS = SIDE == 3 ? 8 : 16, STEPS = CHANNELS / 8 * TAPS;
    static constexpr int PRODUCTS = PRODUCTS_, PARTS = PARTS_OF[PRODUCTS], BATCH = SIDE == 3 ? 3 : PRODUCTS == 3 ? 2 : 4;
    // A stage is free when its products are complete. If they may be PENDING at the barrier behind it, that is one slab later. The copies of
    // a slab begin AHEAD slabs before it.
    static constexpr bool PENDING = PENDING_;
    static constexpr int HALO_STAGES = STAGE_COUNT, AHEAD = HALO_STAGES - 1 - PENDING;
    static constexpr int STRIDE = WARPGROUPS == 1 ? 264 : WARPGROUPS == 2 ? 328 : 392;  // of a channel
    using Weights = SlabOfColumns<N, STEPS, PARTS>;
    static constexpr int SLAB = sizeof(Weights) / sizeof(float), STAGE = SLAB + CHANNELS * STRIDE;
    static constexpr size_t SHARED = sizeof(float) * (HALO_STAGES * STAGE + N);  // and the bias
};

// (class, group, block of N channels m, slab, step, part, k / 4, m, k % 4), zeros behind the last m and c. A thread writes 4 k.
template <class Tile>
__global__ void arrange_weights(const __grid_constant__ Halo l, const float* weight, float* to, int quads) {
    constexpr int N = Tile::N;
    const int quad = blockIdx.x * blockDim.x + threadIdx.x;  // of high parts, not counting the low ones
    if (quad >= quads) return;
    const int n = quad % N, k = quad / N % 2, step = quad / N / 2 % Tile::STEPS;
    const int of_slab = quad / N / 2 / Tile::STEPS, slab = of_slab % l.slabs, block = of_slab / l.slabs % l.blocks_m;
    const int group = of_slab / l.slabs / l.blocks_m % l.c.groups, number = of_slab / l.slabs / l.blocks_m / l.c.groups;
    const int m = block * N + n, c = slab * Tile::CHANNELS + step / Tile::TAPS * 8 + k * 4;
    const float* at = weight + group * l.c.weight_group + m * l.c.weight_m + c * l.c.weight_c + l.of_class[number].tap[step % Tile::TAPS];
    float high[4], low[4];
#pragma unroll
    for (int e = 0; e < 4; e++) {
        const float value = m < l.c.M && c + e < l.c.C ? at[e * l.c.weight_c] : 0;
        high[e] = round_to_tf32(value);
        low[e] = value - high[e];
    }
    to += 1LL * of_slab * Tile::SLAB + step * Tile::PARTS * 8 * N + (k * N + n) * 4;
    *reinterpret_cast<float4*>(to) = make_float4(high[0], high[1], high[2], high[3]);
    if constexpr (Tile::PARTS == 2) *reinterpret_cast<float4*>(to + 8 * N) = make_float4(low[0], low[1], low[2], low[3]);
}

template <class Tile>
__global__ void __launch_bounds__(Tile::THREADS, Tile::RESIDENT)
    correlate_by_warpgroups(const __grid_constant__ Halo l, const float* source, const float* weight, const float* bias, float* result) {
    constexpr int N = Tile::N, M = Tile::M, THREADS = Tile::THREADS, CHANNELS = Tile::CHANNELS, STRIDE = Tile::STRIDE, SIDE = Tile::SIDE;
    constexpr int SLAB = Tile::SLAB, STAGE = Tile::STAGE, BATCH = Tile::BATCH;
    using Steps = Batches<Tile::STEPS, BATCH>;
    constexpr int POSITIONS = ceil_div(STRIDE, THREADS), QUADS = ceil_div(SLAB / 4, THREADS);  // that a thread copies
    float* shared = dynamic_shared<float>();

    const Correlation& c = l.c;
    const int split = blockIdx.z % c.splits, classes = c.step_h * c.step_w;
    const int number = blockIdx.z / c.splits % classes, group = blockIdx.z / c.splits / classes;
    const Axis& rows = c.rows[number / c.step_w];
    const Axis& columns = c.columns[number % c.step_w];
    const HaloClass& halo = l.of_class[number];
    const int pixels = c.N * rows.outputs * columns.outputs;
    const int first_pixel = blockIdx.x * M, first_m = blockIdx.y * N;
    if (first_pixel >= pixels) return;  // the whole block: another class has more pixels
    const int first_slab = int(1LL * l.slabs * split / c.splits), slab_count = int(1LL * l.slabs * (split + 1) / c.splits) - first_slab;

    // Row number `row` of all images' results, one after the other: its line, where each image has a few lines more.
    auto line_of = [&](int row) { return row + rows.by_outputs.divide(row) * halo.more_lines; };
    const int last_pixel = min(first_pixel + M, pixels) - 1, first_line = line_of(columns.by_outputs.divide(first_pixel));
    const int positions = (line_of(columns.by_outputs.divide(last_pixel)) + halo.more_lines + 1 - first_line) * halo.pitch;

    // This thread's positions, in a channel of the source.
    const int source_plane = c.source_h * c.source_w;
    source += (group * c.C + first_slab * CHANNELS) * source_plane;
    int place[POSITIONS];
#pragma unroll
    for (int e = 0; e < POSITIONS; e++) {
        const int p = threadIdx.x + e * THREADS, in_block = p / halo.pitch, line = first_line + in_block, n = line / halo.lines;
        const int h = line - n * halo.lines + halo.first_h, w = p - in_block * halo.pitch + halo.first_w;
        const bool inside = p < positions && unsigned(h) < unsigned(c.source_h) && unsigned(w) < unsigned(c.source_w);
        place[e] = inside ? n * c.groups * c.C * source_plane + h * c.source_w + w : -1;
    }
    const int slab_of_block = ((number * c.groups + group) * l.blocks_m + blockIdx.y) * l.slabs + first_slab;
    weight = as_one_address(weight + 1LL * slab_of_block * SLAB + 4 * threadIdx.x);

    auto copy_slab = [&](int slab, float* stage) {  // one after the other
        const int channels_left = c.C - (first_slab + slab) * CHANNELS;
#pragma unroll
        for (int q = 0; q < QUADS; q++)
            if (SLAB / 4 % THREADS == 0 || q * THREADS + int(threadIdx.x) < SLAB / 4)
                copy_quad_async(stage + 4 * (q * THREADS + threadIdx.x), weight + 4 * q * THREADS, true);
        weight += SLAB;
#pragma unroll
        for (int e = 0; e < POSITIONS; e++) {
            if (e * THREADS + int(threadIdx.x) >= min(positions, STRIDE)) break;
            const bool inside = place[e] >= 0;
            const float* from = as_one_address(source + max(place[e], 0));
#pragma unroll
            for (int channel = 0; channel < CHANNELS; channel++) {
                copy_async(stage + SLAB + channel * STRIDE + e * THREADS + threadIdx.x, from, inside && channel < channels_left);
                from = as_one_address(from + source_plane);
            }
        }
        source += CHANNELS * source_plane;
    };

    // This lane's two pixels, at its first channel, for each row of taps.
    const int warp = threadIdx.x / warpSize, g = threadIdx.x % warpSize / 4, t = threadIdx.x % 4;
    int at[2][SIDE];
#pragma unroll
    for (int e = 0; e < 2; e++) {
        const int pixel = min(first_pixel + 16 * warp + g + 8 * e, last_pixel), row = columns.by_outputs.divide(pixel);
        const int position = (line_of(row) - first_line) * halo.pitch + pixel - row * columns.outputs;
#pragma unroll
        for (int u = 0; u < SIDE; u++) at[e][u] = kept(t * STRIDE + position + halo.row_at[u]);
    }

    // At the end each lane adds the bias of its channels, which would then wait for memory.
    float* bias_of = shared + Tile::HALO_STAGES * STAGE;
    for (int n = threadIdx.x; n < N; n += THREADS) bias_of[n] = bias && c.splits == 1 && first_m + n < c.M ? bias[group * c.M + first_m + n] : 0;

    WarpgroupSums<N, BATCH, Tile::PRODUCTS> sums;
#pragma unroll
    for (int slab = 0; slab < Tile::AHEAD; slab++) {
        if (slab < slab_count) copy_slab(slab, shared + slab * STAGE);
        end_of_copies();
    }
    int now = 0;  // stage
    for (int slab = 0; slab < slab_count; slab++) {
        const int free = now + Tile::AHEAD - (now + Tile::AHEAD < Tile::HALO_STAGES ? 0 : Tile::HALO_STAGES);
        if (!Tile::PENDING) wgmma_wait<0>();
        wait_for_copies<Tile::AHEAD - 1>();
        fence_for_wgmma();
        __syncthreads();  // this slab has arrived for everybody, and the stage of the next one to copy is free
        const auto& weights = *reinterpret_cast<const typename Tile::Weights*>(shared + now * STAGE);
        const float* pixel = shared + now * STAGE + SLAB;
#pragma unroll
        for (int batch = 0; batch < Steps::COUNT; batch++) {
            const int first = Steps::first(batch), end = Steps::end(batch);
            float a[BATCH][4];
#pragma unroll
            for (int i = 0; i < BATCH; i++) {
                const int step = first + i, u = step % Tile::TAPS / SIDE, v = step % SIDE;
                const float* from = pixel + step / Tile::TAPS * 8 * STRIDE + v;
                a[i][0] = from[at[0][u]], a[i][1] = from[at[1][u]];
                a[i][2] = from[at[0][u] + 4 * STRIDE], a[i][3] = from[at[1][u] + 4 * STRIDE];
            }
            sums.multiply_batch(a, weights, first, end);
            if (batch == Steps::COPYING) {  // while the tensor cores are busy
                if (slab + Tile::AHEAD < slab_count) copy_slab(slab + Tile::AHEAD, shared + free * STAGE);
                end_of_copies();
            }
        }
        now = now + 1 == Tile::HALO_STAGES ? 0 : now + 1;
    }
    sums.finish();
    if (slab_count == 0) __syncthreads();  // the bias is there

    const int thread = kept(threadIdx.x), first = first_pixel + thread / warpSize * 16 + thread % warpSize / 4;  // anew, not kept in registers
    const int plane = c.result_h * c.result_w;
    result += 1LL * split * c.N * c.groups * c.M * plane + group * c.M * plane;
#pragma unroll
    for (int e = 0; e < 2; e++) {
        const int pixel = first + 8 * e;
        if (pixel >= pixels) continue;
        const int line = columns.by_outputs.divide(pixel), n = rows.by_outputs.divide(line);
        const int h = rows.first + c.step_h * (line - n * rows.outputs), w = columns.first + c.step_w * (pixel - line * columns.outputs);
        float* to = result + n * c.groups * c.M * plane + h * c.result_w + w;
#pragma unroll
        for (int j = 0; j < N / 4; j++) {
            const int n = 8 * (j / 2) + 2 * (thread % 4) + j % 2, m = first_m + n;
            if (m < c.M) to[m * plane] = sums.sum[4 * (j / 2) + 2 * e + j % 2] + bias_of[n];
        }
    }
}

bool halo_of(Halo&, const Correlation&, int side, int channels, int pixels, int columns, int stride);  // false: not for these tiles

template <class Tile>
bool halo_of(Halo& l, const Correlation& c) {
    return halo_of(l, c, Tile::SIDE, Tile::CHANNELS, Tile::M, Tile::N, Tile::STRIDE) && l.arranged<Tile>() < MOST_NUMBERS;
}

template <class Tile>
void launch_halo(const char* name, const Halo& l, const float* source, const float* weight, const float* bias, float* result, float* scratch,
                 cudaStream_t stream) {
    const Correlation& c = l.c;
    int pixels = 0;  // of the largest class
    for (int a = 0; a < c.step_h; a++)
        for (int b = 0; b < c.step_w; b++) pixels = std::max(pixels, c.N * c.rows[a].outputs * c.columns[b].outputs);
    const int quads = int(l.arranged<Tile>() / Tile::PARTS / 4), THREADS = 128;
    float* parts = scratch + l.arranged<Tile>();
    launch(name, arrange_weights<Tile>, ceil_div(quads, THREADS), THREADS, 0, stream, l, weight, scratch, quads);
    const dim3 grid(ceil_div(pixels, Tile::M), l.blocks_m, c.groups * c.step_h * c.step_w * c.splits);
    launch(name, correlate_by_warpgroups<Tile>, grid, Tile::THREADS, Tile::SHARED, stream, l, source, scratch, bias,
           c.splits == 1 ? result : parts);
    if (c.splits > 1) {
        const int plane = c.result_h * c.result_w, channels = c.groups * c.M;
        sum_parts(name, parts, c.splits, c.N * channels * plane, bias, channels, plane, result, stream);
    }
}
