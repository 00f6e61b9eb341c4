// A block's share of a matrix product, result[m,n] = sum_k a[k,m] * b[k,n]: M x N results kept in the registers of the block's threads.
// The kernel copies a and b into shared memory one slab of DEPTH k at a time, and the tile multiplies what is there.
//
//     thread    owns ROWS x COLUMNS results: per k it reads ROWS + COLUMNS numbers for ROWS * COLUMNS multiply-adds, so that
//               8 x 8 reads 1/4 of a number per multiply-add, where one result per thread (conv2d/tiled.cu) reads 2
//     warp      4 x 8 threads; a thread's results lie in quads, 16 rows (32 columns) apart, so that one 16-byte read per lane fetches
//               consecutive quads, without bank conflicts. Which lane stands where: warp_place.h
#pragma once

#include "common/warp_place.h"

// SIZE numbers (m or n) for each of DEPTH k, those of one k side by side. PAD numbers follow them: then threads that write down a column
// hit different banks.
template <int DEPTH, int SIZE, int PAD>
struct RowPerK {
    float numbers[DEPTH][SIZE + PAD];
    __device__ float& at(int k, int i) { return numbers[k][i]; }
    // The same in two steps, for a thread that copies to the same place of every slab: from(place(k, i), l, j) is the address of at(k + l,
    // i + j). The place stays in a register, and a constant l and j cost no instruction.
    static __device__ int place(int k, int i) { return k * (SIZE + PAD) + i; }
    __device__ float* from(int place, int l, int j) { return &numbers[0][0] + place + (l * (SIZE + PAD) + j); }
};

// The same, the k of one m or n side by side.
template <int DEPTH, int SIZE>
struct ColumnPerK {
    float numbers[SIZE][DEPTH];
    __device__ float& at(int k, int i) { return numbers[i][k]; }
    static __device__ int place(int k, int i) { return i * DEPTH + k; }
    __device__ float* from(int place, int l, int j) { return &numbers[0][0] + place + (j * DEPTH + l); }
};

// The sum of m (n) number i over a slab's k. Of a column, four at a time; neighbours begin with different quads, so in different banks.
template <int DEPTH, int SIZE, int PAD>
__device__ float sum_over_k(const RowPerK<DEPTH, SIZE, PAD>& slab, int i) {
    float sum = 0;
#pragma unroll 4
    for (int k = 0; k < DEPTH; k++) sum += slab.numbers[k][i];
    return sum;
}
template <int DEPTH, int SIZE>
__device__ float sum_over_k(const ColumnPerK<DEPTH, SIZE>& slab, int i) {
    float sum = 0;
#pragma unroll 1
    for (int q = 0; q < DEPTH / 4; q++) {
        const float4 quad = *reinterpret_cast<const float4*>(&slab.numbers[i][(q + i / 2) % (DEPTH / 4) * 4]);
        sum += (quad.x + quad.y) + (quad.z + quad.w);
    }
    return sum;
}

constexpr int STAGES = 3;  // slabs: one is multiplied while two are on their way

template <class Tile>
struct Stage {  // of shared memory: a slab of a and one of b, one address for both
    typename Tile::SlabA a;
    typename Tile::SlabB b;
};

