// 2-D convolution by wgmma (warpgroup.h), the weight gradient: the sums of weight_gradient.h, as a product of
//
//     a = x[c, pixel + tap], 64 channels c a warpgroup      b = dy[pixel, o], N output channels
//
//     block     owns kernel row u, 64 channels c x N channels o; blockIdx = ((c, u), o, (group, split)). Warpgroup v owns tap (u, v)
//     slab      as many whole rows of an image's dy as fit into 8 STEPS pixels, and the rows of x that kernel row u sees from there, with
//               a margin of 4 zeros before each. Whole rows, so that for a thread every slab looks alike: it copies the same numbers, and
//               reads the same places
//     thread    loads quads of dy into registers while the slab before is multiplied, and writes them to shared memory as tensor cores
//               want them, both parts. Copies numbers of x by twos or fours where a row begins at such an address
//     split     owns some of the slabs. Its sums go to `parts`, in the order [u][v][o][c], in which a warp writes them side by side;
//               a second kernel adds the parts and writes dweight[o][c][u][v]
//     dbias     the threads add up what they load of dy, in the blocks of the first c and u
//     bytes     a block reads (N + about 1.3 * 64) numbers for each of its pixels, for 3 * 64 * N multiply-adds
#pragma once

#include "conv2d/warpgroup.h"

constexpr int TAPS_OF_ROW = 3;                // kernel columns
constexpr int GRADIENT_CHANNELS = 64;         // c of a block
constexpr int MARGIN = 4, ROWS_STRIDE = 100;  // of a row of x; numbers of a channel: 8 channels of 4 pixels in 32 banks

struct RowGradient {
    Conv conv;
    Divider by_J;
    int splits, slabs;        // of all images
    int rows, slabs_of_image;  // rows of dy in a slab
    int padded_o, padded_c;   // in `parts`
    int x_unit;               // numbers of x that may be copied at once
    bool quads;               // 4 numbers of dy may be read at once
    bool bias;

    __host__ __device__ int weights() const { return conv.groups * conv.U * conv.V * padded_o * padded_c; }
    __host__ __device__ int part() const { return weights() + (bias ? conv.groups * padded_o : 0); }
};

template <int COLUMNS, int STEPS_, int BATCH_, int PRODUCTS_>
struct RowsTile {
    static constexpr int N = COLUMNS, STEPS = STEPS_, DEPTH = 8 * STEPS, BATCH = BATCH_, PRODUCTS = PRODUCTS_, PARTS = PARTS_OF[PRODUCTS];
    static constexpr int THREADS = WARPGROUP * TAPS_OF_ROW;
    using Slab = SlabOfColumns<N, STEPS, PARTS>;
    static constexpr int SLAB = sizeof(Slab) / sizeof(float), X_STAGE = GRADIENT_CHANNELS * ROWS_STRIDE;
    static constexpr int DY_STAGES = 3;  // one is multiplied when the next but one is written
    static constexpr int X_STAGES = 3;   // one is read while the next is on its way and the next but one begins
    static constexpr size_t SHARED = sizeof(float) * (DY_STAGES * SLAB + X_STAGES * X_STAGE);
};

// The quads of a slab of dy, [DEPTH / 4][N], by number: 8 neighbours are 8 channels o, whose quads lie side by side in shared memory, and
// the next 8 the next 4 pixels of the same channels.
template <int N>
struct QuadOfDy {
    int o, k;
    __device__ explicit QuadOfDy(int number) : o(number % 8 + number / 16 % (N / 8) * 8), k(4 * (number / 8 % 2 + number / (2 * N) * 2)) {}
};

