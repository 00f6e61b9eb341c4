// What the kernels of attention compute in common, for one query and one key, and how the tiled versions load their tiles.
#pragma once

#include "attention/attention.h"

// How many keys, from the first on, query i may look at; none if there is no such query.
inline __device__ int keys_seen(const Attention& a, int i) {
    if (i >= a.queries) return 0;
    return a.causal && i + 1 < a.keys ? i + 1 : a.keys;
}

inline __device__ const float* mask_of(const Attention& a, int head) {
    return a.mask + head / a.heads * a.mask_batch + head % a.heads * a.mask_head;
}

// The logit of query i and key j: what the mask adds, and -inf for a pair that is not seen.
inline __device__ float masked(const Attention& a, float logit, int head, int i, int j) {
    if (j >= keys_seen(a, i)) return -INFINITY;
    return a.mask == nullptr ? logit : logit + mask_of(a, head)[i * a.mask_query + j * a.mask_key];
}

inline __device__ float log_sum_exp(float max, float sum) { return sum == 0 ? INFINITY : max + logf(sum); }

// A row that may look at nothing has sum = 0 and gives zeros; a NaN stays a NaN.
inline __device__ float normalizer(float sum) { return sum == 0 ? 0 : 1 / sum; }

inline __device__ float dot(const float* a, const float* b, int size) {
    float sum = 0;
#pragma unroll 8
    for (int d = 0; d < size; d++) sum += a[d] * b[d];
    return sum;
}

// The tiled versions: how many rows a block owns, and how many of the other sequence it loads at a time, to stay below 48 KB.
template <int HEAD>  // size and value size, rounded up, so that sums can live in registers
struct Tiled {
    static constexpr int ROWS = HEAD > 64 ? 32 : 64, TILE = 1024 / HEAD;
};

// Tile = rows first, first + 1, ... of a (tokens, size) array; zeros beyond its edges.
template <int ROWS, int STRIDE>
inline __device__ void load_tile(float (&tile)[ROWS][STRIDE], int columns, const float* source, int first, int tokens, int size) {
    for (int n = threadIdx.x; n < ROWS * columns; n += blockDim.x) {
        const int row = n / columns, d = n % columns;
        tile[row][d] = first + row < tokens && d < size ? source[size_t(first + row) * size + d] : 0;
    }
}
