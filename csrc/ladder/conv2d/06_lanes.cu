// conv2d, rung 6: lanes stand where their reads hit different banks.
//
// Against rung 5: a thread owns quads of rows and columns that lie apart, not 8 side by side, and a warp owns 32 x 64 results with its
// lanes in 4 rows of 8. Which lane stands where matters: shared memory serves a float4 to 8 lanes in a turn, but to 16 if lanes l and l ^
// 1 want the same address for every l, or if lanes l and l ^ 2 do. So l ^ 1 stands in the same column, l ^ 2 in the same row:
//
//                        column quads ->
//                           0   1   2   3   4   5   6   7
//                 row 0   [ l0  l2  l4  l6  l8  l10 l12 l14 ]       a lane's results: the quads
//                 row 1   [ l1  l3  l5  l7  l9  l11 l13 l15 ]           rows      4 row and 4 row + 16
//                 row 2   [ l16 l18 l20 ...             l30 ]           columns   4 column and 4 column + 32
//                 row 3   [ l17 l19 l21 ...             l31 ]       of the warp's 32 x 64
//
//     bytes     as rung 5, and every read is two turns: 16 lanes a turn for the left slab and for the right one. Neighbouring columns
//               write neighbouring quads of y: whole sectors
//     counted   for 32 multiply-adds: 3 bytes read of global memory, 32 of shared memory, 0.1484375 turns of its banks
#include "ladder/conv2d/product.h"

namespace conv2d_06 {

constexpr int M = 64, N = 128, DEPTH = 8, ROWS = 8, COLUMNS = 8, THREADS = M / ROWS * N / COLUMNS;
constexpr int WARP_M = 4 * ROWS, WARP_N = 8 * COLUMNS;

__global__ void __launch_bounds__(THREADS) kernel(const Product p) {
    __shared__ __align__(16) float left[DEPTH][M + 4], right[DEPTH][N];
    const int t = threadIdx.x, warp = t / 32, lane_row = t % 2 + t / 16 % 2 * 2, lane_column = t / 2 % 8;
    const int first_row = warp / (N / WARP_N) * WARP_M + lane_row * 4, first_column = warp % (N / WARP_N) * WARP_N + lane_column * 4;
    const int first_m = blockIdx.y * M, first_n = blockIdx.x * N, group = blockIdx.z;
    const Pixel pixel = p.pixel(group, first_n + t);  // a thread copies the same column in every slab

    float sum[ROWS][COLUMNS] = {};
    for (int first_k = 0; first_k < p.K; first_k += DEPTH) {
        for (int e = t; e < M * DEPTH; e += THREADS)
            left[e % DEPTH][e / DEPTH] = p.left(group, first_m + e / DEPTH, first_k + e % DEPTH);
        for (int k = 0; k < DEPTH; k++) right[k][t] = p.right(pixel, first_k + k);
        __syncthreads();  // the slabs are complete
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float left_k[ROWS], right_k[COLUMNS];
#pragma unroll
            for (int r = 0; r < ROWS; r += 4) read_quad(left_k + r, &left[k][first_row + r * 4]);
#pragma unroll
            for (int c = 0; c < COLUMNS; c += 4) read_quad(right_k + c, &right[k][first_column + c * 8]);
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
        for (int c = 0; c < COLUMNS; c += 4)
            p.store_quad(group, first_m + first_row + r / 4 * 16 + r % 4, first_n + first_column + c * 8,
                         {sum[r][c], sum[r][c + 1], sum[r][c + 2], sum[r][c + 3]});
}

void run(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t stream) {
    const Product p(conv, x, weight, bias, y);
    const dim3 grid(ceil_div(p.N, N), ceil_div(p.M, M), conv.groups);
    launch("conv2d_06_lanes", kernel, grid, THREADS, 0, stream, p);
}

Conv2dRung rung("06_lanes", run);

}  // namespace conv2d_06
