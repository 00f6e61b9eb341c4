// The transpose of a matrix through a tile: y[j, i] = x[i, j].
//
//     block     owns a square of TILE x TILE numbers, and has a thread for each; at the right and lower edge a part of it is outside
//     shared    the square. A warp (32 threads side by side in x) reads a row of x, and writes a row of y: both side by side in memory
//     wanted    rows * columns numbers, and no more than 1.5 times the bytes moved that are asked for
#include "common/device.h"

constexpr int TILE = 32;

__global__ void transpose_tile(const float* x, float* y, int rows, int columns) {
    __shared__ float tile[TILE][TILE + 1];  // one more, so that a column lies in 32 banks
    const int from_row = blockIdx.y * TILE + threadIdx.y, from_column = blockIdx.x * TILE + threadIdx.x;
    if (from_row < rows && from_column < columns) tile[threadIdx.y][threadIdx.x] = x[size_t(from_row) * columns + from_column];
    __syncthreads();  // the square is complete
    const int to_row = blockIdx.x * TILE + threadIdx.y, to_column = blockIdx.y * TILE + threadIdx.x;
    if (to_row < columns && to_column < rows) y[size_t(to_row) * rows + to_column] = tile[threadIdx.x][threadIdx.y];
}

void run(const float* x, float* y, int rows, int columns) {
    const dim3 grid(ceil_div(columns, TILE), ceil_div(rows, TILE));
    launch("transpose_tile", transpose_tile, grid, dim3(TILE, TILE), 0, nullptr, x, y, rows, columns);
}
