// What GroupNorm does to a number, as one multiplication and one addition: z = x * scale + shift, with
//
//     scale[n,c] = inverse_std * weight_c        shift[n,c] = bias_c - mean * scale[n,c]        mean and inverse_std of the channel's group
//
// A block owns a group of an image and keeps it on the chip, as in ladder/group_norm/03_kept.cu. Its threads read neighbouring numbers.
//
// Bytes: x read once (groups of more than 63 KB again), 8 written for each channel. The error: shift carries mean * scale, so that a mean of
// 1000 standard deviations costs three digits.
#pragma once

#include "group_norm/parts.h"

constexpr int SCALE_THREADS = 256;

static __global__ void __launch_bounds__(SCALE_THREADS) scales(const GroupNorm n, float2* scale_and_shift, bool kept) {
    __shared__ float sums[2][SCALE_THREADS / 32];
    const int first_channel = blockIdx.x * n.channels_per_group, count = n.channels_per_group * n.pixels;  // of all images
    const float* x = n.x + size_t(first_channel) * n.pixels;
    float* copy = dynamic_shared<float>();

    const float first = x[0];  // a common offset would eat the digits of the rest
    float sum = 0;
    for (int k = threadIdx.x; k < count; k += SCALE_THREADS) {
        const float number = x[k];
        if (kept) copy[k] = number;
        sum += number - first;
    }
    const float mean = first + block_sum(sum, sums[0]) / float(count);

    float squares = 0;
    for (int k = threadIdx.x; k < count; k += SCALE_THREADS) {
        const float distance = (kept ? copy[k] : x[k]) - mean;  // a thread reads what it wrote itself: no barrier
        squares += distance * distance;
    }
    const float inverse_std = 1 / sqrtf(block_sum(squares, sums[1]) / float(count) + n.eps);

    for (int c = threadIdx.x; c < n.channels_per_group; c += SCALE_THREADS) {
        const int channel = first_channel % n.channels() + c;
        const float scale = inverse_std * weight_of(n, channel);
        scale_and_shift[first_channel + c] = make_float2(scale, bias_of(n, channel) - mean * scale);
    }
}

inline void launch_scales(const char* name, const GroupNorm& n, float2* scale_and_shift, cudaStream_t stream) {
    const size_t bytes = sizeof(float) * size_t(n.channels_per_group) * size_t(n.pixels);
    const bool kept = bytes <= SHARED_BYTES;
    launch(name, scales, n.images * n.groups, SCALE_THREADS, kept ? bytes : 0, stream, n, scale_and_shift, kept);
}
