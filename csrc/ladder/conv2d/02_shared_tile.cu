// conv2d, rung 2: what several threads need is read from global memory once, into shared memory.
//
// Against rung 1: the 32 threads of a row of the tile want the same numbers of the left matrix, the 32 of a column the same of the right
// one. So a block goes along k in steps of 32, and copies the two squares that it needs before it multiplies them.
//
//     block     owns 32 x 32 results                    thread    owns one of them
//
//                                         n ->
//                                      +--------+
//                                   k  | right  |  32 x 32, moves down
//                   k ->               +--------+
//                +--------+            +--------+
//              m |  left  |  moves ->  | result |
//                +--------+            +--------+
//
//     bytes     each number of a square is used 32 times: a thirty-second of rung 1's reads of global memory. But a multiply-add still
//               reads two numbers, 8 bytes, now of shared memory. A warp is a row of the tile: it reads one number of the left square (one
//               turn of the banks, for all lanes) and 32 side by side of the right one (one turn)
//     counted   for 32 multiply-adds: 8 bytes read of global memory, 256 of shared memory, 2.0625 turns of its banks
#include "ladder/conv2d/product.h"

namespace conv2d_02 {

constexpr int TILE = 32;

__global__ void __launch_bounds__(TILE* TILE) kernel(const Product p) {
    __shared__ float left[TILE][TILE], right[TILE][TILE];  // [m][k], [k][n]
    const int x = threadIdx.x, y = threadIdx.y, group = blockIdx.z;
    const int m = blockIdx.y * TILE + y, n = blockIdx.x * TILE + x;
    const Pixel pixel = p.pixel(group, n);

    float sum = 0;
    for (int first_k = 0; first_k < p.K; first_k += TILE) {
        left[y][x] = p.left(group, m, first_k + x);
        right[y][x] = p.right(pixel, first_k + y);
        __syncthreads();  // the squares are complete
        for (int k = 0; k < TILE; k++) sum += left[y][k] * right[k][x];
        __syncthreads();  // nobody needs them any more
    }
    p.store(group, m, n, sum);
}

void run(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t stream) {
    const Product p(conv, x, weight, bias, y);
    const dim3 grid(ceil_div(p.N, TILE), ceil_div(p.M, TILE), conv.groups);
    launch("conv2d_02_shared_tile", kernel, grid, dim3(TILE, TILE), 0, stream, p);
}

Conv2dRung rung("02_shared_tile", run);

}  // namespace conv2d_02
