// 2-D convolution, forward pass and input gradient, where the kernel is 3 x 3 and the stride 1: the sums of correlate.h on tensor cores,
// with the source pixels of a block kept in shared memory for all nine taps (halo.h).
//
//     block     owns Tile::M channels x Tile::N pixels of the result; blockIdx = (pixels, channels, (group, split))
//     slab      8 channels of the source x 9 taps, 72 k: their weights, side by side in global memory, and the source planes. Two slabs:
//               one is multiplied while the other arrives, a ninth of it being asked for at each tap
//     warp      as in tile_tf32.h; k = t and t + 4 are two of the 8 channels, at the same tap
//     banks     no read of the weights conflicts: m apart by 12 (9) banks, k by 9 (8), forward (input gradient). Nor do those of the
//               source, whose channels are 8 or 24 banks apart, unless the 8 pixels of a piece cross a row
//     bytes     a block reads 9 Tile::M C numbers of the weight and at most about 2 Tile::N C of the source, for 9 Tile::M Tile::N C
//               multiply-adds
#pragma once

#include "conv2d/correlate.h"
#include "conv2d/halo.h"
#include "common/tile_tf32.h"

constexpr int SLAB_CHANNELS = 8;

struct HaloCorrelation {
    Correlation c;
    Halo halo;
    bool weight_quads;  // 4 numbers of the weight may be read at once, wherever a multiple of 4 begins
};

// The weights of a slab in shared memory, by rows that are side by side in global memory: weight[m, 8 channels, 9 taps] forward,
// weight[channel, M, 9 taps] for the input gradient.
template <int M, bool GRADIENT>
struct HaloWeights {
    static constexpr int ROWS = GRADIENT ? SLAB_CHANNELS : M;
    static constexpr int LENGTH = (GRADIENT ? M : SLAB_CHANNELS) * TAPS;
    static constexpr int PITCH = LENGTH + (GRADIENT ? 8 : 4), SIZE = ROWS * PITCH;
    static constexpr int M_STEP = GRADIENT ? TAPS : PITCH, K_STEP = GRADIENT ? PITCH : TAPS;
};

