// Products of matrices in shared memory, with the result in registers: what makes the fast version of attention fast.
//
// A multiply-add with both operands in shared memory waits for shared memory: an SM multiplies 128 numbers per cycle but reads only 32.
// So each thread owns a tile of the result, say 4 x 8 numbers: for one step along the summed axis it reads 4 + 8 numbers and makes 4 * 8
// multiply-adds of them.
//
// The 32 lanes of a warp stand in 4 rows of 8 (warp_place.h). Lane (r, c) owns rows r, r + 4, r + 8, ... of the warp's result and
// columns that belong to c, so that lanes of one row of the warp read the same address (one read serves all) and lanes of different
// rows or columns read from different banks, given strides of 4 or 8 more than a multiple of 32.
#pragma once

#include "attention/parts.h"
#include "common/warp_place.h"

constexpr int WARP_ROWS = WarpPlace::ROWS, WARP_COLUMNS = WarpPlace::COLUMNS;

inline __device__ float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
inline __device__ void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }
inline __device__ void add_scaled(float4& sum, float a, const float4& b) {
    sum.x += a * b.x;
    sum.y += a * b.y;
    sum.z += a * b.z;
    sum.w += a * b.w;
}
inline __device__ void scale4(float4& v, float a) { v = make_float4(a * v.x, a * v.y, a * v.z, a * v.w); }

// sum[i][j] += sum_d A[r + 4 i][d] B[c + 8 j][d]            for Q K^T and dO V^T.     A is given from row r on, B from row c on.
template <int DEPTH, int ROWS, int COLUMNS>
__device__ void add_product_with_transpose(float (&sum)[ROWS][COLUMNS], const float* A, const float* B, int stride) {
#pragma unroll(ROWS == 2 ? 4 : ROWS == 8 || ROWS == COLUMNS ? 1 : 2)
    for (int d = 0; d < DEPTH; d += 4) {
        float4 a[ROWS], b[COLUMNS];
#pragma unroll
        for (int i = 0; i < ROWS; i++) a[i] = load4(A + i * WARP_ROWS * stride + d);
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) b[j] = load4(B + j * WARP_COLUMNS * stride + d);
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) {
                sum[i][j] += a[i].x * b[j].x;
                sum[i][j] += a[i].y * b[j].y;
                sum[i][j] += a[i].z * b[j].z;
                sum[i][j] += a[i].w * b[j].w;
            }
    }
}

// sum[i][v] += sum_k A[r + 4 i][k] B[k][4 c + 32 v ...]     for P V and dS K.         A is given from row r on, B from column 4 c on.
template <int DEPTH, int ROWS, int VECTORS>
__device__ void add_product(float4 (&sum)[ROWS][VECTORS], const float* A, int a_stride, const float* B, int b_stride) {
#pragma unroll(ROWS == 2 ? 4 : ROWS == 8 ? 1 : 2)
    for (int k = 0; k < DEPTH; k += 4) {
        float4 a[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; i++) a[i] = load4(A + i * WARP_ROWS * a_stride + k);
#pragma unroll
        for (int n = 0; n < 4; n++) {
            float4 b[VECTORS];
#pragma unroll
            for (int v = 0; v < VECTORS; v++) b[v] = load4(B + (k + n) * b_stride + 4 * WARP_COLUMNS * v);
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                const float a_n = n == 0 ? a[i].x : n == 1 ? a[i].y : n == 2 ? a[i].z : a[i].w;
#pragma unroll
                for (int v = 0; v < VECTORS; v++) add_scaled(sum[i][v], a_n, b[v]);
            }
        }
    }
}

// sum[i][v] += sum_k A[k][i] B[k][4 c + 32 v ...]           for P^T dO and dS^T Q.
// A is given from the lane's first column on, B from column 4 c on.
template <int DEPTH, int ROWS, int VECTORS>
__device__ void add_product_of_transpose(float4 (&sum)[ROWS][VECTORS], const float* A, int a_stride, const float* B, int b_stride) {
    static_assert(ROWS == 2 || ROWS == 4, "one read of 2 or 4 numbers");
#pragma unroll(ROWS == 2 ? 8 : 4)
    for (int k = 0; k < DEPTH; k++) {
        float a[ROWS];
        if constexpr (ROWS == 4) {
            const float4 read = load4(A + k * a_stride);
            a[0] = read.x, a[1] = read.y, a[2] = read.z, a[3] = read.w;
        } else {
            const float2 read = *reinterpret_cast<const float2*>(A + k * a_stride);
            a[0] = read.x, a[1] = read.y;
        }
        float4 b[VECTORS];
#pragma unroll
        for (int v = 0; v < VECTORS; v++) b[v] = load4(B + k * b_stride + 4 * WARP_COLUMNS * v);
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int v = 0; v < VECTORS; v++) add_scaled(sum[i][v], a[i], b[v]);
    }
}

