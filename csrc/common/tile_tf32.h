// A block's share of a matrix product, like RegisterTile in tile.h, but multiplied by tensor cores: 16 x 8 results and 8 k per instruction
// of a warp (mma.sync.m16n8k8), 1024 multiply-adds, where 32 lanes without tensor cores do 32.
//
// They multiply TF32 numbers, float32 with 10 instead of 23 bits of mantissa, and add in float32. So there are two kinds of tile:
//     PRODUCTS = 1    a and b are shortened to TF32: results right to about 3e-4
//     PRODUCTS = 3    a = high + low, 10 bits of mantissa and a rest, b too; a b = high high + high low + low high (+ 2^-22, dropped).
//                     As good as float32, at a third of the speed. The units cut off, instead of rounding, what they add; in a long sum
//                     that would be seen, so the sum of each slab is added by an ordinary float32 addition. Infinity becomes NaN, which is
//                     what low = inf - inf is.
//
//     warp      owns ROWS pieces of 16 rows x COLUMNS pieces of 8 columns
//     lane      4 g + t: holds, of a piece, results (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
//               of a: rows g and g + 8, at k = t and t + 4; of b: column g, at k = t and t + 4
//
// Any two k may be called t and t + 4, if they are the same ones for a and b. With 4t + 2s and 4t + 2s + 1 for instruction s = 0, 1 of a
// slab of 16 k, a lane's numbers of a row are side by side, and one 16-byte read fetches them: 8 lanes read 2 rows of 16, all 32 banks.
#pragma once

#include "common/mma_tf32.h"
#include "common/tile.h"

// Cutting 13 bits off makes a number smaller by 2^-11 / m on average, of a mantissa m in 1..2: over all m, by 0.69 * 2^-11 of itself. This
// factor puts that back, by one instruction; to round properly takes three. What has only 10 bits stays what it is.
constexpr float UNBIASED = 1 + 0.69f / 2048;

// COUNT numbers, as the instruction takes them.
template <int PRODUCTS, int COUNT>
struct Operand {
    float high[COUNT], low[COUNT];
    __device__ void set(int i, float value) {
        high[i] = value * UNBIASED;
        low[i] = value - cut_to_tf32(high[i]);  // exact; the instruction does the cutting for `high` itself
    }
};

// Numbers i, at k to k + 3.
template <int DEPTH, int SIZE, int PAD>
__device__ void read_4_k(float (&to)[4], const RowPerK<DEPTH, SIZE, PAD>& slab, int k, int i) {
#pragma unroll
    for (int e = 0; e < 4; e++) to[e] = slab.numbers[k + e][i];
}
template <int DEPTH, int SIZE>
__device__ void read_4_k(float (&to)[4], const ColumnPerK<DEPTH, SIZE>& slab, int k, int i) {
    read_quad(to, &slab.numbers[i][k]);
}

// Of slabs of b, for N columns: those whose k are side by side in memory are copied as they are; else PAD 2 serves, which puts the rows
// 0, 4, 8 and 12 of a slab 8 banks apart.
template <int N> using ColumnsOf16 = ColumnPerK<16, N>;
template <int N> using RowsOf16 = RowPerK<16, N, 2>;

template <int BLOCK_M, int BLOCK_N, int ROWS, int COLUMNS, int BLOCKS_PER_SM, int PRODUCTS, template <int> class B>
struct TensorCoreTile {
    static constexpr int M = BLOCK_M, N = BLOCK_N, DEPTH = 16, RESIDENT = BLOCKS_PER_SM;
    static constexpr int WARP_M = 16 * ROWS, WARP_N = 8 * COLUMNS, WARPS_N = N / WARP_N, THREADS = 32 * (M / WARP_M) * WARPS_N;
    static constexpr int PIECES_M = ROWS, PIECES_N = COLUMNS, FACTORS = PRODUCTS;
    static constexpr bool QUADS_OF_K = true;  // in a: they may be copied 4 at a time
    static constexpr int PORTIONS = COLUMNS / 2;