template <class Tile, bool GRADIENT>
__global__ void __launch_bounds__(Tile::THREADS, Tile::RESIDENT)
    correlate_halo(const __grid_constant__ HaloCorrelation h, const float* source, const float* weight, const float* bias, float* result) {
    using Weights = HaloWeights<Tile::M, GRADIENT>;
    constexpr int THREADS = Tile::THREADS, POSITIONS = ceil_div(MAX_PLANE, THREADS), ROW_QUADS = Weights::LENGTH / 4;
    [[maybe_unused]] constexpr int TAPS_IN_A_ROW = Tile::FACTORS == 1 ? KERNEL : 1;  // more take too many registers
    static_assert(Weights::ROWS * ROW_QUADS == TAPS * THREADS, "each thread copies 4 weights at each tap");
    const Correlation& c = h.c;
    const Halo& halo = h.halo;
    float* stages = dynamic_shared<float>();
    const int stage_size = Weights::SIZE + SLAB_CHANNELS * halo.plane;

    const int split = blockIdx.z % c.splits, group = blockIdx.z / c.splits;
    const int first_pixel = blockIdx.x * Tile::N, first_m = blockIdx.y * Tile::M, pixels = c.N * c.result_h * c.result_w;
    const int all_slabs = ceil_div(c.C, SLAB_CHANNELS);
    const int first_slab = int(1LL * all_slabs * split / c.splits), slab_count = int(1LL * all_slabs * (split + 1) / c.splits) - first_slab;

    // This thread's positions: where they are in the source.
    const int first_line = halo.corner(first_pixel).line, source_plane = c.source_h * c.source_w;
    int source_at[POSITIONS];
#pragma unroll
    for (int e = 0; e < POSITIONS; e++) source_at[e] = halo.source_of(threadIdx.x + e * THREADS, first_line);
    source += (group * c.C + first_slab * SLAB_CHANNELS) * source_plane;
    weight += group * c.weight_group + first_m * c.weight_m + first_slab * SLAB_CHANNELS * c.weight_c;
    const int m_left = c.M - first_m, row_pitch = GRADIENT ? c.weight_c : c.weight_m;

    auto copy = [&](int slab, int part) {  // a ninth of it: one channel of the source, but for the last part
        float* stage = stages + slab % 2 * stage_size;
        const int channels_left = c.C - (first_slab + slab) * SLAB_CHANNELS;
        const int number = threadIdx.x + part * THREADS, row = number / ROW_QUADS, x = number % ROW_QUADS * 4;
        const int rows_left = GRADIENT ? channels_left : m_left, length_left = (GRADIENT ? m_left : channels_left) * TAPS;
        float* to = stage + row * Weights::PITCH + x;
        const float* from = as_one_address(weight + slab * SLAB_CHANNELS * c.weight_c + row * row_pitch + x);
        if (h.weight_quads) {
            copy_quad_async(to, from, row < rows_left && x < length_left);
        } else {
#pragma unroll
            for (int e = 0; e < 4; e++) copy_async(to + e, from + e, row < rows_left && x + e < length_left);
        }
        if (part == SLAB_CHANNELS) return;
        float* plane = stage + Weights::SIZE + part * halo.plane;
        const float* channel = as_one_address(source + (slab * SLAB_CHANNELS + part) * source_plane);
#pragma unroll
        for (int e = 0; e < POSITIONS; e++) {
            const int position = threadIdx.x + e * THREADS;
            if (position < halo.plane) copy_async(plane + position, channel + source_at[e], source_at[e] >= 0 && part < channels_left);
        }
    };

    Tile tile;
    const int weights_at = (tile.first_m + tile.g) * Weights::M_STEP + tile.t * Weights::K_STEP;
    int pixel_at[Tile::PIECES_N];  // this lane's column of each piece, in the plane of k = t
#pragma unroll
    for (int n = 0; n < Tile::PIECES_N; n++) {
        const Halo::Corner corner = halo.corner(first_pixel + tile.first_n + 8 * n + tile.g);
        pixel_at[n] = Weights::SIZE + tile.t * halo.plane + halo.position(corner, first_line);
    }

    if (slab_count > 0)
        for (int part = 0; part < TAPS; part++) copy(0, part);
    end_of_copies();
    for (int slab = 0; slab < slab_count; slab++) {
        wait_for_copies<0>();
        __syncthreads();  // this slab has arrived for everybody, and nobody needs the one before it any more
        const float* stage = stages + slab % 2 * stage_size;
#pragma unroll 1
        for (int u = 0; u < KERNEL; u++) {
            const float* weights = stage + weights_at + u * KERNEL;
            const float* line = stage + (GRADIENT ? KERNEL - 1 - u : u) * halo.pitch;
#pragma unroll TAPS_IN_A_ROW
            for (int v = 0; v < KERNEL; v++) {
                if (slab + 1 < slab_count) copy(slab + 1, u * KERNEL + v);
                Operand<Tile::FACTORS, 4> a[Tile::PIECES_M][1];
#pragma unroll
                for (int r = 0; r < Tile::PIECES_M; r++)
#pragma unroll
                    for (int e = 0; e < 4; e++)
                        a[r][0].set(e, weights[v + (16 * r + 8 * (e % 2)) * Weights::M_STEP + 4 * (e / 2) * Weights::K_STEP]);
#pragma unroll
                for (int n = 0; n < Tile::PIECES_N; n++) {
                    const float* pixel = line + pixel_at[n] + (GRADIENT ? KERNEL - 1 - v : v);
                    Operand<Tile::FACTORS, 2> b[1];
                    b[0].set(0, pixel[0]);
                    b[0].set(1, pixel[4 * halo.plane]);
                    tile.multiply_piece(a, b, n);
                }
            }
        }
        end_of_copies();
    }

    const int plane = c.result_h * c.result_w;
    result += 1LL * split * c.N * c.groups * c.M * plane;
    auto address = [&](int m, int pixel) {
        const int n = halo.by_rows.divide(halo.by_columns.divide(pixel));
        return result + (n * (c.groups * c.M - 1) + group * c.M + m) * plane + pixel;  // pixel = n * plane + (row, column)
    };
    write_results(tile, c, first_m, first_pixel, pixels, bias ? bias + group * c.M : nullptr, address);
}

template <class Tile, bool GRADIENT>
void launch_halo_correlation(const char* name, const Conv& conv, const Correlation& c, const float* source, const float* weight,
                             const float* bias, float* result, const Plan& plan, cudaStream_t stream) {
    static_assert(Tile::N <= MOST_PIXELS);
    const Halo halo = correlation_halo(conv, GRADIENT, Tile::N);
    const HaloCorrelation h{c, halo, (GRADIENT ? c.weight_c : c.weight_m) % 4 == 0 && aligned(weight)};
    const size_t bytes = 2 * sizeof(float) * (HaloWeights<Tile::M, GRADIENT>::SIZE + SLAB_CHANNELS * halo.plane);
    const dim3 grid(ceil_div(1LL * c.N * c.result_h * c.result_w, Tile::N), ceil_div(c.M, Tile::M), c.groups * c.splits);
    float* target = c.splits == 1 ? result : plan.parts;
    launch(name, correlate_halo<Tile, GRADIENT>, grid, Tile::THREADS, bytes, stream, h, source, weight, bias, target);
    if (c.splits > 1) {
        const int plane = c.result_h * c.result_w, channels = c.groups * c.M;
        sum_parts(name, plan.parts, c.splits, c.N * channels * plane, bias, channels, plane, result, stream);
    }
}
