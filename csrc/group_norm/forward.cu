// Group normalisation with or without Swish, forward (the equations are in group_norm.h).
//
//     naive   a thread owns one group of one image and goes through it three times: mean, variance, result
//     fast    a block owns one group of one image; its threads read the group from global memory once, keep it in shared memory,
//             and add up their sums by warp shuffles
//
// naive has as many threads as there are groups, some hundreds where the GPU wants 200,000, and neighbouring threads read addresses that
// lie a whole group apart. Sums are taken relative to the group's first number: a common offset would eat the digits of the rest.

#include "group_norm/parts.h"

namespace {

// ---- naive: thread = group --------------------------------------------------------------------------------------------------------------

template <bool SWISH>
__global__ void group_norm_naive(GroupNorm n) {
    const int group = blockIdx.x * blockDim.x + threadIdx.x;  // of all images
    if (group >= n.images * n.groups) return;                 // no barrier follows
    const int count = n.channels_per_group * n.pixels;
    const float* x = n.x + size_t(group) * count;
    float* y = n.y + size_t(group) * count;

    float sum = 0;
    for (int k = 0; k < count; k++) sum += x[k] - x[0];
    const float mean = x[0] + sum / count;

    float squares = 0;
    for (int k = 0; k < count; k++) squares += (x[k] - mean) * (x[k] - mean);
    const float inverse_std = 1 / sqrtf(squares / count + n.eps);

    for (int k = 0; k < count; k++) {
        const int channel = group % n.groups * n.channels_per_group + k / n.pixels;
        const float z = (x[k] - mean) * inverse_std * weight_of(n, channel) + bias_of(n, channel);
        y[k] = activate<SWISH>(z);
    }
    n.mean[group] = mean;
    n.inverse_std[group] = inverse_std;
}

// ---- fast: block = group ----------------------------------------------------------------------------------------------------------------

template <bool SWISH, int WIDTH>  // WIDTH numbers are read at once; they belong to one channel
__global__ void group_norm_fast(GroupNorm n, bool kept) {
    using Numbers = Pack<WIDTH>;
    __shared__ float partial[2][MAX_WARPS];
    const int group = blockIdx.x, packs = n.channels_per_group * n.pixels / WIDTH;
    const float count = n.channels_per_group * n.pixels;
    const Numbers* x = reinterpret_cast<const Numbers*>(n.x) + size_t(group) * packs;
    Numbers* y = reinterpret_cast<Numbers*>(n.y) + size_t(group) * packs;
    Numbers* copy = dynamic_shared<Numbers>();  // a thread reads only what it wrote itself: no barrier
    const Numbers* source = kept ? copy : x;

    const float first = x[0].at[0];
    float sum = 0;
    for (int k = threadIdx.x; k < packs; k += blockDim.x) {
        const Numbers numbers = x[k];
        if (kept) copy[k] = numbers;
#pragma unroll
        for (int w = 0; w < WIDTH; w++) sum += numbers.at[w] - first;
    }
    const float mean = first + block_sum(sum, partial[0]) / count;

    float squares = 0;
    for (int k = threadIdx.x; k < packs; k += blockDim.x) {
        const Numbers numbers = source[k];
#pragma unroll
        for (int w = 0; w < WIDTH; w++) squares += (numbers.at[w] - mean) * (numbers.at[w] - mean);
    }
    const float inverse_std = 1 / sqrtf(block_sum(squares, partial[1]) / count + n.eps);

    for (int k = threadIdx.x; k < packs; k += blockDim.x) {
        const int channel = group % n.groups * n.channels_per_group + k * WIDTH / n.pixels;
        const float weight = weight_of(n, channel), bias = bias_of(n, channel);
        Numbers numbers = source[k];
#pragma unroll
        for (int w = 0; w < WIDTH; w++) numbers.at[w] = activate<SWISH>((numbers.at[w] - mean) * inverse_std * weight + bias);
        y[k] = numbers;
    }
    if (threadIdx.x == 0) {
        n.mean[group] = mean;
        n.inverse_std[group] = inverse_std;
    }
}

template <bool SWISH, int WIDTH>
void launch_fast(const GroupNorm& n, cudaStream_t stream) {
    const long long count = (long long)n.channels_per_group * n.pixels;
    const bool kept = count * sizeof(float) <= SHARED_BYTES;
    const int warps = min(ceil_div(count, 32 * WIDTH * 4), MAX_WARPS);  // four packs a thread, or more
    const size_t shared_bytes = kept ? count * sizeof(float) : 0;
    launch("group_norm_fast", group_norm_fast<SWISH, WIDTH>, dim3(n.images * n.groups), dim3(32 * warps), shared_bytes, stream, n, kept);
}

}  // namespace

void group_norm_forward_naive(const GroupNorm& n, cudaStream_t stream) {
    constexpr int THREADS = 32;
    const dim3 blocks(ceil_div(n.images * n.groups, THREADS));
    launch("group_norm_naive", n.swish ? group_norm_naive<true> : group_norm_naive<false>, blocks, dim3(THREADS), 0, stream, n);
}

void group_norm_forward_fast(const GroupNorm& n, cudaStream_t stream) {
    const bool wide = packs_of_4(n.pixels, {n.x, n.y});
    if (n.swish) return wide ? launch_fast<true, 4>(n, stream) : launch_fast<true, 1>(n, stream);
    return wide ? launch_fast<false, 4>(n, stream) : launch_fast<false, 1>(n, stream);
}