    using SlabA = ColumnPerK<DEPTH, M>;
    using SlabB = B<N>;

    float sum[ROWS][COLUMNS][4];
    int first_m, first_n;  // of this warp
    int g, t;

    __device__ TensorCoreTile() : g(threadIdx.x % warpSize / 4), t(threadIdx.x % 4) {
        for (int r = 0; r < ROWS; r++)
            for (int c = 0; c < COLUMNS; c++)
                for (int e = 0; e < 4; e++) sum[r][c][e] = 0;
        const int warp = threadIdx.x / warpSize;
        first_m = warp / WARPS_N * WARP_M;
        first_n = warp % WARPS_N * WARP_N;
    }

    template <class Start>
    __device__ void multiply_add(const SlabA& a, const SlabB& b, Start start_copies) {
        Operand<PRODUCTS, 4> a_k[ROWS][2];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float upper[4], lower[4];
            read_4_k(upper, a, 4 * t, first_m + 16 * r + g);
            read_4_k(lower, a, 4 * t, first_m + 16 * r + g + 8);
#pragma unroll
            for (int s = 0; s < 2; s++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    a_k[r][s].set(2 * e, upper[2 * s + e]);
                    a_k[r][s].set(2 * e + 1, lower[2 * s + e]);
                }
        }
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            float column[4];
            read_4_k(column, b, 4 * t, first_n + 8 * c + g);
            if (c % 2 == 0) start_copies(c / 2);
            Operand<PRODUCTS, 2> b_k[2];
#pragma unroll
            for (int e = 0; e < 4; e++) b_k[e / 2].set(e % 2, column[e]);
            multiply_piece(a_k, b_k, c);
        }
    }

    // Column c of pieces, STEPS instructions of 8 k each.
    template <int STEPS>
    __device__ void multiply_piece(const Operand<PRODUCTS, 4> (&a_k)[ROWS][STEPS], const Operand<PRODUCTS, 2> (&b_k)[STEPS], int c) {
        if constexpr (PRODUCTS == 1) {
#pragma unroll
            for (int s = 0; s < STEPS; s++)
#pragma unroll
                for (int r = 0; r < ROWS; r++) mma_tf32(sum[r][c], a_k[r][s].high, b_k[s].high);
        } else {
            float part[ROWS][4] = {};
#pragma unroll
            for (int s = 0; s < STEPS; s++) {  // instructions on different pieces follow each other: none waits for the one before it
#pragma unroll
                for (int r = 0; r < ROWS; r++) mma_tf32(part[r], a_k[r][s].low, b_k[s].high);
#pragma unroll
                for (int r = 0; r < ROWS; r++) mma_tf32(part[r], a_k[r][s].high, b_k[s].low);
#pragma unroll
                for (int r = 0; r < ROWS; r++) mma_tf32(part[r], a_k[r][s].high, b_k[s].high);
            }
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int e = 0; e < 4; e++) sum[r][c][e] += part[r][e];
        }
    }

    // Calls use(m, n, quad) like RegisterTile. Lanes t and t ^ 1 exchange a pair each: then the even one has 4 results of row g, the odd
    // one 4 of row g + 8.
    template <class Use>
    __device__ void for_each_quad(Use use) const {
        const bool odd = t % 2;
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const float(&mine)[4] = sum[r][c];
                const float x = __shfl_xor_sync(WHOLE_WARP, odd ? mine[0] : mine[2], 1);
                const float y = __shfl_xor_sync(WHOLE_WARP, odd ? mine[1] : mine[3], 1);
                const float4 quad = odd ? make_float4(x, y, mine[2], mine[3]) : make_float4(mine[0], mine[1], x, y);
                use(first_m + 16 * r + g + 8 * odd, first_n + 8 * c + t / 2 * 4, quad);
            }
    }
};
