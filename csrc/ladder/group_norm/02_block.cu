// GroupNorm + Swish, rung 2: a block owns a group, and its threads read neighbouring numbers.
//
// Against rung 1: 256 threads share a group. Thread t takes numbers t, t + 256, ... and the threads add up what they have: by shuffles
// within a warp, through shared memory between the warps.
//
//                        numbers of the group ->
//                     [ t0 t1 t2 ... t255 | t0 t1 t2 ... t255 | ... ]      a warp reads 128 bytes side by side: 4 whole sectors
//
//     bytes     a number is read three times, beside weight and bias, and written once; what moves is about what was asked for
//     counted   in groups of 2048 numbers, for each number 20.5 bytes read and 4 written; 18.16 moved
#include "ladder/group_norm/number.h"

namespace group_norm_02 {

constexpr int THREADS = 256;

__global__ void __launch_bounds__(THREADS) kernel(const GroupNorm n) {
    __shared__ float sums[2][THREADS / 32];  // of the warps: of the numbers, of their squares
    const int group = blockIdx.x, count = n.channels_per_group * n.pixels;
    const float* x = n.x + size_t(group) * count;
    float* y = n.y + size_t(group) * count;

    const float first = x[0];  // a common offset would eat the digits of the rest
    float sum = 0;
    for (int k = threadIdx.x; k < count; k += THREADS) sum += x[k] - first;
    const float mean = first + block_sum(sum, sums[0]) / float(count);

    float squares = 0;
    for (int k = threadIdx.x; k < count; k += THREADS) {
        const float distance = x[k] - mean;
        squares += distance * distance;
    }
    const float inverse_std = 1 / sqrtf(block_sum(squares, sums[1]) / float(count) + n.eps);

    for (int k = threadIdx.x; k < count; k += THREADS) {
        const int channel = group % n.groups * n.channels_per_group + k / n.pixels;
        y[k] = finished(n, x[k], mean, inverse_std, weight_of(n, channel), bias_of(n, channel));
    }
    if (threadIdx.x != 0) return;
    n.mean[group] = mean;
    n.inverse_std[group] = inverse_std;
}

void run(const GroupNorm& n, cudaStream_t stream) {
    launch("group_norm_02_block", kernel, n.images * n.groups, THREADS, 0, stream, n);
}

GroupNormRung rung("02_block", run);

}  // namespace group_norm_02
