// Group normalisation with or without Swish, forward (the equations are in group_norm.h).
//
//     naive   a thread owns one group of one image and goes through it three times: mean, variance, result
//     fast    a block owns one group of one image; its threads read the group from global memory once, keep it in registers, or in shared
//             memory where it is larger, and add up their sums by warp shuffles
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

// ---- fast, in registers: block = group, and a thread asks for all its numbers before it needs the first ---------------------------------

constexpr int PACKS = 4;            // of a thread
constexpr int REGISTER_WARPS = 8;  // of a block. With 13, a multiprocessor would hold three blocks, where it holds four of the kernel below

template <bool SWISH, int WIDTH, bool CROSSING>
__global__ void group_norm_in_registers(GroupNorm n, LoopDivider by_pixels) {
    using Numbers = Pack<WIDTH>;
    __shared__ float partial[2][MAX_WARPS];
    const int group = blockIdx.x, first_channel = group % n.groups * n.channels_per_group, packs = n.channels_per_group * n.pixels / WIDTH;
    const float count = n.channels_per_group * n.pixels;
    const Numbers* x = reinterpret_cast<const Numbers*>(n.x) + size_t(group) * packs;
    Numbers* y = reinterpret_cast<Numbers*>(n.y) + size_t(group) * packs;

    Numbers mine[PACKS];
    PackParameters<WIDTH, CROSSING> parameters[PACKS];
    const float first = x[0].at[0];
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
        const int k = threadIdx.x + i * blockDim.x;
        if (k < packs) {
            const Numbers numbers = x[k];
            mine[i] = numbers;
            parameters[i].read(n, first_channel, by_pixels, k);
        }
    }

    float sum = 0;
#pragma unroll
    for (int i = 0; i < PACKS; i++)
        if (int(threadIdx.x + i * blockDim.x) < packs)
            for (int w = 0; w < WIDTH; w++) sum += mine[i].at[w] - first;
    const float mean = first + block_sum(sum, partial[0]) / count;

    float squares = 0;
#pragma unroll
    for (int i = 0; i < PACKS; i++)
        if (int(threadIdx.x + i * blockDim.x) < packs)
            for (int w = 0; w < WIDTH; w++) squares += (mine[i].at[w] - mean) * (mine[i].at[w] - mean);
    const float inverse_std = 1 / sqrtf(block_sum(squares, partial[1]) / count + n.eps);

#pragma unroll
    for (int i = 0; i < PACKS; i++) {
        const int k = threadIdx.x + i * blockDim.x;
        if (k < packs) {
            Numbers numbers = mine[i];
            const auto& p = parameters[i];
            for (int w = 0; w < WIDTH; w++)
                numbers.at[w] = activate<SWISH>((numbers.at[w] - mean) * inverse_std * p.weight(w) + p.bias(w));
            y[k] = numbers;
        }
    }
    if (threadIdx.x == 0) {
        n.mean[group] = mean;
        n.inverse_std[group] = inverse_std;
    }
}

// ---- fast, larger groups: block = group -------------------------------------------------------------------------------------------------

template <bool SWISH, int WIDTH>  // WIDTH numbers are read at once; they belong to one channel
__global__ void group_norm_fast(GroupNorm n, LoopDivider by_pixels, bool kept) {
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
        const int channel = group % n.groups * n.channels_per_group + by_pixels.divide(k * WIDTH);
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

template <bool SWISH, int WIDTH, bool CROSSING>
void launch_fast(const GroupNorm& n, cudaStream_t stream) {
    const long long count = (long long)n.channels_per_group * n.pixels;
    const int warps = min(ceil_div(count, 32 * WIDTH * PACKS), MAX_WARPS);
    const dim3 blocks(n.images * n.groups), threads(32 * warps);
    const LoopDivider by_pixels(n.pixels);
    if (warps <= REGISTER_WARPS) {
        const auto kernel = group_norm_in_registers<SWISH, WIDTH, CROSSING>;
        return launch("group_norm_in_registers", kernel, blocks, threads, 0, stream, n, by_pixels);
    }
    constexpr int ROW_WIDTH = CROSSING ? 1 : WIDTH;
    const bool kept = count * sizeof(float) <= SHARED_BYTES;
    const size_t shared_bytes = kept ? count * sizeof(float) : 0;
    launch("group_norm_fast", group_norm_fast<SWISH, ROW_WIDTH>, blocks, threads, shared_bytes, stream, n, by_pixels, kept);
}

template <bool SWISH>
void launch_fast(const GroupNorm& n, cudaStream_t stream) {
    switch (packs_of(n, {n.x, n.y})) {
        case Packs::OF_1: return launch_fast<SWISH, 1, false>(n, stream);
        case Packs::OF_4: return launch_fast<SWISH, 4, false>(n, stream);
        case Packs::OF_4_CROSSING: return launch_fast<SWISH, 4, true>(n, stream);
    }
}

}  // namespace

void group_norm_forward_naive(const GroupNorm& n, cudaStream_t stream) {
    constexpr int THREADS = 32;
    const dim3 blocks(ceil_div(n.images * n.groups, THREADS));
    launch("group_norm_naive", n.swish ? group_norm_naive<true> : group_norm_naive<false>, blocks, dim3(THREADS), 0, stream, n);
}

void group_norm_forward_fast(const GroupNorm& n, cudaStream_t stream) {
    n.swish ? launch_fast<true>(n, stream) : launch_fast<false>(n, stream);
}
