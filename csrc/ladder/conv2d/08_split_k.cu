// conv2d, rung 8: the sum over k is cut into parts, where whole sums would make too few blocks.
//
// Against rung 7: a GPU has more than a hundred multiprocessors, and the 7 x 7 images at the bottom of a U-Net make a dozen tiles. So the
// slabs of k are dealt out to `splits` blocks a tile. Each writes its sums to an array of its own, and a second kernel adds these up,
// always in the same order.
//
//                   k ->
//                [ split 0 | split 1 | split 2 ]   ->   parts[0]  parts[1]  parts[2]   ->   y = bias + parts[0] + parts[1] + parts[2]
//
//     block     owns 64 x 128 results of one split, blockIdx = (n, m, (group, split))
//     bytes     of the product as rung 7; then 4 * splits bytes written and read again for each result
//     counted   for 32 multiply-adds: 3 bytes read of global memory, 32 of shared memory, 0.1484375 turns of its banks
#include "ladder/conv2d/product.h"

namespace conv2d_08 {

constexpr int M = 64, N = 128, DEPTH = 8, ROWS = 8, COLUMNS = 8, THREADS = M / ROWS * N / COLUMNS;
constexpr int WARP_M = 4 * ROWS, WARP_N = 8 * COLUMNS;
constexpr int LEFTS = M * DEPTH / THREADS, RIGHTS = DEPTH * N / THREADS;  // of a slab, per thread

__global__ void __launch_bounds__(THREADS) kernel(const Product whole, int splits) {
    __shared__ __align__(16) float left[2][DEPTH][M + 4], right[2][DEPTH][N];
    const int t = threadIdx.x, warp = t / 32, lane_row = t % 2 + t / 16 % 2 * 2, lane_column = t / 2 % 8;
    const int first_row = warp / (N / WARP_N) * WARP_M + lane_row * 4, first_column = warp % (N / WARP_N) * WARP_N + lane_column * 4;
    const int first_m = blockIdx.y * M, first_n = blockIdx.x * N, group = blockIdx.z / splits, split = blockIdx.z % splits;
    Product p = whole;
    p.y += 1LL * split * p.conv.N * p.conv.O * p.conv.I * p.conv.J;  // where there is one split, this is y itself
    const int slabs = ceil_div(p.K, DEPTH), begin = int(1LL * slabs * split / splits) * DEPTH;
    const int end = int(1LL * slabs * (split + 1) / splits) * DEPTH;

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
    ask(begin);
    write(0);
    for (int first_k = begin, slab = 0; first_k < end; first_k += DEPTH, slab ^= 1) {
        __syncthreads();  // this slab is complete, and nobody needs the other one any more
        const bool more = first_k + DEPTH < end;
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

__global__ void add_parts(const Product p, const float* parts, int splits, int size) {
    const int t = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (t >= size) return;
    float sum = p.bias ? p.bias[p.by_pixels.divide(t) % p.conv.O] : 0;
    for (int split = 0; split < splits; split++) sum += parts[1LL * split * size + t];
    p.y[t] = sum;
}

void run(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan& plan, cudaStream_t stream) {
    const Product p(conv, x, weight, bias, y);
    const Product product = plan.splits == 1 ? p : Product(conv, x, weight, nullptr, plan.parts);
    const dim3 grid(ceil_div(p.N, N), ceil_div(p.M, M), conv.groups * plan.splits);
    launch("conv2d_08_split_k", kernel, grid, THREADS, 0, stream, product, plan.splits);
    const int size = conv.N * conv.O * conv.I * conv.J, threads = 256;
    if (plan.splits > 1)
        launch("conv2d_08_add_parts", add_parts, ceil_div(size, threads), threads, 0, stream, p, plan.parts, plan.splits, size);
}

Conv2dRung rung("08_split_k", run);

}  // namespace conv2d_08
