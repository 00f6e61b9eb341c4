// 2-D convolution on tensor cores, with channels side by side: (N, H, W, C), "channels last", instead of (N, C, H, W). For the forward pass
// and the input gradient.
//
// A slab of correlate.h holds, for each pixel, numbers that lie a plane apart in memory, and each of them takes a copy of its own. These
// copies, and the instructions that find their addresses, take more time than the multiplications. With channels last, 16 channels of a
// pixel are 64 bytes in a row: 4 copies of 16 bytes. So the arrays are first written anew (channels_last.cu), once for all taps and all blocks:
//
//     source    (N, C, H, W) -> (N, H, W, C)
//     weights   -> [16 rows m][slab of 16 channels][tap][256 numbers], as tensor cores want them: each lane's 4 numbers of an instruction
//               side by side. Zeros behind the last row and channel. tf32x3: their high parts, and behind them the low ones, so that no
//               block splits them again
//     rounding  version tf32 rounds both to TF32 on the way, properly: in the kernel there is nothing left to do
//
// The channels that are read come in quads: C (for the input gradient O) of a group is a multiple of 4.
#pragma once

#include "conv2d/correlate.h"
#include "common/tile_tf32.h"

constexpr int CHANNELS_LAST_TILE = 5;  // the first number of these tiles in a plan
constexpr int SLAB_CHANNELS = 16;
constexpr int PIECE = 16, PIECE_SIZE = PIECE * SLAB_CHANNELS;  // rows, and numbers, of a slab of weights for the instructions of a warp

struct WeightOrder {  // weight[group * weight_group + m * weight_m + c * weight_c + tap], to be written by slabs
    int groups, M, C, taps;
    int weight_m, weight_c, weight_group;

    __host__ __device__ int pieces() const { return ceil_div(M, PIECE); }
    __host__ __device__ int slabs() const { return ceil_div(C, SLAB_CHANNELS); }
    __host__ __device__ int piece() const { return slabs() * taps * PIECE_SIZE; }  // numbers of 16 rows
    __host__ __device__ int size() const { return groups * pieces() * piece(); }   // of the high parts, or of the low ones
};

inline long long whole_quads(long long count) { return (count + 3) / 4 * 4; }

// (images, channels, plane) -> (images, plane, channels).
struct Transposition {
    const float* from;
    float* to;
    int channels, plane;
    bool rounded;  // to TF32
    int blocks;
};
Transposition transposition_of(const float* from, float* to, int images, int channels, int plane, bool rounded);

struct Arrangement {
    const float* from;
    float* to;
    WeightOrder order;
    int parts;  // 1: the weights, rounded to TF32; 2: behind them also what rounding took away
};
void to_channels_last(const char* name, const Transposition&, const Arrangement&, cudaStream_t);  // both by one launch

WeightOrder order_of(const Conv&, bool gradient);
long long source_size(const Conv&, bool gradient);  // of the source of a correlation, in whole quads
long long channels_last_parts(const Conv&, bool gradient, int products);  // what is written anew; -1: not for this convolution

template <int PRODUCTS>
void correlation_channels_last(const char* name, const Conv&, const Correlation&, bool gradient, const float* source, const float* weight,
                               const float* bias, float* result, const Plan&, cudaStream_t);
