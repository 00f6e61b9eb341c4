// What the kernels of group normalisation are made of: the formulas for one number; wide reads and sums over a block for the fast version.
#pragma once

#include <initializer_list>

#include "common/divider.h"
#include "group_norm/group_norm.h"

inline __device__ float weight_of(const GroupNorm& n, int channel) { return n.weight == nullptr ? 1 : n.weight[channel]; }
inline __device__ float bias_of(const GroupNorm& n, int channel) { return n.bias == nullptr ? 0 : n.bias[channel]; }

// exp may be inf: 1 / inf = 0 is right. __fdividef is two instructions, right to 2 units of the last place, where 1 / a is nine, with a branch
// for rare a that keeps the compiler from interleaving the numbers of a loop.
inline __device__ float sigmoid(float z) { return __fdividef(1, 1 + __expf(-z)); }

template <bool SWISH>
__device__ float activate(float z) {
    return SWISH ? z * sigmoid(z) : z;
}
template <bool SWISH>
__device__ float d_activate(float z) {
    if (!SWISH) return 1;
    const float sigma = sigmoid(z);
    return sigma * (1 + z * (1 - sigma));
}

// What a number adds to the sums of its channel is made of these two.
struct Terms {
    float x_hat, dz;
};

template <bool SWISH>
__device__ Terms terms(float x, float dy, float mean, float inverse_std, float weight, float bias) {
    const float x_hat = (x - mean) * inverse_std;
    return {x_hat, dy * d_activate<SWISH>(x_hat * weight + bias)};
}
template <bool SWISH>
__device__ Terms terms(const GroupNorm& n, float x, float dy, float mean, float inverse_std, int channel) {
    return terms<SWISH>(x, dy, mean, inverse_std, weight_of(n, channel), bias_of(n, channel));
}

constexpr int MAX_WARPS = 16;            // of a block
constexpr int SHARED_BYTES = 63 * 1024;  // for a block's copy of its group: what every GPU since Turing has left; larger groups are read again

// WIDTH numbers that one instruction reads or writes.
template <int WIDTH>
struct alignas(WIDTH * sizeof(float)) Pack {
    float at[WIDTH];
};

// Whether rows of `pixels` numbers that start at these addresses can be read in packs of four.
inline bool packs_of_4(int pixels, std::initializer_list<const void*> addresses) {
    bool aligned = pixels % 4 == 0;
    for (const void* address : addresses) aligned = aligned && reinterpret_cast<size_t>(address) % sizeof(Pack<4>) == 0;
    return aligned;
}

// weight and bias of the numbers of one pack, the k-th of a group. They belong to one channel, or if CROSSING to one or two.
template <int WIDTH, bool CROSSING>
struct PackParameters {
    float weights[1 + CROSSING], biases[1 + CROSSING];
    int in_first;  // so many numbers of the pack belong to the first of its channels

    __device__ void read(const GroupNorm& n, int first_channel, LoopDivider by_pixels, int k) {
        const int c = by_pixels.divide(k * WIDTH), channel = first_channel + c;
        in_first = (c + 1) * n.pixels - k * WIDTH;
        weights[0] = weight_of(n, channel);
        biases[0] = bias_of(n, channel);
        if (CROSSING) {
            const int second = in_first < WIDTH ? channel + 1 : channel;
            weights[CROSSING] = weight_of(n, second);
            biases[CROSSING] = bias_of(n, second);
        }
    }
    __device__ bool in_second(int w) const { return CROSSING && w >= in_first; }
    // Not weights[in_second(w)]: registers have no index, and an array that is indexed is put into memory.
    __device__ float weight(int w) const { return in_second(w) ? weights[CROSSING] : weights[0]; }
    __device__ float bias(int w) const { return in_second(w) ? biases[CROSSING] : biases[0]; }
};

// How a group is cut into packs. Rows of 49 numbers are no multiple of 4, but a group of 4 such rows is.
enum class Packs { OF_1, OF_4, OF_4_CROSSING };

inline Packs packs_of(const GroupNorm& n, std::initializer_list<const void*> addresses) {
    if (packs_of_4(n.pixels, addresses)) return Packs::OF_4;
    const bool two_channels_at_most = n.pixels >= 4;
    return two_channels_at_most && packs_of_4(n.channels_per_group * n.pixels, addresses) ? Packs::OF_4_CROSSING : Packs::OF_1;
}

// The sum of one value per thread of the block, in the same order in every run; every thread gets it. partial: shared, not used before.
inline __device__ float block_sum(float value, float* partial) {
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0;
    for (int warp = 0; warp < int(blockDim.x) / 32; warp++) sum += partial[warp];
    return sum;
}

// The same for two values, with one barrier for both.
inline __device__ float2 block_sums(float2 values, float2* partial) {
    values = make_float2(warp_sum(values.x), warp_sum(values.y));
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = values;
    __syncthreads();
    float2 sums = make_float2(0, 0);
    for (int warp = 0; warp < int(blockDim.x) / 32; warp++) sums.x += partial[warp].x, sums.y += partial[warp].y;
    return sums;
}
