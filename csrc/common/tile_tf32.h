// A block's share of a matrix product, like RegisterTile in tile.h, but multiplied by tensor cores: 16 x 16 results per warp instruction.
// TF32 numbers have the exponent of float32 and 10 bits of mantissa; the sums are float32. A result is right to about 1e-3 only.
#pragma once

#include "common/tile.h"
#ifdef __CUDACC__
#include <mma.h>
#else
#include "emulator/cuda_cpu_mma.h"
#endif

// A warp owns ROWS x COLUMNS pieces of 16 x 16 results.
template <int BLOCK_M, int BLOCK_N, int ROWS, int COLUMNS, int BLOCKS_PER_SM>
struct TensorCoreTile {
    static constexpr int M = BLOCK_M, N = BLOCK_N, DEPTH = 16, RESIDENT = BLOCKS_PER_SM;
    static constexpr int WARP_M = 16 * ROWS, WARP_N = 16 * COLUMNS, WARPS_N = N / WARP_N, WARPS = (M / WARP_M) * WARPS_N;
    static constexpr int THREADS = 32 * WARPS;

    using FragmentA = nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, 8, nvcuda::wmma::precision::tf32, nvcuda::wmma::col_major>;
    using FragmentB = nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, 8, nvcuda::wmma::precision::tf32, nvcuda::wmma::row_major>;
    using FragmentSum = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 8, float>;

    FragmentSum sum[ROWS][COLUMNS];
    int first_m, first_n;  // of this warp

    __device__ TensorCoreTile() {
        for (int r = 0; r < ROWS; r++)
            for (int c = 0; c < COLUMNS; c++) nvcuda::wmma::fill_fragment(sum[r][c], 0.0f);
        const int warp = threadIdx.x / warpSize;
        first_m = warp / WARPS_N * WARP_M;
        first_n = warp % WARPS_N * WARP_N;
    }

    static __device__ float rounded(float value) { return nvcuda::wmma::__float_to_tf32(value); }

    __device__ void multiply_add(const float (&a)[DEPTH][M + 4], const float (&b)[DEPTH][N + 4]) {
#pragma unroll
        for (int k = 0; k < DEPTH; k += 8) {
            FragmentA a_k[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) nvcuda::wmma::load_matrix_sync(a_k[r], &a[k][first_m + 16 * r], M + 4);
#pragma unroll
            for (int c = 0; c < COLUMNS; c++) {
                FragmentB b_k;
                nvcuda::wmma::load_matrix_sync(b_k, &b[k][first_n + 16 * c], N + 4);
#pragma unroll
                for (int r = 0; r < ROWS; r++) nvcuda::wmma::mma_sync(sum[r][c], a_k[r], b_k, sum[r][c]);
            }
        }
    }

    // Which lane holds which result is not documented, so each piece passes through shared memory.
    template <class Use>
    __device__ void for_each_quad(Use use) const {
        __shared__ __align__(32) float pieces[WARPS][16][16];
        float(&piece)[16][16] = pieces[threadIdx.x / warpSize];
        const int lane = threadIdx.x % warpSize;
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                nvcuda::wmma::store_matrix_sync(&piece[0][0], sum[r][c], 16, nvcuda::wmma::mem_row_major);
                __syncwarp();
                for (int quad = lane; quad < 64; quad += warpSize) {
                    const int m = quad / 4, n = quad % 4 * 4;
                    use(first_m + 16 * r + m, first_n + 16 * c + n, *reinterpret_cast<const float4*>(&piece[m][n]));
                }
                __syncwarp();
            }
    }
};
