// 2-D convolution, weight gradient, where the kernel is 3 x 3 and the stride 1: the sums of weight_gradient.h on tensor cores, with the
// pixels of x kept in shared memory for all nine taps (halo.h).
//
//     block     owns Tile::M output channels x Tile::N / 9 input channels x 9 taps;
//               blockIdx = (input channels, output channels, (group, split))
//     slab      64 pixels of dy, side by side, and the planes of x around them. Two slabs: one is multiplied while the other arrives, an
//               eighth of it being asked for at each step of 8 pixels
//     warp      owns 32 output channels x 8 input channels x 9 taps: a piece of 8 columns (tile_tf32.h) is 8 input channels at one tap.
//               k = t and t + 4 are two of the 8 pixels
//     banks     no read of dy conflicts: m is 4 banks apart, and k one. Nor do those of x, with channels 4, 12, 20 or 28 banks apart,
//               unless 4 pixels cross a row
//     bytes     a block reads Tile::M + (1.6 to 3.2) Tile::N / 9 numbers for each of its pixels, for Tile::M Tile::N multiply-adds
#pragma once

#include "conv2d/correlate.h"
#include "conv2d/halo.h"
#include "common/tile_tf32.h"

constexpr int STEPS = SLAB_PIXELS / 8;

struct HaloGradient {
    Conv conv;
    Halo halo;
    Divider by_plane;  // I * J
    int splits;
    bool quads;  // dy: 4 pixels in a row may be read at once
};

