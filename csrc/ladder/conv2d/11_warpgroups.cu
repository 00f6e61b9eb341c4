// conv2d, rung 11: tensor cores that read shared memory themselves (Hopper's wgmma). For 3 x 3 kernels, on compute capability 9.0.
//
// Against rung 10: the norm is gone, and the patch stays: the source is copied once for all nine taps and stays where it is. The product
// is made by tensor cores: a warpgroup of four warps multiplies 64 results x 8 k (operand a) by 8 k x 64 channels (operand b) at once.
// The results are a, in registers: for each tap a lane reads them again, from another place of the patch. The weights are b: the tensor
// cores fetch them from shared memory themselves. They take b in quads of 4 k side by side, as the weights lie in memory, so a quad is one
// copy of 16 bytes. Step q multiplies quads q and q + 9, which have the same taps, four channels apart:
//
//              k = (c,u,v)   0 1 2 3 | 4 5 6 7 | 8 9 ...  71           . - - - - .      a: lane 4 g + t reads result g of its warp
//              of a slab   [ quad 0  | quad 1  | ... quad 17 ]         . g g g g .         at tap t of the quad, and at the same
//                            lanes t = 0 1 2 3 of step 0, 1, ...       . - - - - .         tap four channels further
//
// Tensor cores multiply TF32, 10 bits of mantissa. So numbers are cut in two, high + low, and three products make one: high high + high
// low + low high. And they cut off what they add, so the sum of 24 k is added to the others by an ordinary addition (common/tile_tf32.h).
//
//     block     owns 64 channels x 128 results, two warpgroups; two blocks a multiprocessor: one multiplies while the other waits
//     slab      8 channels: the pixels, as in rung 10, and both parts of the weights
//     thread    copies quads of one channel m, and writes their low parts when they have landed
//     bytes     a block copies a pixel once, and a weight once for 128 results. From shared memory each warpgroup reads b for itself
//     counted   for 32 multiply-adds (three make one): 0.4375 bytes read of global memory, 3.0130208 of shared memory, 0.029649522 turns
#include "common/mma_tf32.h"
#include "common/wgmma.h"
#include "ladder/conv2d/patch.h"
#include "ladder/conv2d/product.h"

