// 2-D convolution by Hopper's wgmma (common/wgmma.h): what its two kernels share. warpgroup_correlate.h has the forward pass and the input
// gradient, warpgroup_gradient.h the weight gradient. They are for convolutions of stride 1, and for input gradients of stride 2 too.
//
// Two costs of the other tiles on tensor cores (tile_tf32.h, channels_last.h) are gone:
//     - Each tap shows the same pixels, at another place. Elsewhere a slab holds the pixels of one tap, so that each number is copied 9 times
//       for 9 taps. Here a block copies the pixels and their surroundings once, as they lie in memory, and each tap reads them anew from
//       shared memory, into the registers of operand a, which may begin at any address.
//     - The other operand is read from shared memory by the tensor cores themselves: no thread spends instructions on it.
//
// tf32x3 multiplies high by high, high by low and low by high (tile_tf32.h). Of a, the threads split each number when they read it. Of b, both
// parts are in shared memory. The products of a batch are added up by the tensor cores, which cut off what they add; the batch's sum is then
// added by an ordinary float32 addition.
#pragma once

#include "conv2d/correlate.h"
#include "conv2d/weight_gradient.h"
#include "common/tile_tf32.h"
#include "common/wgmma.h"

constexpr int WARPGROUP = 128;       // threads
constexpr int WARPGROUP_ROWS = 64;   // of a, in an instruction
constexpr int WARPGROUP_TILE = 8;    // the first number of these tiles in a plan of a correlation ...
constexpr int WARPGROUP_GRADIENT_TILE = 5;  // ... and of a weight gradient
constexpr long long MOST_NUMBERS = 1LL << 31;  // of the weights as a tile wants them: they are counted by int
constexpr int PARTS_OF[] = {0, 1, 0, 2};    // of a number, by products: one, or high and low

template <int PRODUCTS>
void correlation_by_warpgroups(const char* name, const Correlation&, const float* source, const float* weight, const float* bias,
                               float* result, const Plan&, cudaStream_t);
template <int PRODUCTS>
void weight_gradient_by_warpgroups(const char* name, const Conv&, const float* dy, const float* x, const Gradients&, const Plan&,
                                   cudaStream_t);
template <int PRODUCTS>
long long warpgroup_parts(const Conv&, Sum, int tile, int splits, long long result_size);  // as conv2d_parts

// PARTS * STEPS operands b of a slab, of 8 k each. Of a step: the high parts (or all there is), then the low ones.
template <int N, int STEPS, int PARTS>
using SlabOfColumns = WgmmaColumns<N>[STEPS][PARTS];

// The batches of STEPS steps: BATCH each, the first one what is left. The last one is multiplied while threads meet at the barrier behind it,
// so it is a long one; COPYING, the first long one, while they copy.
template <int STEPS, int BATCH>
struct Batches {
    static constexpr int COUNT = ceil_div(STEPS, BATCH), COPYING = STEPS % BATCH ? 1 : 0;
    __device__ static constexpr int end(int batch) { return STEPS - (COUNT - 1 - batch) * BATCH; }
    __device__ static constexpr int first(int batch) { return batch ? end(batch - 1) : 0; }
};

// A warpgroup's sums, 64 x N, and the operands of a batch of up to BATCH steps. It is multiplied while the next one is read.
template <int N, int BATCH, int PRODUCTS>
struct WarpgroupSums {
    static constexpr int PARTS = PARTS_OF[PRODUCTS];
    float sum[N / 2], part[N / 2];
    float high[BATCH][4], low[BATCH][4];

    __device__ WarpgroupSums() {
#pragma unroll
        for (int e = 0; e < N / 2; e++) sum[e] = part[e] = 0;
        if constexpr (PARTS == 2)
            wgmma_fence(sum, part);
        else
            wgmma_fence(sum);
    }

    // All products are complete, and added.
    __device__ void finish() {
        if constexpr (PARTS == 2) {
            wgmma_wait<0>(part);
#pragma unroll
            for (int e = 0; e < N / 2; e++) sum[e] += part[e];
        } else {
            wgmma_wait<0>(sum);
        }
    }

    // Steps first, ..., end - 1 of a slab, by a as it was read.
    template <int STEPS>
    __device__ void multiply_batch(const float (&a)[BATCH][4], const SlabOfColumns<N, STEPS, PARTS>& b, int first, int end) {
        finish();  // the batch before
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            if (first + i >= end) continue;
#pragma unroll
            for (int e = 0; e < 4; e++) {
                high[i][e] = PARTS == 2 ? a[i][e] : round_to_tf32(a[i][e]);  // the instruction cuts the high part itself
                if constexpr (PARTS == 2) low[i][e] = a[i][e] - cut_to_tf32(a[i][e]);
            }
        }
        if constexpr (PARTS == 2)
            wgmma_fence(sum, part, high, low);
        else
            wgmma_fence(sum, high);
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            if (first + i >= end) continue;
            if constexpr (PARTS == 2) {
                wgmma_tf32<N>(part, low[i], b[first + i][0], i > 0);
                wgmma_tf32<N>(part, high[i], b[first + i][1]);
                wgmma_tf32<N>(part, high[i], b[first + i][0]);
            } else {
                wgmma_tf32<N>(sum, high[i], b[first + i][0]);
            }
        }
        wgmma_commit();
    }
};
