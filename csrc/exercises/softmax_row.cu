// Softmax of the rows of a matrix: y = exp(x - max) / sum of exp(x - max), with max and sum over the row.
//
//     block     owns a row; its THREADS threads share the columns: thread t takes t, t + THREADS, ... of any number of columns
//     shared    the threads tell one another what they have found: first their maxima, then their sums
//     wanted    rows * columns numbers; exp must not overflow, whatever x is
#include "common/device.h"

constexpr int THREADS = 128;

__global__ void softmax_row(const float* x, float* y, int columns) {
    __shared__ float partial[THREADS];
    x += size_t(blockIdx.x) * columns;
    y += size_t(blockIdx.x) * columns;

    float largest = -INFINITY;
    for (int j = threadIdx.x; j < columns; j += THREADS) largest = fmaxf(largest, x[j]);
    partial[threadIdx.x] = largest;
    __syncthreads();  // all maxima are there
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (int(threadIdx.x) < half) partial[threadIdx.x] = fmaxf(partial[threadIdx.x], partial[threadIdx.x + half]);
        __syncthreads();
    }
    largest = partial[0];
    __syncthreads();  // everybody has read it

    float sum = 0;
    for (int j = threadIdx.x; j < columns; j += THREADS) sum += expf(x[j] - largest);
    partial[threadIdx.x] = sum;
    __syncthreads();  // all sums are there
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (int(threadIdx.x) < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    for (int j = threadIdx.x; j < columns; j += THREADS) y[j] = expf(x[j] - largest) / partial[0];
}

void run(const float* x, float* y, int rows, int columns) {
    launch("softmax_row", softmax_row, rows, THREADS, 0, nullptr, x, y, columns);
}
