// Which part of a warp's tile a lane owns, where lanes read their operands from shared memory 16 bytes at a time.
//
// The 32 lanes stand in 4 rows of 8. A product reads one operand by rows (all lanes of a row want the same address) and one by columns.
// Shared memory serves such reads to 8 lanes per cycle, but to 16 if lanes l and l ^ 1 want the same address for every l, or if lanes
// l and l ^ 2 do. So l ^ 1 stands in the same column, l ^ 2 in the same row, and both reads take two cycles, where lanes numbered row by
// row would need two and four.
#pragma once

#include "common/device.h"

struct WarpPlace {
    static constexpr int ROWS = 4, COLUMNS = 8;
    int row, column;
    __device__ WarpPlace() : row(threadIdx.x % 2 + threadIdx.x / 16 % 2 * 2), column(threadIdx.x / 2 % COLUMNS) {}
};

// Over the 8 lanes of a row: l ^ 2, l ^ 4 and l ^ 8 stand in the same one as l.
inline __device__ float row_max(float value) {
    for (int distance = 2; distance <= 8; distance *= 2) value = fmaxf(value, __shfl_xor_sync(WHOLE_WARP, value, distance));
    return value;
}
inline __device__ float row_sum(float value) {
    for (int distance = 2; distance <= 8; distance *= 2) value += __shfl_xor_sync(WHOLE_WARP, value, distance);
    return value;
}
