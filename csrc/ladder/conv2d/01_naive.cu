// conv2d, rung 1: the sum as it stands.
//
//     thread    owns one result (m, n) and reads all it needs from global memory
//     warp      owns 32 results n side by side of one m:
//
//                     k ->                         n ->  t0 t1 t2 ... t31
//               m    [=========]   all 32 read    k      [ .  .  .  ...  . ]   32 numbers side by side
//                                  the same one   |      [ .  .  .  ...  . ]
//                                                 v      [ .  .  .  ...  . ]
//
//     bytes     a multiply-add asks for two numbers, 8 bytes. A warp moves 32 bytes of the left matrix (a sector, of which it wants 4) and
//               128 of the right one for 32 multiply-adds
//     counted   for 32 multiply-adds: 256 bytes read of global memory, 0 of shared memory, 0 turns of its banks
#include "ladder/conv2d/product.h"

namespace conv2d_01 {

constexpr int THREADS = 256;

__global__ void kernel(const Product p) {
    const int t = int(blockIdx.x * blockDim.x + threadIdx.x), group = blockIdx.z;
    const int m = p.by_N.divide(t), n = t - m * p.N;
    if (m >= p.M) return;

    const Pixel pixel = p.pixel(group, n);
    float sum = 0;
    for (int k = 0; k < p.K; k++) sum += p.left(group, m, k) * p.right(pixel, k);
    p.store(group, m, n, sum);
}

void run(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t stream) {
    const Product p(conv, x, weight, bias, y);
    const dim3 grid(ceil_div(1LL * p.M * p.N, THREADS), 1, conv.groups);
    launch("conv2d_01_naive", kernel, grid, THREADS, 0, stream, p);
}

Conv2dRung rung("01_naive", run);

}  // namespace conv2d_01
