// GroupNorm + Swish, rung 1: a thread owns a group.
//
//     thread    goes through its group three times: mean, variance, result
//
//                        numbers of the group ->
//               t0    [ x x x x x x x x x x x ]
//               t1                              [ x x x x x x x x x x x ]      one group behind the other in memory:
//               t2                                                        [ x  neighbouring threads read a whole group apart
//
//     bytes     four numbers of x (the mean is taken relative to the group's first one, so that is read each time, too), weight and bias
//               are read for each number, and one is written. But every 4 bytes of a thread move a sector of 32, and no other thread wants
//               the rest. And a batch has a few hundred groups, where the GPU wants 200,000 threads
//     counted   in groups of 2048 numbers, for each number 24 bytes read and 4 written; 192 moved
#include "ladder/group_norm/number.h"

namespace group_norm_01 {

constexpr int THREADS = 32;

__global__ void kernel(const GroupNorm n) {
    const int group = int(blockIdx.x * blockDim.x + threadIdx.x);  // of all images
    if (group >= n.images * n.groups) return;
    const int count = n.channels_per_group * n.pixels;
    const float* x = n.x + size_t(group) * count;
    float* y = n.y + size_t(group) * count;

    float sum = 0;
    for (int k = 0; k < count; k++) sum += x[k] - x[0];  // a common offset would eat the digits of the rest
    const float mean = x[0] + sum / float(count);

    float squares = 0;
    for (int k = 0; k < count; k++) {
        const float distance = x[k] - mean;
        squares += distance * distance;
    }
    const float inverse_std = 1 / sqrtf(squares / float(count) + n.eps);

    for (int k = 0; k < count; k++) {
        const int channel = group % n.groups * n.channels_per_group + k / n.pixels;
        y[k] = finished(n, x[k], mean, inverse_std, weight_of(n, channel), bias_of(n, channel));
    }
    n.mean[group] = mean;
    n.inverse_std[group] = inverse_std;
}

void run(const GroupNorm& n, cudaStream_t stream) {
    launch("group_norm_01_naive", kernel, ceil_div(n.images * n.groups, THREADS), THREADS, 0, stream, n);
}

GroupNormRung rung("01_naive", run);

}  // namespace group_norm_01
