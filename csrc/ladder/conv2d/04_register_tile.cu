// conv2d, rung 4: 8 x 8 results a thread, so that 16 numbers read make 64 multiply-adds.
//
// Against rung 3: the thread owns eight columns, too. It copies 8 numbers of the left slab and 8 of the right one into registers and
// multiplies each with each.
//
//     block     owns 64 x 128 results, 128 threads         thread    owns 8 x 8 of them
//
//                       n ->    0..7    8..15         120..127
//                 m   0..7   [   t0   |   t1   | ... |   t15   ]        t: 8 x 8 results
//                 |   8..15  [   t16  |   t17  | ... |   t31   ]
//                 v          [ ...                             ]
//                    56..63  [   t112 |        | ... |   t127  ]
//
//     bytes     a number of the left slab is used 128 times, one of the right slab 64 times. 16 numbers of shared memory for 64 multiply-
//               adds. But the lanes of a warp read the right slab 8 numbers apart: 16 lanes want 4 banks, and take four turns. The left
//               slab: two rows, 64 numbers apart, in one bank, two turns
//     counted   for 32 multiply-adds: 3 bytes read of global memory, 32 of shared memory, 0.7734375 turns of its banks
#include "ladder/conv2d/product.h"

namespace conv2d_04 {

constexpr int M = 64, N = 128, DEPTH = 8, ROWS = 8, COLUMNS = 8, THREADS = M / ROWS * N / COLUMNS;

__global__ void __launch_bounds__(THREADS) kernel(const Product p) {
    __shared__ float left[M][DEPTH], right[DEPTH][N];
    const int t = threadIdx.x, first_row = t / (N / COLUMNS) * ROWS, first_column = t % (N / COLUMNS) * COLUMNS;
    const int first_m = blockIdx.y * M, first_n = blockIdx.x * N, group = blockIdx.z;
    const Pixel pixel = p.pixel(group, first_n + t);  // a thread copies the same column in every slab

    float sum[ROWS][COLUMNS] = {};
    for (int first_k = 0; first_k < p.K; first_k += DEPTH) {
        for (int e = t; e < M * DEPTH; e += THREADS)
            left[e / DEPTH][e % DEPTH] = p.left(group, first_m + e / DEPTH, first_k + e % DEPTH);
        for (int k = 0; k < DEPTH; k++) right[k][t] = p.right(pixel, first_k + k);
        __syncthreads();  // the slabs are complete
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float left_k[ROWS], right_k[COLUMNS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) left_k[r] = left[first_row + r][k];
#pragma unroll
            for (int c = 0; c < COLUMNS; c++) right_k[c] = right[k][first_column + c];
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int c = 0; c < COLUMNS; c++) sum[r][c] += left_k[r] * right_k[c];
        }
        __syncthreads();  // nobody needs them any more
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) p.store(group, first_m + first_row + r, first_n + first_column + c, sum[r][c]);
}

void run(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t stream) {
    const Product p(conv, x, weight, bias, y);
    const dim3 grid(ceil_div(p.N, N), ceil_div(p.M, M), conv.groups);
    launch("conv2d_04_register_tile", kernel, grid, THREADS, 0, stream, p);
}

Conv2dRung rung("04_register_tile", run);

}  // namespace conv2d_04
