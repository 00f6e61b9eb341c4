// 2-D convolution with channels last (channels_last.h), forward pass and input gradient: the sums of correlate.h on tensor cores.
//
//     block     owns Tile::M channels x Tile::N pixels (of one stride class) of the result; blockIdx = (pixels, channels, (group, class, split))
//     slab      16 channels at one tap: 64 bytes of each pixel and of each row of the weights. The taps of 16 channels follow each other,
//               so that all but the first find most pixels in the L1 cache
//     thread    copies one quad of channels of the same few pixels in every slab, and quads of weights as they lie
//     warp      as in tile_tf32.h
//     bytes     a block reads (Tile::M + Tile::N) K numbers for Tile::M Tile::N K multiply-adds, most of the pixels from the L1 cache
#pragma once

#include "conv2d/channels_last.h"

struct ChannelsLast {
    Correlation c;
    WeightOrder order;
    int taps;   // of the kernel; a class may have fewer
    int pixel;  // numbers of a source pixel: the channels of all groups
};

// A slab of weights as they were arranged: high parts, then low ones.
template <int M, int PARTS>
struct WeightSlab {
    float part[PARTS][M / PIECE][PIECE_SIZE];
};

template <int BLOCK_M, int BLOCK_N, int ROWS, int COLUMNS, int BLOCKS_PER_SM, int PRODUCTS, bool SPREAD>
struct ChannelsLastTile : TensorCoreTile<BLOCK_M, BLOCK_N, ROWS, COLUMNS, BLOCKS_PER_SM, PRODUCTS, ColumnsOf16> {
    static constexpr int PARTS = PRODUCTS == 3 ? 2 : 1;
    static constexpr int TOGETHER = 2;  // columns of pieces: more sums that do not wait for each other
    static constexpr int PORTIONS = SPREAD ? COLUMNS / TOGETHER : 1;  // of the copies; multiply_slabs in tile.h
    static_assert(COLUMNS % TOGETHER == 0);

    using SlabA = WeightSlab<BLOCK_M, PARTS>;
    using SlabB = ColumnsOf16<BLOCK_N>;

    template <class Start>
    __device__ void multiply_add(const SlabA& a, const SlabB& b, Start start_copies) {
        float rows[PARTS][ROWS][2][4];  // for both instructions of 8 k
#pragma unroll
        for (int p = 0; p < PARTS; p++)
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int s = 0; s < 2; s++)
                    read_quad(rows[p][r][s], &a.part[p][this->first_m / PIECE + r][128 * s + 16 * this->g + 4 * this->t]);
        float columns[TOGETHER][4], next[TOGETHER][4];
        if (!SPREAD) start_copies(0);
        read_columns(next, b, 0);
#pragma unroll
        for (int c = 0; c < COLUMNS; c += TOGETHER) {
#pragma unroll
            for (int i = 0; i < TOGETHER; i++)
#pragma unroll
                for (int e = 0; e < 4; e++) columns[i][e] = next[i][e];
            if (SPREAD && c + TOGETHER < COLUMNS) read_columns(next, b, c + TOGETHER);  // before copies, behind which they would wait
            if (SPREAD) start_copies(c / TOGETHER);
            multiply_pieces(rows, columns, c);
            if (!SPREAD && c + TOGETHER < COLUMNS) read_columns(next, b, c + TOGETHER);
        }
    }

    __device__ void read_columns(float (&to)[TOGETHER][4], const SlabB& b, int c) {
#pragma unroll
        for (int i = 0; i < TOGETHER; i++) read_4_k(to[i], b, 4 * this->t, this->first_n + 8 * (c + i) + this->g);
    }

    __device__ void multiply_pieces(const float (&rows)[PARTS][ROWS][2][4], const float (&columns)[TOGETHER][4], int c) {
        if constexpr (PRODUCTS == 1) {
#pragma unroll
            for (int s = 0; s < 2; s++)
#pragma unroll
                for (int i = 0; i < TOGETHER; i++) {
                    const float column[2] = {columns[i][2 * s], columns[i][2 * s + 1]};
#pragma unroll
                    for (int r = 0; r < ROWS; r++) mma_tf32(this->sum[r][c + i], rows[0][r][s], column);
                }
        } else {
            float part[TOGETHER][ROWS][4] = {};
#pragma unroll
            for (int s = 0; s < 2; s++) {
                float high[TOGETHER][2], low[TOGETHER][2];
#pragma unroll
                for (int i = 0; i < TOGETHER; i++)
#pragma unroll
                    for (int e = 0; e < 2; e++) {
                        high[i][e] = columns[i][2 * s + e];  // the instruction cuts it
                        low[i][e] = high[i][e] - cut_to_tf32(high[i][e]);
                    }
#pragma unroll
                for (int i = 0; i < TOGETHER; i++)
#pragma unroll
                    for (int r = 0; r < ROWS; r++) mma_tf32(part[i][r], rows[PARTS - 1][r][s], high[i]);
#pragma unroll
                for (int i = 0; i < TOGETHER; i++)
#pragma unroll
                    for (int r = 0; r < ROWS; r++) mma_tf32(part[i][r], rows[0][r][s], low[i]);
#pragma unroll
                for (int i = 0; i < TOGETHER; i++)
#pragma unroll
                    for (int r = 0; r < ROWS; r++) mma_tf32(part[i][r], rows[0][r][s], high[i]);
            }
#pragma unroll
            for (int i = 0; i < TOGETHER; i++)
#pragma unroll
                for (int r = 0; r < ROWS; r++)
#pragma unroll
                    for (int e = 0; e < 4; e++) this->sum[r][c + i][e] += part[i][r][e];
        }
    }
};