template <class Tile>
__global__ void __launch_bounds__(Tile::THREADS, 1)
    weight_gradient_by_warpgroups(const __grid_constant__ RowGradient l, const float* dy, const float* x, float* parts) {
    constexpr int N = Tile::N, THREADS = Tile::THREADS, STEPS = Tile::STEPS, BATCH = Tile::BATCH, PARTS = Tile::PARTS, SLAB = Tile::SLAB;
    using Steps = Batches<STEPS, BATCH>;
    constexpr int QUADS = N * Tile::DEPTH / 4, OWN = ceil_div(QUADS, THREADS);  // of dy, of this thread
    float* dy_stages = dynamic_shared<float>();
    float* x_stages = dy_stages + Tile::DY_STAGES * SLAB;

    const Conv& conv = l.conv;
    const int split = blockIdx.z % l.splits, group = blockIdx.z / l.splits;
    const int u = blockIdx.x % conv.U, first_c = blockIdx.x / conv.U * GRADIENT_CHANNELS, first_o = blockIdx.y * N;
    const int c_left = min(conv.group_C() - first_c, GRADIENT_CHANNELS), o_left = conv.group_O() - first_o;
    const int plane = kept(conv.I * conv.J), x_plane = kept(conv.H * conv.W), pitch = MARGIN + conv.W;
    const int first_slab = int(1LL * l.slabs * split / l.splits), slab_count = int(1LL * l.slabs * (split + 1) / l.splits) - first_slab;
    dy += (group * conv.group_O() + first_o) * plane;
    x += (group * conv.group_C() + first_c) * x_plane;

    struct Slab {  // its image, and its first row of dy
        int n, row;
        __device__ void next(const RowGradient& l) {
            row += l.rows;
            if (row >= l.conv.I) row = 0, n++;
        }
    };
    Slab of_x{first_slab / l.slabs_of_image, first_slab % l.slabs_of_image * l.rows}, of_dy = of_x;  // the next ones

    // This thread's place in x: some numbers of a row, in every channel_step-th channel.
    const int of_row = conv.W / l.x_unit, of_channel = l.rows * of_row, channel_step = THREADS / of_channel;
    const int x_channel = threadIdx.x / of_channel, x_row = threadIdx.x % of_channel / of_row, x_column = threadIdx.x % of_row * l.x_unit;
    const int shift = u * conv.dilation_h - conv.padding_h;
    auto copy_x = [&](float* stage) {
        const int n = of_x.n, row = of_x.row, h = row + x_row + shift;
        of_x.next(l);
        if (x_channel >= channel_step) return;
        const bool inside = unsigned(h) < unsigned(conv.H) && row + x_row < conv.I;
        const float* from = as_one_address(x + (inside ? (n * conv.C + x_channel) * x_plane + h * conv.W + x_column : 0));
        float* to = stage + x_channel * ROWS_STRIDE + x_row * pitch + MARGIN + x_column;
        const int step = inside ? channel_step * x_plane : 0;
        auto copy_channels = [&](auto copy) {
            for (int c = x_channel; c < GRADIENT_CHANNELS; c += channel_step) {
                copy(to, from, inside && c < c_left);
                to += channel_step * ROWS_STRIDE;
                from = as_one_address(from + step);
            }
        };
        if (l.x_unit == 4)
            copy_channels([](float* to, const float* from, bool wanted) { copy_quad_async(to, from, wanted); });
        else if (l.x_unit == 2)
            copy_channels([](float* to, const float* from, bool wanted) { copy_pair_async(to, from, wanted); });
        else
            copy_channels([](float* to, const float* from, bool wanted) { copy_async(to, from, wanted); });
    };

    // This thread's quads of dy.
    float4 quad[OWN];
    float quad_sum[OWN];
#pragma unroll
    for (int e = 0; e < OWN; e++) quad_sum[e] = 0;
    auto load_dy = [&] {
        const float* from = as_one_address(dy + of_dy.n * conv.O * plane + of_dy.row * conv.J);
        const int pixels = min(l.rows, conv.I - of_dy.row) * conv.J;
        of_dy.next(l);
#pragma unroll
        for (int e = 0; e < OWN; e++) {
            const int number = threadIdx.x + e * THREADS;
            const QuadOfDy<N> own(number);
            const bool mine = (QUADS % THREADS == 0 || number < QUADS) && own.o < o_left;
            const float* at = from + own.o * plane + own.k;
            quad[e] = make_float4(0, 0, 0, 0);
            if (l.quads) {
                if (mine && own.k < pixels) quad[e] = *reinterpret_cast<const float4*>(at);
            } else {
                if (mine && own.k < pixels) quad[e].x = at[0];
                if (mine && own.k + 1 < pixels) quad[e].y = at[1];
                if (mine && own.k + 2 < pixels) quad[e].z = at[2];
                if (mine && own.k + 3 < pixels) quad[e].w = at[3];
            }
        }
    };
    auto store_dy = [&](float* stage) {
#pragma unroll
        for (int e = 0; e < OWN; e++) {
            const int number = threadIdx.x + e * THREADS;
            const QuadOfDy<N> own(number);
            if (QUADS % THREADS != 0 && number >= QUADS) continue;
            const float4 q = quad[e];
            quad_sum[e] += (q.x + q.y) + (q.z + q.w);
            float* to = stage + own.k / 8 * PARTS * 8 * N + (own.k / 4 % 2 * N + own.o) * 4;
            if constexpr (PARTS == 1) {
                *reinterpret_cast<float4*>(to) = make_float4(round_to_tf32(q.x), round_to_tf32(q.y), round_to_tf32(q.z), round_to_tf32(q.w));
            } else {
                *reinterpret_cast<float4*>(to) = q;  // the instruction cuts it
                *reinterpret_cast<float4*>(to + 8 * N) =
                    make_float4(q.x - cut_to_tf32(q.x), q.y - cut_to_tf32(q.y), q.z - cut_to_tf32(q.z), q.w - cut_to_tf32(q.w));
            }
        }
    };

    // Where this lane's pixels of a slab are in x: t and t + 4 of each step, for its channel g. Pixels behind the last row: in a margin.
    const int warp = threadIdx.x / warpSize, g = threadIdx.x % warpSize / 4, t = threadIdx.x % 4;
    const int v = warp / 4, own_c = warp % 4 * 16 + g;
    int at[STEPS][2];
#pragma unroll
    for (int step = 0; step < STEPS; step++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int k = 8 * step + 4 * e + t, r = l.by_J.divide(k);
            at[step][e] = kept(own_c * ROWS_STRIDE + (r < l.rows ? r * pitch + k - r * conv.J + MARGIN + v - conv.padding_w : 0));
        }

    for (int i = threadIdx.x; i < Tile::X_STAGES * Tile::X_STAGE / 4; i += THREADS)
        reinterpret_cast<float4*>(x_stages)[i] = make_float4(0, 0, 0, 0);  // the margins
    __syncthreads();
    WarpgroupSums<N, BATCH, Tile::PRODUCTS> sums;
    if (slab_count > 0) copy_x(x_stages), load_dy();
    end_of_copies();
    if (slab_count > 1) copy_x(x_stages + Tile::X_STAGE);
    end_of_copies();
    int third = 0;  // slab % 3
    for (int slab = 0; slab < slab_count; slab++) {
        store_dy(dy_stages + third * SLAB);
        wait_for_copies<1>();
        fence_for_wgmma();
        __syncthreads();  // this slab is there for everybody, and a stage of x is free
        const auto& columns = *reinterpret_cast<const typename Tile::Slab*>(dy_stages + third * SLAB);
        const float* pixel = x_stages + third * Tile::X_STAGE;
#pragma unroll
        for (int batch = 0; batch < Steps::COUNT; batch++) {
            const int first = Steps::first(batch), end = Steps::end(batch);
            float a[BATCH][4];
#pragma unroll
            for (int i = 0; i < BATCH; i++) {
                if (first + i >= end) continue;
                const int(&here)[2] = at[first + i];
                a[i][0] = pixel[here[0]], a[i][1] = pixel[here[0] + 8 * ROWS_STRIDE];
                a[i][2] = pixel[here[1]], a[i][3] = pixel[here[1] + 8 * ROWS_STRIDE];
            }
            sums.multiply_batch(a, columns, first, end);
            // While the tensor cores are busy; what is loaded into registers first, it is wanted first.
            if (batch == 0 && slab + 1 < slab_count) load_dy();
            if (batch == Steps::COPYING) {
                if (slab + 2 < slab_count) copy_x(x_stages + (third == 0 ? 2 : third - 1) * Tile::X_STAGE);
                end_of_copies();
            }
        }
        third = third == 2 ? 0 : third + 1;
    }
    sums.finish();

    parts += 1LL * split * l.part();
    float* to = parts + ((group * conv.U + u) * TAPS_OF_ROW + v) * l.padded_o * l.padded_c + first_c + own_c;
#pragma unroll
    for (int j = 0; j < N / 8; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) to[(first_o + 8 * j + 2 * t + e % 2) * l.padded_c + e / 2 * 8] = sums.sum[4 * j + e];
    if (!l.bias || blockIdx.x != 0) return;
    __syncthreads();  // x is needed no more
#pragma unroll
    for (int e = 0; e < OWN; e++) {
        const int number = threadIdx.x + e * THREADS;
        const QuadOfDy<N> own(number);
        if (number < QUADS) x_stages[own.k / 4 * N + own.o] = quad_sum[e];
    }
    __syncthreads();
    if (threadIdx.x >= N) return;
    float sum = 0;
    for (int k = 0; k < Tile::DEPTH / 4; k++) sum += x_stages[k * N + threadIdx.x];
    parts[l.weights() + group * l.padded_o + first_o + threadIdx.x] = sum;
}

bool row_gradient_of(RowGradient&, const Conv&, bool bias, int splits, int columns, int depth, int threads);  // false: not for these tiles
void sum_gradient_parts(const char* name, const RowGradient&, const float* parts, float* dweight, cudaStream_t);

template <class Tile>
bool row_gradient_of(RowGradient& l, const Conv& conv, bool bias, int splits) {
    return row_gradient_of(l, conv, bias, splits, Tile::N, Tile::DEPTH, Tile::THREADS);
}

template <class Tile>
void launch_row_gradient(const char* name, RowGradient l, const float* dy, const float* x, const Gradients& to, float* parts,
                         cudaStream_t stream) {
    const Conv& conv = l.conv;
    l.quads = conv.I * conv.J % 4 == 0 && l.rows * conv.J % 4 == 0 && aligned(dy);
    if (!aligned(x)) l.x_unit = 1;
    const dim3 grid(l.padded_c / GRADIENT_CHANNELS * conv.U, l.padded_o / Tile::N, conv.groups * l.splits);
    launch(name, weight_gradient_by_warpgroups<Tile>, grid, Tile::THREADS, Tile::SHARED, stream, l, dy, x, parts);
    sum_gradient_parts(name, l, parts, to.dweight, stream);
}
