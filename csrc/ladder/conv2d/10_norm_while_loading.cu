// conv2d, rung 10: GroupNorm and Swish while the convolution loads. The normalised array is never in memory.
//
// Against rung 7: in a residual block x comes out of GroupNorm + Swish, which reads one array and writes another, and the convolution reads
// that. Here a first kernel (scales.h) reads x and writes two numbers a channel, which normalise it: z = x * scale + shift. The convolution
// copies x as it is, and when a slab has landed, z sigma(z) takes the place of x in shared memory. The padding stays 0: it is that of the
// normalised array, and what normalises x would not leave it 0.
//
// A number should be normalised once, not for each of the 9 taps that see it. So a block copies all pixels that its results see, once for
// all taps. They lie in one piece, if images stand one below the other, each with its padding:
//
//                 . . . . . . . . . .          block     owns 64 channels x 128 results
//                 . - - - - - a=a=a .          slab      4 channels: all their weights, and the pixels a to b, with the padding (patch.h)
//                 . a=a=a=a=a=a=a=a .          thread    owns 16 x 4 results; copies and normalises pixels t, t + 128, ... So it waits for
//                 . a=a=a=b - - - - .                    its own copies only, and one barrier a slab is enough
//                 . . . . . . . . . .          warp      owns 64 x 32 results: 4 rows of lanes, 8 results side by side in each
//
//     bytes     x is read twice, 8 bytes a number. To normalise in a kernel of its own takes 12: x read, the normalised array written and
//               read. And a pixel is copied once a block, where rung 7 copies it 9 times
//     costs     a Swish for each pixel of each block. Blocks overlap: at batch 128 a number is normalised 1.8 times at 28 x 28, 1.1 times
//               at 7 x 7, and as often again for each further 64 channels of y
//     counted   for 32 multiply-adds: 1.9280855 bytes read of global memory, 40.4276 of shared memory, 0.20575532 turns of its banks
#include "ladder/conv2d/patch.h"
#include "ladder/conv2d/product.h"
#include "ladder/conv2d/scales.h"

namespace conv2d_10 {

constexpr int M = 64, N = 128, ROWS = 16, COLUMNS = 4, THREADS = M / ROWS * N / COLUMNS, PITCH = M + 4;

__global__ void __launch_bounds__(THREADS, 4) kernel(const Product p, const float2* scale_and_shift, const Patch patch) {
    const Conv& conv = p.conv;
    const int t = threadIdx.x, row = t % 2 + t / 16 % 2 * 2, column = t / 2 % 8 + t / 32 * 32;
    const int first_m = blockIdx.y * M, first_n = blockIdx.x * N, group = blockIdx.z, first_place = patch.place(conv, first_n);
    const int C = conv.group_C(), plane = conv.H * conv.W, taps = conv.U * conv.V, depth = patch.channels * taps;
    const int slab_size = depth * PITCH + patch.channels * patch.size;  // weights, then pixels
    int2* pixels = dynamic_shared<int2>();  // of each place: the image's first channel, and the pixel in a channel, -1 in the padding
    float* slabs = reinterpret_cast<float*>(pixels + patch.size);
    for (int s = t; s < patch.size; s += THREADS) {
        const int line = (first_place + s) / patch.pitch, image = line / patch.rows;
        const int h = line % patch.rows - conv.padding_h, w = (first_place + s) % patch.pitch - conv.padding_w;
        pixels[s] = make_int2(image * conv.C + group * C, image < conv.N && conv.inside(h, w) ? h * conv.W + w : -1);
    }
    const auto copy = [&](int first_c, float* slab) {
        for (int k = t % 8; k < depth; k += 8)
            for (int m = t / 8; m < M; m += THREADS / 8)
                copy_async(slab + k * PITCH + m, p.weight + (group * p.M + first_m + m) * p.K + first_c * taps + k,
                           first_m + m < p.M && first_c * taps + k < p.K);
        for (int s = t; s < patch.size; s += THREADS) {
            const int2 at = pixels[s];
            for (int c = 0; c < patch.channels; c++)
                copy_async(slab + depth * PITCH + c * patch.size + s, p.x + (at.x + first_c + c) * plane + at.y,
                           at.y >= 0 && first_c + c < C);
        }
        end_of_copies();
    };

    int first_tap[COLUMNS];  // of this thread's results, in the patch
    for (int e = 0; e < COLUMNS; e++) first_tap[e] = patch.place(conv, min(first_n + column + e * 8, p.N - 1)) - first_place;
    float sum[ROWS][COLUMNS] = {};
    copy(0, slabs);
    for (int first_c = 0, slab = 0; first_c < C; first_c += patch.channels, slab = slab_size - slab) {
        float *left = slabs + slab, *right = left + depth * PITCH;
        wait_for_copies<0>();
        for (int s = t; s < patch.size; s += THREADS) {  // normalise what this thread has copied
            const int2 at = pixels[s];
            for (int c = 0; c < patch.channels && first_c + c < C && at.y >= 0; c++) {
                const float2 line = scale_and_shift[at.x + first_c + c];
                right[c * patch.size + s] = activate<true>(right[c * patch.size + s] * line.x + line.y);
            }
        }
        __syncthreads();  // this slab is complete, and nobody needs the other one any more
        if (first_c + patch.channels < C) copy(first_c + patch.channels, slabs + slab_size - slab);
        for (int c = 0; c < patch.channels; c++, right += patch.size)
            for (int u = 0; u < conv.U; u++) {
                const float* tap[COLUMNS];
                for (int e = 0; e < COLUMNS; e++) tap[e] = right + u * conv.dilation_h * patch.pitch + first_tap[e];
                for (int v = 0; v < conv.V; v++, left += PITCH) {
                    float left_k[ROWS], right_k[COLUMNS];
#pragma unroll
                    for (int r = 0; r < ROWS; r += 4) read_quad(left_k + r, left + row * 4 + r * 4);
#pragma unroll
                    for (int e = 0; e < COLUMNS; e++) right_k[e] = *tap[e], tap[e] += conv.dilation_w;
#pragma unroll
                    for (int r = 0; r < ROWS; r++)
#pragma unroll
                        for (int e = 0; e < COLUMNS; e++) sum[r][e] += left_k[r] * right_k[e];
                }
            }
    }
    for (int r = 0; r < ROWS; r++)
        for (int e = 0; e < COLUMNS; e++) p.store(group, first_m + row * 4 + r / 4 * 16 + r % 4, first_n + column + e * 8, sum[r][e]);
}

void run(const GroupNorm& norm, const Conv& conv, const float* weight, const float* bias, float2* scales, float* y, cudaStream_t stream) {
    launch_scales("conv2d_10_scales", norm, scales, stream);
    const Product p(conv, norm.x, weight, bias, y);
    const Patch patch = patch_of(conv, N, conv.U * conv.V * PITCH, SHARED_BYTES);
    if (patch.channels < 1) throw std::runtime_error("conv2d_10_norm_while_loading: a kernel of this size, or rows so long, do not fit");
    const size_t bytes = sizeof(int2) * patch.size + 2 * sizeof(float) * patch.channels * (conv.U * conv.V * PITCH + patch.size);
    const dim3 grid(ceil_div(p.N, N), ceil_div(p.M, M), conv.groups);
    launch("conv2d_10_norm_while_loading", kernel, grid, THREADS, bytes, stream, p, scales, patch);
}

NormConv2dRung rung("10_norm_while_loading", run);

}  // namespace conv2d_10
