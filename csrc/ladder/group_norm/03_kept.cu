// GroupNorm + Swish, rung 3: the group stays on the chip, and four numbers come by one instruction.
//
// Against rung 2: a thread keeps what it has read in shared memory, and the second and third pass read it there. It reads and writes four
// numbers at once, which belong to one channel, so that weight and bias are looked up once for four.
//
//                        numbers of the group ->
//     global          [ t0 t0 t0 t0 t1 t1 t1 t1 t2 ... ]   read once, 16 bytes a thread
//     shared          [ t0 t0 t0 t0 t1 t1 t1 t1 t2 ... ]   a thread reads what it wrote itself: no barrier
//
//     bytes     x read once, y written once: 8 a number, the least there is, and weight and bias for four of them. Groups of more than 63
//               KB don't fit and are read again.
//     counted   in groups of 2048 numbers, for each number 6.5 bytes read and 4 written; 8.66 moved
#include "ladder/group_norm/number.h"

namespace group_norm_03 {

constexpr int THREADS = 256;

template <int WIDTH>  // numbers that are read at once: 4, or 1 where rows of pixels are no multiple of 16 bytes
__global__ void __launch_bounds__(THREADS) kernel(const GroupNorm n, bool kept) {
    using Numbers = Pack<WIDTH>;
    __shared__ float sums[2][THREADS / 32];
    const int group = blockIdx.x, packs = n.channels_per_group * n.pixels / WIDTH;
    const float count = float(packs * WIDTH);
    const Numbers* x = reinterpret_cast<const Numbers*>(n.x) + size_t(group) * packs;
    Numbers* y = reinterpret_cast<Numbers*>(n.y) + size_t(group) * packs;
    Numbers* copy = dynamic_shared<Numbers>();
    const Numbers* source = kept ? copy : x;

    const float first = x[0].at[0];
    float sum = 0;
    for (int k = threadIdx.x; k < packs; k += THREADS) {
        const Numbers numbers = x[k];
        if (kept) copy[k] = numbers;
#pragma unroll
        for (int w = 0; w < WIDTH; w++) sum += numbers.at[w] - first;
    }
    const float mean = first + block_sum(sum, sums[0]) / count;

    float squares = 0;
    for (int k = threadIdx.x; k < packs; k += THREADS) {
        const Numbers numbers = source[k];
#pragma unroll
        for (int w = 0; w < WIDTH; w++) squares += (numbers.at[w] - mean) * (numbers.at[w] - mean);
    }
    const float inverse_std = 1 / sqrtf(block_sum(squares, sums[1]) / count + n.eps);

    for (int k = threadIdx.x; k < packs; k += THREADS) {
        const int channel = group % n.groups * n.channels_per_group + k * WIDTH / n.pixels;
        const float weight = weight_of(n, channel), bias = bias_of(n, channel);
        Numbers numbers = source[k];
#pragma unroll
        for (int w = 0; w < WIDTH; w++) numbers.at[w] = finished(n, numbers.at[w], mean, inverse_std, weight, bias);
        y[k] = numbers;
    }
    if (threadIdx.x != 0) return;
    n.mean[group] = mean;
    n.inverse_std[group] = inverse_std;
}

void run(const GroupNorm& n, cudaStream_t stream) {
    const size_t bytes = sizeof(float) * size_t(n.channels_per_group) * size_t(n.pixels);
    const bool kept = bytes <= SHARED_BYTES;
    const auto chosen = packs_of_4(n.pixels, {n.x, n.y}) ? kernel<4> : kernel<1>;
    launch("group_norm_03_kept", chosen, n.images * n.groups, THREADS, kept ? bytes : 0, stream, n, kept);
}

GroupNormRung rung("03_kept", run);

}  // namespace group_norm_03