// The logits s of a lane's queries i, i + 4, ... and keys j, j + 8, ..., made of the products <q, k>.
template <int ROWS, int COLUMNS>
__device__ void finish_logits(float (&s)[ROWS][COLUMNS], const Attention& a, int head, int i, int j) {
#pragma unroll
    for (int n = 0; n < ROWS; n++) {
        const int seen = keys_seen(a, i + WARP_ROWS * n);
#pragma unroll
        for (int m = 0; m < COLUMNS; m++) s[n][m] = j + WARP_COLUMNS * m < seen ? a.scale * s[n][m] : -INFINITY;
    }
    if (a.mask == nullptr) return;
    const float* mask = mask_of(a, head);
#pragma unroll
    for (int n = 0; n < ROWS; n++) {
        const int query = i + WARP_ROWS * n, seen = keys_seen(a, query);
#pragma unroll
        for (int m = 0; m < COLUMNS; m++) {
            const int key = j + WARP_COLUMNS * m;
            s[n][m] += key < seen ? mask[query * a.mask_query + key * a.mask_key] : 0;
        }
    }
}

// Four numbers of a row of `size` numbers, from d on; zeros beyond its end. aligned: size and address are multiples of 4 numbers.
inline __device__ float4 load4_within(const float* row, int d, int size, bool aligned) {
    if (d >= size) return make_float4(0, 0, 0, 0);
    if (aligned) return load4(row + d);
    return make_float4(row[d], d + 1 < size ? row[d + 1] : 0, d + 2 < size ? row[d + 2] : 0, d + 3 < size ? row[d + 3] : 0);
}
inline __device__ void store4_within(float* row, int d, int size, bool aligned, float4 v) {
    if (d >= size) return;
    if (aligned) return store4(row + d, v);
    row[d] = v.x;
    if (d + 1 < size) row[d + 1] = v.y;
    if (d + 2 < size) row[d + 2] = v.z;
    if (d + 3 < size) row[d + 3] = v.w;
}

// Tile (ROWS, COLUMNS) = rows first, first + 1, ... of a (tokens, size) array; zeros beyond its edges. All threads of the block take part.
template <int ROWS, int COLUMNS, int STRIDE, int THREADS>
__device__ void load_rows(float* tile, const float* source, int first, int tokens, int size, bool aligned) {
    constexpr int VECTORS = COLUMNS / 4, ROW_STEP = THREADS / VECTORS;
    static_assert(ROW_STEP * VECTORS == THREADS && ROWS % ROW_STEP == 0, "each thread moves the same vector of as many rows");
    const int first_row = threadIdx.x / VECTORS, d = threadIdx.x % VECTORS * 4, rows_left = tokens - first - first_row;
    const float* from = source + size_t(first + first_row) * size;
    float* to = tile + first_row * STRIDE + d;
#pragma unroll
    for (int row = 0; row < ROWS; row += ROW_STEP)
        store4(to + row * STRIDE, load4_within(from + size_t(row) * size, row < rows_left ? d : size, size, aligned));
}

inline bool aligned_rows(const void* p, int size) { return size % 4 == 0 && reinterpret_cast<size_t>(p) % 16 == 0; }

struct Device {
    int processors, shared_bytes;  // SMs; shared memory that one block may have
};
inline Device this_device() {
#ifdef __CUDACC__
    int device = 0;
    Device d = {};
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&d.processors, cudaDevAttrMultiProcessorCount, device);
    cudaDeviceGetAttribute(&d.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    return d;
#else
    return {cuda_cpu::gpu.processors, int(cuda_cpu::gpu.shared_bytes)};  // the tiles that this GPU would take, an H100 if nobody names one
#endif
}

// Whether tiles of 64 tokens leave half of the SMs without a block: tiles of 32 then make twice as many.
inline bool few_tiles(int batch_heads, int tokens) { return 2LL * batch_heads * ceil_div(tokens, 64) <= this_device().processors; }