template <class Tile>
__global__ void __launch_bounds__(Tile::THREADS, Tile::RESIDENT)
    sum_weight_gradient_halo(const __grid_constant__ HaloGradient h, const float* dy, const float* x, float* dweight) {
    constexpr int M = Tile::M, CHANNELS = Tile::N / TAPS, THREADS = Tile::THREADS, POSITIONS = ceil_div(MAX_PLANE, THREADS);
    constexpr int PITCH = SLAB_PIXELS + 4, ROW_QUADS = SLAB_PIXELS / 4, QUAD_STEP = THREADS / ROW_QUADS;  // of dy, for each output channel
    constexpr int QUADS = M / QUAD_STEP / STEPS, CHANNELS_A_STEP = CHANNELS / STEPS;                        // copied by a thread in a step
    static_assert(Tile::PIECES_N == TAPS && QUADS * QUAD_STEP * STEPS == M && CHANNELS_A_STEP * STEPS == CHANNELS, "nothing is left over");
    const Conv& conv = h.conv;
    const Halo& halo = h.halo;
    float* stages = dynamic_shared<float>();
    const int x_at = M * PITCH, table_at = x_at + CHANNELS * halo.plane, stage_size = table_at + SLAB_PIXELS;

    const int split = blockIdx.z % h.splits, group = blockIdx.z / h.splits;
    const int first_m = blockIdx.y * M, first_c = blockIdx.x * CHANNELS, plane = conv.I * conv.J, x_plane = conv.H * conv.W;
    const int K = conv.N * plane, all_slabs = ceil_div(K, SLAB_PIXELS);
    const int first_slab = int(1LL * all_slabs * split / h.splits), slab_count = int(1LL * all_slabs * (split + 1) / h.splits) - first_slab;
    const int m_left = conv.group_O() - first_m, c_left = conv.group_C() - first_c;
    dy += (group * conv.group_O() + first_m) * plane;
    x += (group * conv.group_C() + first_c) * x_plane;

    // What this thread copies in the next step: from where in dy and x, to where in the stage.
    const bool quads = h.quads;
    const int dy_k = quads ? threadIdx.x % ROW_QUADS * 4 : threadIdx.x % SLAB_PIXELS;
    const int dy_m = quads ? threadIdx.x / ROW_QUADS : threadIdx.x / SLAB_PIXELS;
    int source_at[POSITIONS], m, channel;
    bool pixel_inside;
    const float *dy_from, *x_from;
    float *dy_to, *x_to;
    auto begin_slab = [&](int slab) {
        float* stage = stages + slab % 2 * stage_size;
        const int first_pixel = (first_slab + slab) * SLAB_PIXELS, first_line = halo.corner(first_pixel).line;
#pragma unroll
        for (int e = 0; e < POSITIONS; e++) source_at[e] = halo.source_of(threadIdx.x + e * THREADS, first_line);
        int* table = reinterpret_cast<int*>(stage + table_at);  // each pixel's position; beyond the last one is an image of zeros
        if (threadIdx.x < SLAB_PIXELS) table[threadIdx.x] = halo.position(halo.corner(first_pixel + threadIdx.x), first_line);
        const int pixel = first_pixel + dy_k, n = h.by_plane.divide(pixel);  // pixel = n * plane + ij
        pixel_inside = pixel < K;
        m = dy_m, channel = 0;
        dy_from = dy + (n * (conv.O - 1) + m) * plane + pixel, dy_to = stage + m * PITCH + dy_k;
        x_from = x, x_to = stage + x_at + threadIdx.x;
    };
    auto copy_step = [&] {  // an eighth of the slab
        if (quads) {
#pragma unroll
            for (int q = 0; q < QUADS; q++)
                copy_quad_async(dy_to + q * QUAD_STEP * PITCH, dy_from + q * QUAD_STEP * plane, pixel_inside && m + q * QUAD_STEP < m_left);
        } else {
            constexpr int STEP = THREADS / SLAB_PIXELS;
#pragma unroll
            for (int q = 0; q < 4 * QUADS; q++)
                copy_async(dy_to + q * STEP * PITCH, dy_from + q * STEP * plane, pixel_inside && m + q * STEP < m_left);
        }
        m += QUADS * QUAD_STEP;
        dy_from += QUADS * QUAD_STEP * plane, dy_to += QUADS * QUAD_STEP * PITCH;
#pragma unroll
        for (int i = 0; i < CHANNELS_A_STEP; i++) {
#pragma unroll
            for (int e = 0; e < POSITIONS; e++)
                if (int(threadIdx.x) + e * THREADS < halo.plane)
                    copy_async(x_to + e * THREADS, x_from + source_at[e], source_at[e] >= 0 && channel < c_left);
            channel++;
            x_from += x_plane, x_to += halo.plane;
        }
    };

    Tile tile;
    const int dy_of_lane = (tile.first_m + tile.g) * PITCH + tile.t, warp_c = tile.first_n / TAPS;
    const int x_of_lane = x_at + (warp_c + tile.g) * halo.plane, table_of_lane = table_at + tile.t;

    if (slab_count > 0) {
        begin_slab(0);
        for (int step = 0; step < STEPS; step++) copy_step();
    }
    end_of_copies();
    for (int slab = 0; slab < slab_count; slab++) {
        wait_for_copies<0>();
        __syncthreads();  // this slab has arrived for everybody, and nobody needs the one before it any more
        const float* stage = stages + slab % 2 * stage_size;
        const bool another = slab + 1 < slab_count;
        if (another) begin_slab(slab + 1);
#pragma unroll 1
        for (int step = 0; step < STEPS; step++) {
            if (another) copy_step();
            const int* table = reinterpret_cast<const int*>(stage + table_of_lane + 8 * step);
            const float* pixel = stage + x_of_lane + table[0];
            const float* later_pixel = stage + x_of_lane + table[4];
            Operand<Tile::FACTORS, 4> a[Tile::PIECES_M][1];
#pragma unroll
            for (int r = 0; r < Tile::PIECES_M; r++)
#pragma unroll
                for (int e = 0; e < 4; e++) a[r][0].set(e, stage[dy_of_lane + (16 * r + 8 * (e % 2)) * PITCH + 8 * step + 4 * (e / 2)]);
#pragma unroll
            for (int u = 0; u < KERNEL; u++)
#pragma unroll
                for (int v = 0; v < KERNEL; v++) {
                    Operand<Tile::FACTORS, 2> b[1];
                    b[0].set(0, pixel[u * halo.pitch + v]);
                    b[0].set(1, later_pixel[u * halo.pitch + v]);
                    tile.multiply_piece(a, b, u * KERNEL + v);
                }
        }
        end_of_copies();
    }

    dweight += (1LL * split * conv.O + group * conv.group_O()) * conv.group_C() * TAPS;
#pragma unroll
    for (int r = 0; r < Tile::PIECES_M; r++)
#pragma unroll
        for (int e = 0; e < 4; e++) {  // results (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1) of each tap
            const int m = first_m + tile.first_m + 16 * r + tile.g + 8 * (e / 2), channel = first_c + warp_c + 2 * tile.t + e % 2;
            if (m >= conv.group_O() || channel >= conv.group_C()) continue;
#pragma unroll
            for (int tap = 0; tap < TAPS; tap++) dweight[(m * conv.group_C() + channel) * TAPS + tap] = tile.sum[r][tap][e];
        }
}

template <class Tile>
void launch_halo_weight_gradient(const char* name, const Conv& conv, const float* dy, const float* x, float* dweight, const Plan& plan,
                                 cudaStream_t stream) {
    const Halo halo = weight_gradient_halo(conv, SLAB_PIXELS);
    const int channels = Tile::N / TAPS, plane = conv.I * conv.J;
    const HaloGradient h{conv, halo, Divider(plane), plan.splits, plane % 4 == 0 && aligned(dy)};
    const size_t bytes = 2 * sizeof(float) * (Tile::M * (SLAB_PIXELS + 4) + channels * halo.plane + SLAB_PIXELS);
    const dim3 grid(ceil_div(conv.group_C(), channels), ceil_div(conv.group_O(), Tile::M), conv.groups * plan.splits);
    launch(name, sum_weight_gradient_halo<Tile>, grid, Tile::THREADS, bytes, stream, h, dy, x, plan.splits == 1 ? dweight : plan.parts);
    if (plan.splits > 1) sum_parts(name, plan.parts, plan.splits, conv.O * conv.group_C() * TAPS, nullptr, 1, 1, dweight, stream);
}
