// conv2d, rung 3: a number that a thread has read from shared memory is used eight times.
//
// Against rung 2: a thread owns eight results below each other, in registers. The number right[k][n] serves all eight. The tile grows to
// 64 x 64, and the slabs of k shrink to 8, so that a thread copies one number of each.
//
//     block     owns 64 x 64 results, 512 threads          thread    owns 8 x 1 of them
//
//                      n ->  t0 t1 ... t63
//                 m         [ .  .      . ]   |
//                 |         [ .  .      . ]   |  8 rows: the results of thread 0 are the first column of these
//                 v         [ ...         ]   |
//                           [ .  .      . ]   |
//                            t64 ...
//
//     bytes     a number of the left slab is used 64 times, one of the right slab, too. For eight multiply-adds a thread reads nine
//               numbers of shared memory: the eight of the left slab are the same for the whole warp, each one turn of the banks
//     counted   for 32 multiply-adds: 4 bytes read of global memory, 144 of shared memory, 1.15625 turns of its banks
#include "ladder/conv2d/product.h"

namespace conv2d_03 {

constexpr int M = 64, N = 64, DEPTH = 8, ROWS = 8, THREADS = M / ROWS * N;

__global__ void __launch_bounds__(THREADS) kernel(const Product p) {
    __shared__ float left[M][DEPTH], right[DEPTH][N];
    const int t = threadIdx.x, column = t % N, first_row = t / N * ROWS;
    const int first_m = blockIdx.y * M, first_n = blockIdx.x * N, group = blockIdx.z;
    const Pixel pixel = p.pixel(group, first_n + column);

    float sum[ROWS] = {};
    for (int first_k = 0; first_k < p.K; first_k += DEPTH) {
        left[t / DEPTH][t % DEPTH] = p.left(group, first_m + t / DEPTH, first_k + t % DEPTH);
        right[t / N][column] = p.right(pixel, first_k + t / N);
        __syncthreads();  // the slabs are complete
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            const float right_k = right[k][column];
#pragma unroll
            for (int r = 0; r < ROWS; r++) sum[r] += left[first_row + r][k] * right_k;
        }
        __syncthreads();  // nobody needs them any more
    }
    for (int r = 0; r < ROWS; r++) p.store(group, first_m + first_row + r, first_n + column, sum[r]);
}

void run(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t stream) {
    const Product p(conv, x, weight, bias, y);
    const dim3 grid(ceil_div(p.N, N), ceil_div(p.M, M), conv.groups);
    launch("conv2d_03_register_column", kernel, grid, THREADS, 0, stream, p);
}

Conv2dRung rung("03_register_column", run);

}  // namespace conv2d_03
