// conv2d, rung 5: four numbers by one instruction.
//
// Against rung 4: a thread reads its 8 numbers of a slab as two float4. For that the left slab is written down transposed, [k][m], so
// that the 8 rows of a thread lie side by side. Four numbers of padding after each k: then the lanes that write a row of the weight down
// as a column hit 32 banks, and every address of a float4 stays a multiple of 16 bytes. Results are written four at a time, too.
//
//                left[k][m]:     m ->  0 1 2 3 | 4 5 6 7 | ... 63 | pad
//                          k   [   float4      float4          ]  4 numbers: k + 1 begins 4 banks further
//
//     bytes     as rung 4, by a quarter of the instructions. A float4 is served to 8 lanes in a turn. 8 lanes that read the right slab 32
//               bytes apart want 16 of the 32 banks: two turns where one would do
//     counted   for 32 multiply-adds: 3 bytes read of global memory, 32 of shared memory, 0.3359375 turns of its banks
#include "ladder/conv2d/product.h"

namespace conv2d_05 {

constexpr int M = 64, N = 128, DEPTH = 8, ROWS = 8, COLUMNS = 8, THREADS = M / ROWS * N / COLUMNS;

__global__ void __launch_bounds__(THREADS) kernel(const Product p) {
    __shared__ __align__(16) float left[DEPTH][M + 4], right[DEPTH][N];
    const int t = threadIdx.x, first_row = t / (N / COLUMNS) * ROWS, first_column = t % (N / COLUMNS) * COLUMNS;
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
            for (int r = 0; r < ROWS; r += 4) read_quad(left_k + r, &left[k][first_row + r]);
#pragma unroll
            for (int c = 0; c < COLUMNS; c += 4) read_quad(right_k + c, &right[k][first_column + c]);
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
            p.store_quad(group, first_m + first_row + r, first_n + first_column + c,
                         {sum[r][c], sum[r][c + 1], sum[r][c + 2], sum[r][c + 3]});
}

void run(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t stream) {
    const Product p(conv, x, weight, bias, y);
    const dim3 grid(ceil_div(p.N, N), ceil_div(p.M, M), conv.groups);
    launch("conv2d_05_float4", kernel, grid, THREADS, 0, stream, p);
}

Conv2dRung rung("05_float4", run);

}  // namespace conv2d_05
