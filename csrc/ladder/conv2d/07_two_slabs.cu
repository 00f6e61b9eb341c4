// conv2d, rung 7: while one slab is multiplied, the next one is on its way.
//
// Against rung 6: there are two slabs of each matrix in shared memory. A thread asks global memory for its share of the next slab,
// multiplies the slab that is there, and only then writes down what it asked for: memory has the time of 512 multiply-adds a thread to
// answer. And a round needs one barrier in place of two, as nobody writes to what others still read.
//
//          time ->     | ask for slab 1     | ask for slab 2     | ask for slab 3
//                      | multiply slab 0    | multiply slab 1    | multiply slab 2      ...
//                      | write slab 1 to B  | write slab 2 to A  | write slab 3 to B
//          barrier     ^                    ^                    ^
//
//     thread    as in rung 6, with 4 + 8 more registers for the numbers on their way
//     bytes     as rung 6, in one barrier a slab
//     counted   for 32 multiply-adds: 3 bytes read of global memory, 32 of shared memory, 0.1484375 turns of its banks
#include "ladder/conv2d/product.h"

namespace conv2d_07 {

constexpr int M = 64, N = 128, DEPTH = 8, ROWS = 8, COLUMNS = 8, THREADS = M / ROWS * N / COLUMNS;
constexpr int WARP_M = 4 * ROWS, WARP_N = 8 * COLUMNS;
constexpr int LEFTS = M * DEPTH / THREADS, RIGHTS = DEPTH * N / THREADS;  // of a slab, per thread

__global__ void __launch_bounds__(THREADS) kernel(const Product p) {
    __shared__ __align__(16) float left[2][DEPTH][M + 4], right[2][DEPTH][N];
    const int t = threadIdx.x, warp = t / 32, lane_row = t % 2 + t / 16 % 2 * 2, lane_column = t / 2 % 8;
    const int first_row = warp / (N / WARP_N) * WARP_M + lane_row * 4, first_column = warp % (N / WARP_N) * WARP_N + lane_column * 4;
    const int first_m = blockIdx.y * M, first_n = blockIdx.x * N, group = blockIdx.z;

    const Pixel pixel = p.pixel(group, first_n + t);  // a thread copies the same column in every slab
    float lefts[LEFTS], rights[RIGHTS];               // on their way
    const auto ask = [&](int first_k) {
#pragma unroll
        for (int e = 0; e < LEFTS; e++) lefts[e] = p.left(group, first_m + t / DEPTH + e * THREADS / DEPTH, first_k + t % DEPTH);
#pragma unroll
        for (int e = 0; e < RIGHTS; e++) rights[e] = p.right(pixel, first_k + e);
    };
    const auto write = [&](int slab) {
#pragma unroll
        for (int e = 0; e < LEFTS; e++) left[slab][t % DEPTH][t / DEPTH + e * THREADS / DEPTH] = lefts[e];
#pragma unroll
        for (int e = 0; e < RIGHTS; e++) right[slab][e][t] = rights[e];
    };

    float sum[ROWS][COLUMNS] = {};
    ask(0);
    write(0);
    for (int first_k = 0, slab = 0; first_k < p.K; first_k += DEPTH, slab ^= 1) {
        __syncthreads();  // this slab is complete, and nobody needs the other one any more
        const bool more = first_k + DEPTH < p.K;
        if (more) ask(first_k + DEPTH);
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float left_k[ROWS], right_k[COLUMNS];
#pragma unroll
            for (int r = 0; r < ROWS; r += 4) read_quad(left_k + r, &left[slab][k][first_row + r * 4]);
#pragma unroll
            for (int c = 0; c < COLUMNS; c += 4) read_quad(right_k + c, &right[slab][k][first_column + c * 8]);
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int c = 0; c < COLUMNS; c++) sum[r][c] += left_k[r] * right_k[c];
        }
        if (more) write(slab ^ 1);
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
    launch("conv2d_07_two_slabs", kernel, grid, THREADS, 0, stream, p);
}

Conv2dRung rung("07_two_slabs", run);

}  // namespace conv2d_07