// The loop over the slabs. copy(slab, stage, wanted) gives a function of a portion's number, which starts the copies of this thread's share of
// that portion (copy_async in device.h) if they are wanted. They have STAGES - 1 rounds to arrive, so that the way to memory and back, some
// 500 to 1000 cycles, is spent multiplying.
//
// A tile on tensor cores starts the next of its PORTIONS whenever it has multiplied for a while. Copies and reads of shared memory stand in one
// queue, and the first reads of a slab would wait behind all the copies of another one.
template <class Tile, class Slabs, class Copy>
__device__ void multiply_slabs(Tile& tile, Slabs (&of_block)[STAGES], int count, Copy copy) {
    Slabs(&stages)[STAGES] = kept_in_shared(of_block);
#pragma unroll
    for (int slab = 0; slab < STAGES - 1; slab++) {
        if (slab < count) {
            auto start = copy(slab, stages[slab], true);
#pragma unroll
            for (int portion = 0; portion < Tile::PORTIONS; portion++) start(portion);
        }
        end_of_copies();
    }
    int now = 0, free = STAGES - 1;  // free: the stage that was multiplied a round ago
    for (int next = STAGES - 1; next < count + STAGES - 1; next++) {
        wait_for_copies<STAGES - 2>();
        __syncthreads();  // this slab has arrived for everybody, and nobody needs the one before it any more
        tile.multiply_add(stages[now].a, stages[now].b, copy(next, stages[free], next < count));
        end_of_copies();
        free = now;
        now = now + 1 == STAGES ? 0 : now + 1;
    }
}

// Whether number e of `count` copies belongs to a portion.
__device__ constexpr bool in_portion(int e, int count, int portion, int portions) { return e * portions / count == portion; }

inline __device__ void read_quad(float* to, const float* from) {  // 16 bytes by one instruction
    const float4 quad = *reinterpret_cast<const float4*>(from);
    to[0] = quad.x, to[1] = quad.y, to[2] = quad.z, to[3] = quad.w;
}

template <int BLOCK_M, int BLOCK_N, int ROWS, int COLUMNS, int BLOCKS_PER_SM, int K_PER_SLAB = 8>
struct RegisterTile {
    static constexpr int M = BLOCK_M, N = BLOCK_N, DEPTH = K_PER_SLAB, RESIDENT = BLOCKS_PER_SM;
    static constexpr int THREADS = (M / ROWS) * (N / COLUMNS);
    static constexpr int WARP_M = WarpPlace::ROWS * ROWS, WARP_N = WarpPlace::COLUMNS * COLUMNS, WARPS_N = N / WARP_N;
    static constexpr bool QUADS_OF_K = false;  // 4 k in a row are not side by side
    static constexpr int PORTIONS = 1;         // its reads are few

    using SlabA = RowPerK<DEPTH, M, 4>;
    using SlabB = RowPerK<DEPTH, N, 4>;

    float sum[ROWS][COLUMNS];
    int first_m, first_n;  // of this thread's first quads

    __device__ RegisterTile() {
        for (int r = 0; r < ROWS; r++)
            for (int c = 0; c < COLUMNS; c++) sum[r][c] = 0;
        const WarpPlace place;
        const int warp = threadIdx.x / warpSize;
        first_m = warp / WARPS_N * WARP_M + place.row * 4;
        first_n = warp % WARPS_N * WARP_N + place.column * 4;
    }

    template <class Start>
    __device__ void multiply_add(const SlabA& a, const SlabB& b, Start start_copies) {
        start_copies(0);
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float a_k[ROWS], b_k[COLUMNS];
#pragma unroll
            for (int r = 0; r < ROWS; r += 4) read_quad(a_k + r, &a.numbers[k][first_m + r * 4]);
#pragma unroll
            for (int c = 0; c < COLUMNS; c += 4) read_quad(b_k + c, &b.numbers[k][first_n + c * 8]);
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int c = 0; c < COLUMNS; c++) sum[r][c] += a_k[r] * b_k[c];
        }
    }

    // Calls use(m, n, quad) for results (m, n) to (m, n + 3) of the tile, for all that this thread owns.
    template <class Use>
    __device__ void for_each_quad(Use use) const {
#pragma unroll
        for (int c = 0; c < COLUMNS; c += 4)
#pragma unroll
            for (int r = 0; r < ROWS; r++)
                use(first_m + r / 4 * 16 + r % 4, first_n + c * 8, make_float4(sum[r][c], sum[r][c + 1], sum[r][c + 2], sum[r][c + 3]));
    }
};
