// Group normalisation with or without Swish behind it: what its kernels share.
//
//     x_hat = (x - mean) * inverse_std        inverse_std = 1 / sqrt(variance + eps); mean and variance over one group of one image,
//                                             which is channels_per_group * pixels numbers
//     z     = x_hat * weight_c + bias_c       of the number's channel c
//     y     = z            (group_norm)
//     y     = z sigma(z)   (group_norm_swish), sigma(z) = 1 / (1 + exp(-z))
//
// and with dy = dL/dy:
//
//     dz        = dy                                       (group_norm)
//     dz        = dy sigma(z) (1 + z (1 - sigma(z)))       (group_norm_swish)
//     dweight_c = sum over images and pixels of dz x_hat       dbias_c = sum over images and pixels of dz
//     dx_hat    = dz weight_c
//     dx        = inverse_std (dx_hat - average(dx_hat) - x_hat average(dx_hat x_hat))      averages over the group
//
// A group lies in one piece in memory, (images, groups, channels_per_group, pixels); x_hat is recomputed in the backward pass.
//
// Work: some 10 operations a number, so only the bytes count: forward 8 a number (x read, y written), backward 12 (x and dy read, dx
// written), if the group stays on the chip between the passes over it. As separate operations, GroupNorm and Swish would move 16 and 24.
#pragma once

#include "common/device.h"

struct GroupNorm {
    int images, groups, channels_per_group, pixels;
    float eps;
    bool swish;
    const float* x;       // (images, groups, channels_per_group, pixels)
    const float* weight;  // (groups * channels_per_group); null stands for ones
    const float* bias;    // likewise; null stands for zeros
    float* y;
    float* mean;         // (images, groups)
    float* inverse_std;  // (images, groups)

    __host__ __device__ int channels() const { return groups * channels_per_group; }
};

struct GroupNormGradient {
    const float* dy;
    float* dx;
    float* dweight;       // (channels)
    float* dbias;         // (channels)
    float* image_dweight; // (images, channels): the sums over the pixels of one image
    float* image_dbias;   // (images, channels)
};

void group_norm_forward_naive(const GroupNorm& n, cudaStream_t stream);
void group_norm_forward_fast(const GroupNorm& n, cudaStream_t stream);
void group_norm_backward_naive(const GroupNorm& n, const GroupNormGradient& g, cudaStream_t stream);
void group_norm_backward_fast(const GroupNorm& n, const GroupNormGradient& g, cudaStream_t stream);

// A part of the fast version, without the sums over the images. False where it does not apply, and then nothing is done: for channels of 256
// pixels and more, and for groups of more than 8,192 numbers (2,048 where they can't be read four at a time).
bool group_norm_backward_short_channels(const GroupNorm& n, const GroupNormGradient& g, cudaStream_t stream);
