// What the kernels of group normalisation are made of: the formulas for one number; wide reads and sums over a block for the fast version.
#pragma once

#include <initializer_list>

#include "group_norm/group_norm.h"

inline __device__ float weight_of(const GroupNorm& n, int channel) { return n.weight == nullptr ? 1 : n.weight[channel]; }
inline __device__ float bias_of(const GroupNorm& n, int channel) { return n.bias == nullptr ? 0 : n.bias[channel]; }

inline __device__ float sigmoid(float z) { return 1 / (1 + __expf(-z)); }  // exp may be inf: 1 / inf = 0 is right

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

// The sum of one value per thread of the block, in the same order in every run; every thread gets it. partial: shared, not used before.
inline __device__ float block_sum(float value, float* partial) {
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0;
    for (int warp = 0; warp < int(blockDim.x) / 32; warp++) sum += partial[warp];
    return sum;
}