namespace conv2d_11 {

constexpr int M = 64, N = 128, DEPTH = 8, STEPS = 9, BATCH = 3, QUADS = 2 * STEPS, THREADS = 256, SHARED = 227 * 1024;
__device__ float low_part(float number) { return number - cut_to_tf32(number); }
using Weights = WgmmaColumns<M>[2][STEPS];  // of a slab: high parts, low parts

__global__ void __launch_bounds__(THREADS, 2) kernel(const Product p, const Patch patch) {
    const Conv& conv = p.conv;
    const int t = threadIdx.x, row = t / 32 * 16 + t % 32 / 4, m = t % 8 + t / 16 % 8 * 8, first_quad = t / 8 % 2 + t / 128 * 2;
    const int first_m = blockIdx.y * M, first_n = blockIdx.x * N, group = blockIdx.z, first_place = patch.place(conv, first_n);
    const int C = conv.group_C(), plane = conv.H * conv.W, size = patch.size, down = conv.dilation_h * patch.pitch;
    const bool by_quads = p.K % 4 == 0 && reinterpret_cast<uintptr_t>(p.weight) % 16 == 0;
    const float* weight = p.weight + (group * p.M + first_m + m) * p.K;
    Weights* weights = dynamic_shared<Weights>();                     // of two slabs
    float* pixels = reinterpret_cast<float*>(weights + 2);            // of two slabs
    int* pixel = reinterpret_cast<int*>(pixels + 2 * DEPTH * size);  // of each place, in channel 0; -1 in the padding
    for (int s = t; s < size; s += THREADS) pixel[s] = patch.pixel(conv, group, first_place + s);
    const auto quad = [&](int s, int part, int q) { return reinterpret_cast<float4*>(weights[s][part][q % STEPS].numbers[q / STEPS][m]); };
    const auto copy = [&](int first_c, int slab) {
        for (int q = first_quad; q < QUADS; q += 4) {
            const int k = first_c * 9 + 4 * q, left = first_m + m < p.M ? p.K - k : 0;
            if (by_quads) copy_quad_async_by_l1(&quad(slab, 0, q)->x, weight + k, left > 0);
            for (int e = 0; e < 4 && !by_quads; e++) copy_async(&quad(slab, 0, q)->x + e, weight + k + e, e < left);
        }
#pragma unroll 1
        for (int s = t; s < size; s += THREADS)
            for (int c = 0, at = pixel[s]; c < DEPTH; c++)
                copy_async(pixels + (slab * DEPTH + c) * size + s, p.x + at + (first_c + c) * plane, at >= 0 && first_c + c < C);
        end_of_copies();
    };

    int place[2], tap[STEPS];  // of this lane's two results, and from there to its first k of each step
    for (int e = 0; e < 2; e++) place[e] = patch.place(conv, min(first_n + row + 8 * e, p.N - 1)) - first_place;
    for (int q = 0, k = t % 4; q < STEPS; q++, k += 4) tap[q] = k / 9 * size + k % 9 / 3 * down + k % 3 * conv.dilation_w;
    float sum[M / 2] = {}, part[M / 2] = {};
    copy(0, 0);
    for (int first_c = 0, slab = 0; first_c < C; first_c += DEPTH, slab ^= 1) {
        wait_for_copies<0>();
        for (int q = first_quad; q < QUADS; q += 4) {  // of what this thread has copied
            const float4 w = *quad(slab, 0, q);
            *quad(slab, 1, q) = make_float4(low_part(w.x), low_part(w.y), low_part(w.z), low_part(w.w));
        }
        fence_for_wgmma(), __syncthreads();  // this slab is complete, and nobody needs the other one any more
        if (first_c + DEPTH < C) copy(first_c + DEPTH, slab ^ 1);
#pragma unroll
        for (int step = 0; step < STEPS; step += BATCH) {
            float high[BATCH][4], low[BATCH][4];
#pragma unroll
            for (int e = 0; e < 4 * BATCH; e++) {
                const float number = pixels[(slab * DEPTH + e % 4 / 2 * 4) * size + place[e % 2] + tap[step + e / 4]];
                high[e / 4][e % 4] = number, low[e / 4][e % 4] = low_part(number);
            }
            wgmma_fence(part, high, low);
#pragma unroll
            for (int i = 0; i < BATCH; i++) {
                wgmma_tf32<M>(part, low[i], weights[slab][0][step + i], i > 0);
                wgmma_tf32<M>(part, high[i], weights[slab][1][step + i]);
                wgmma_tf32<M>(part, high[i], weights[slab][0][step + i]);  // the instruction cuts the high parts itself
            }
            wgmma_commit(), wgmma_wait<0>(part);
            for (int e = 0; e < M / 2; e++) sum[e] += part[e];
        }
    }
#pragma unroll
    for (int e = 0; e < M / 2; e++)
        p.store(group, first_m + e / 4 * 8 + t % 4 * 2 + e % 2, first_n + row + e / 2 % 2 * 8, sum[e]);
}

void run(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t stream) {
    const Patch patch = patch_of(conv, N, sizeof(Weights) / sizeof(float) / DEPTH, SHARED, DEPTH);
    if (!has_wgmma()) throw std::runtime_error("conv2d_11_warpgroups: needs a GPU of compute capability 9.0, and code for it");
    if (conv.U != 3 || conv.V != 3 || patch.channels < DEPTH)
        throw std::runtime_error("conv2d_11_warpgroups: for 3 x 3 kernels, in rows that fit into shared memory");
    const Product p(conv, x, weight, bias, y);
    const size_t bytes = 2 * (sizeof(Weights) + sizeof(float) * DEPTH * patch.size) + sizeof(int) * patch.size;
    launch("conv2d_11_warpgroups", kernel, dim3(ceil_div(p.N, N), ceil_div(p.M, M), conv.groups), THREADS, bytes, stream, p, patch);
}

Conv2dRung rung("11_warpgroups", run);

}  // namespace conv2d_11
