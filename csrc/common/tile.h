// A block's share of a matrix product, result[m,n] = sum_k a[k][m] * b[k][n]: M x N results kept in the registers of the block's threads.
// The kernel brings a and b into shared memory one slab of DEPTH k at a time, both with k as the slow index, and calls multiply_add.
//
//     thread    owns ROWS x COLUMNS results: per k it reads ROWS + COLUMNS numbers for ROWS * COLUMNS multiply-adds, so that
//               8 x 8 reads 1/4 of a number per multiply-add, where one result per thread (conv2d/tiled.cu) reads 2
//     warp      4 x 8 threads; a thread's results lie in quads, 16 rows (32 columns) apart, so that one 16-byte read per lane fetches
//               consecutive quads, without bank conflicts. Which lane stands where: warp_place.h
#pragma once

#include "common/warp_place.h"

// Two slabs: while one is multiplied, the next is stored into the other, so that one barrier per slab is enough.
template <class Tile>
struct Slabs {
    // + 4 columns: threads that store down a column hit different banks, and rows stay aligned to 16 bytes.
    float a[2][Tile::DEPTH][Tile::M + 4];
    float b[2][Tile::DEPTH][Tile::N + 4];
};

// The loop over the slabs. fetch(slab) reads numbers into registers, store(buffer) puts them into shared memory. After the last slab
// one more is fetched and not used: around an `if` the compiler would move the reads behind the multiplication, to where they are stored.
template <class Tile, class Fetch, class Store>
__device__ void multiply_slabs(Tile& tile, Slabs<Tile>& slabs, int count, Fetch fetch, Store store) {
    if (count > 0) {
        fetch(0);
        store(0);
    }
    __syncthreads();
    for (int slab = 0; slab < count; slab++) {
        const int buffer = slab % 2;
        fetch(slab + 1);  // its numbers arrive during the multiplication
        tile.multiply_add(slabs.a[buffer], slabs.b[buffer]);
        store(1 - buffer);
        __syncthreads();  // the other slab is complete, and nobody needs this one any more
    }
}

template <int BLOCK_M, int BLOCK_N, int ROWS, int COLUMNS, int BLOCKS_PER_SM>
struct RegisterTile {
    static constexpr int M = BLOCK_M, N = BLOCK_N, DEPTH = 8, RESIDENT = BLOCKS_PER_SM;
    static constexpr int THREADS = (M / ROWS) * (N / COLUMNS);
    static constexpr int WARP_M = WarpPlace::ROWS * ROWS, WARP_N = WarpPlace::COLUMNS * COLUMNS, WARPS_N = N / WARP_N;

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

    __device__ void multiply_add(const float (&a)[DEPTH][M + 4], const float (&b)[DEPTH][N + 4]) {
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float a_k[ROWS], b_k[COLUMNS];
#pragma unroll
            for (int r = 0; r < ROWS; r += 4) read_quad(a_k + r, &a[k][first_m + r * 4]);
#pragma unroll
            for (int c = 0; c < COLUMNS; c += 4) read_quad(b_k + c, &b[k][first_n + c * 8]);
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

    static __device__ float rounded(float value) { return value; }  // float32 stays as it is

    static __device__ void read_quad(float* to, const float* from) {
        const float4 quad = *reinterpret_cast<const float4*>(from);
        to[0] = quad.x, to[1] = quad.y, to[2] = quad.z, to[3] = quad.w;
    }
};