template <class Tile>
__global__ void __launch_bounds__(Tile::THREADS, Tile::RESIDENT)
    correlate_channels_last(const __grid_constant__ ChannelsLast l, const float* source, const float* weight, const float* bias,
                            float* result) {
    constexpr int M = Tile::M, N = Tile::N, STEP = Tile::THREADS / 4;  // 4 threads copy a pixel's slab
    constexpr int PIXELS = N / STEP;
    constexpr int PIECE_QUADS = PIECE_SIZE / 4, PIECE_STEP = Tile::THREADS / PIECE_QUADS, PIECES = M / PIECE / PIECE_STEP;
    constexpr int WEIGHTS = Tile::PARTS * PIECES;  // quads of a slab that a thread copies, before its PIXELS
    static_assert(PIXELS * STEP == N && PIECES * PIECE_STEP * PIECE == M && Tile::DEPTH == SLAB_CHANNELS);
    __shared__ __align__(16) Stage<Tile> stages[STAGES];

    const Correlation& c = l.c;
    const int split = blockIdx.z % c.splits, classes = c.step_h * c.step_w;
    const int number = blockIdx.z / c.splits % classes, group = blockIdx.z / c.splits / classes;
    const Axis& rows = c.rows[number / c.step_w];
    const Axis& columns = c.columns[number % c.step_w];
    const int pixels = c.N * rows.outputs * columns.outputs;
    const int first_pixel = blockIdx.x * N, first_m = blockIdx.y * M;
    if (first_pixel >= pixels) return;  // the whole block: another class has more pixels

    // The table of this class's taps: what to add to a pixel's address, the bits that its mask must contain, and the tap's slab of weights.
    const int taps = rows.taps * columns.taps, all_slabs = l.order.slabs() * taps;
    const int first_slab = int(1LL * all_slabs * split / c.splits), slab_count = int(1LL * all_slabs * (split + 1) / c.splits) - first_slab;
    int2* source_tap = dynamic_shared<int2>();
    int* weight_tap = reinterpret_cast<int*>(source_tap + taps);
    for (int tap = threadIdx.x; tap < taps; tap += Tile::THREADS) {
        const int u = tap / columns.taps, v = tap - u * columns.taps;
        source_tap[tap].x = (rows.shift[u] * c.source_w + columns.shift[v]) * l.pixel;
        source_tap[tap].y = 1u << u | 1u << (16 + v);
        weight_tap[tap] = (rows.tap[u] * c.V + columns.tap[v]) * PIECE_SIZE;
    }

    auto place_of = [&](int pixel) {  // (image, row, column), among the results of the class
        const int line = columns.by_outputs.divide(pixel), n = rows.by_outputs.divide(line);
        return Place{n, line - n * rows.outputs, pixel - line * columns.outputs};
    };

    // This thread's pixels, at its quad of the channels.
    const int quad = threadIdx.x % 4 * 4, first = threadIdx.x / 4;
    int pixel_at[PIXELS];
    unsigned outside[PIXELS];  // bits of the kernel rows and columns that fall outside of the image
    source = as_one_address(source + group * c.C + quad);
#pragma unroll
    for (int e = 0; e < PIXELS; e++) {
        const int pixel = first_pixel + first + e * STEP;
        const Place at = place_of(pixel);
        const int h = at.row * c.source_step_h, w = at.column * c.source_step_w;
        pixel_at[e] = ((at.n * c.source_h + h) * c.source_w + w) * l.pixel;
        unsigned inside = 0;
        for (int t = 0; t < rows.taps; t++) inside |= unsigned(unsigned(h + rows.shift[t]) < unsigned(c.source_h)) << t;
        for (int t = 0; t < columns.taps; t++) inside |= unsigned(unsigned(w + columns.shift[t]) < unsigned(c.source_w)) << (16 + t);
        outside[e] = pixel < pixels ? ~inside : ~0u;
    }
    const int piece = kept(l.order.piece()), low_part = kept(l.order.size()), pieces_left = l.order.pieces() - first_m / PIECE;
    const int first_piece = threadIdx.x / PIECE_QUADS, in_piece = threadIdx.x % PIECE_QUADS * 4;
    weight = as_one_address(weight + (group * l.order.pieces() + first_m / PIECE + first_piece) * piece + in_piece);

    int tap = taps ? first_slab % taps : 0, channel = taps ? first_slab / taps * SLAB_CHANNELS : 0;  // of the slab that is copied next
    auto copy = [&](int, Stage<Tile>& to, bool wanted) {
        const int2 at = source_tap[tap];
        const float* slab = as_one_address(weight + (channel * l.taps * PIECE + weight_tap[tap]));
        const float* pixels = as_one_address(source + (at.x + channel));
        const unsigned needed = channel + quad < c.C ? unsigned(at.y) : ~0u;  // behind the last channel no pixel is inside
        if (++tap == taps) tap = 0, channel += SLAB_CHANNELS;
        return [&, wanted, slab, pixels, needed](int portion) {
            if (!wanted) return;
#pragma unroll
            for (int e = 0; e < WEIGHTS + PIXELS; e++) {
                if (!in_portion(e, WEIGHTS + PIXELS, portion, Tile::PORTIONS)) continue;
                const int p = e / PIECES, piece_e = e % PIECES * PIECE_STEP, n = e - WEIGHTS;
                if (n < 0)
                    copy_quad_async_by_l1(&to.a.part[p][first_piece + piece_e][in_piece], slab + (p * low_part + piece_e * piece),
                                          first_piece + piece_e < pieces_left);
                else
                    copy_quad_async_by_l1(&to.b.at(quad, first + n * STEP), pixels + pixel_at[n], (outside[n] & needed) == 0);
            }
        };
    };

    __syncthreads();  // the table is complete
    Tile tile;
    multiply_slabs(tile, stages, slab_count, copy);

    const int plane = c.result_h * c.result_w;
    result += 1LL * split * c.N * c.groups * c.M * plane;
    auto address = [&](int m, int pixel) {
        const Place at = place_of(pixel);
        const int h = rows.first + c.step_h * at.row, w = columns.first + c.step_w * at.column;
        return result + (at.n * c.groups * c.M + group * c.M + m) * plane + h * c.result_w + w;
    };
    write_results(tile, c, first_m, first_pixel, pixels, bias ? bias + group * c.M : nullptr, address);
}

template <class Tile>
void launch_channels_last(const char* name, const ChannelsLast& l, const float* source, const float* weight, const float* bias,
                          float* result, float* parts, cudaStream_t stream) {
    const Correlation& c = l.c;
    int pixels = 0;  // of the largest class
    for (int a = 0; a < c.step_h; a++)
        for (int b = 0; b < c.step_w; b++) pixels = std::max(pixels, c.N * c.rows[a].outputs * c.columns[b].outputs);
    const dim3 grid(ceil_div(pixels, Tile::N), ceil_div(c.M, Tile::M), c.groups * c.step_h * c.step_w * c.splits);
    launch(name, correlate_channels_last<Tile>, grid, Tile::THREADS, (sizeof(int2) + sizeof(int)) * l.taps, stream, l, source, weight, bias,
           c.splits == 1 ? result : parts);
    if (c.splits > 1) {
        const int plane = c.result_h * c.result_w, channels = c.groups * c.M;
        sum_parts(name, parts, c.splits, c.N * channels * plane, bias, channels, plane, result, stream);
    }
}
