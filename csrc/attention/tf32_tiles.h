// Products of attention on tensor cores, as exact as float32: what tf32_forward.cu and tf32_backward.cu share.
//
// Each product is three of shortened numbers, high high + high low + low high (common/tile_tf32.h says why, and which lane holds what of a
// piece of 16 x 8 results). Lane 4 g + t of a warp:
//
//     rows of a piece             g and g + 8
//     columns of a piece          2t and 2t + 1 of the result; g of the operand b
//     k of an instruction         t and t + 4
//
// What is called column 3 or k = 5 is free, as long as all that take part agree. Three such agreements save instructions here:
//
//     k of a head's numbers       of 16 in a row, lane t takes 4t to 4t + 3 for two instructions: one read of 16 bytes
//     columns that are keys       column c of a piece is key token_of_column(c) of 8: columns 2t and 2t + 1 are keys t and t + 4, which are k = t
//                                 and k = t + 4 of the next product. So P, left by S = Q K^T in pairs (query g; these two keys), is the operand b
//                                 of O^T = V^T P^T without moving
//     rows that are numbers       rows g and g + 8 of V^T are neighbouring numbers, number_of_row(g) and the next: one read of 8 bytes
//
// All tiles have strides of 4 more than a multiple of 32, so that what 8 (16) lanes read together lies in different banks.
#pragma once

#include "attention/tiles.h"
#include "common/tile_tf32.h"

constexpr float LOG2_E = 1.44269504f, LN_2 = 0.69314718f;

#ifdef __CUDACC__
// 2^x by one instruction; a result below 2^-126 is 0.
__device__ inline float exp2_at_once(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#else
UNCHECKED inline float exp2_at_once(float x) { return std::exp2(x); }
#endif

inline __device__ int token_of_column(int column) { return column / 2 + column % 2 * 4; }
inline __device__ int number_of_row(int row) { return row % 2 * 2 + row / 2 % 2 * 16 + row / 4 * 4; }  // of 32, in a pair of pieces; see below
inline __device__ float low_part(float x) { return x - cut_to_tf32(x); }  // x itself is the high part: the instruction cuts it
inline __device__ void quad_to(float (&numbers)[4], float4 quad) {
    numbers[0] = quad.x, numbers[1] = quad.y, numbers[2] = quad.z, numbers[3] = quad.w;
}

// Over the 4 lanes that have the same rows.
inline __device__ float max_of_row(float x) {
    x = fmaxf(x, __shfl_xor_sync(WHOLE_WARP, x, 1));
    return fmaxf(x, __shfl_xor_sync(WHOLE_WARP, x, 2));
}
inline __device__ float sum_of_row(float x) {
    x += __shfl_xor_sync(WHOLE_WARP, x, 1);
    return x + __shfl_xor_sync(WHOLE_WARP, x, 2);
}

// x belongs to row g of a piece; to[e]: that of the row whose number is 2t + e.
inline __device__ void rows_to_columns(float (&to)[2], float x) {
#pragma unroll
    for (int e = 0; e < 2; e++) to[e] = __shfl_sync(WHOLE_WARP, x, threadIdx.x % 4 * 8 + 4 * e);
}

// Numbers d and d + 1 of a row of `size`, d being even. aligned: size and address are multiples of 4 numbers.
inline __device__ void store2_within(float* row, int d, int size, bool aligned, float x, float y) {
    if (aligned && d < size) *reinterpret_cast<float2*>(row + d) = make_float2(x, y);
    else {
        if (d < size) row[d] = x;
        if (d + 1 < size) row[d + 1] = y;
    }
}

// A lane's share of the operand a, of ROWS pieces; and of b, of COLUMNS pieces.
template <int ROWS>
struct RowOperand {
    float high[ROWS][4], low[ROWS][4];
    __device__ void split(int row) {
#pragma unroll
        for (int e = 0; e < 4; e++) low[row][e] = low_part(high[row][e]);
    }
};
template <int COLUMNS>
struct ColumnOperand {
    float high[COLUMNS][2], low[COLUMNS][2];
    __device__ void set(int column, int k, float x) { high[column][k] = x, low[column][k] = low_part(x); }
};

// sum[c][r] += a b, for pieces c and r. Instructions on different pieces follow each other: none waits for the one before it.
template <int ROWS, int COLUMNS>
__device__ void multiply(float (*sum)[ROWS][4], const RowOperand<ROWS>& a, const ColumnOperand<COLUMNS>& b) {
#pragma unroll
    for (int c = 0; c < COLUMNS; c++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) mma_tf32(sum[c][r], a.low[r], b.high[c]);
#pragma unroll
    for (int c = 0; c < COLUMNS; c++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) mma_tf32(sum[c][r], a.high[r], b.low[c]);
#pragma unroll
    for (int c = 0; c < COLUMNS; c++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) mma_tf32(sum[c][r], a.high[r], b.high[c]);
}

// Rows that stay the operand a of many products, of a warp's ROWS pieces: kept in shared memory where each lane finds its own numbers, 16 bytes
// side by side. No other lane reads them, so they need no barrier. PARTS = 2: both parts are kept, else the low one is made at each reading.
template <int HEAD, int ROWS, int PARTS>
struct KeptRows {
    static constexpr int STEPS = HEAD / 8, NUMBERS = STEPS * ROWS * PARTS * 128;  // of a warp
    float* mine;

    __device__ explicit KeptRows(float* of_warp) : mine(of_warp + threadIdx.x % 32 * 4) {}

    // Rows first + g, first + g + 8, ... of a (tokens, size) array, times `factor`; zeros beyond its edges.
    __device__ void load(const float* source, int first, int tokens, int size, bool aligned, float factor) {
        const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int d = 0; d < HEAD; d += 16) {
                float upper[4], lower[4];
                const int row = first + 16 * r + g;
                quad_to(upper, load4_within(source + size_t(row) * size, row < tokens ? d + 4 * t : size, size, aligned));
                quad_to(lower, load4_within(source + size_t(row + 8) * size, row + 8 < tokens ? d + 4 * t : size, size, aligned));
#pragma unroll
                for (int s = 0; s < 2; s++) {
                    const float4 high = make_float4(factor * upper[2 * s], factor * lower[2 * s], factor * upper[2 * s + 1], factor * lower[2 * s + 1]);
                    store4(at(r, d / 8 + s, 0), high);
                    if (PARTS == 2)
                        store4(at(r, d / 8 + s, 1), make_float4(low_part(high.x), low_part(high.y), low_part(high.z), low_part(high.w)));
                }
            }
    }
    __device__ void read(RowOperand<ROWS>& a, int step) const {
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            quad_to(a.high[r], load4(at(r, step, 0)));
            if (PARTS == 2) quad_to(a.low[r], load4(at(r, step, 1)));
            else a.split(r);
        }
    }
    __device__ float* at(int r, int step, int part) const { return mine + ((r * STEPS + step) * PARTS + part) * 128; }
};

// sum[c][r] = <row, token> for 8 COLUMNS tokens of a tile in shared memory: S = Q K^T. `tile` is given from this lane's first quad on, number 4t
// of token token_of_column(g): 8 lanes read quads of tokens i and i + 4.
template <int STRIDE, int HEAD, int ROWS, int PARTS, int COLUMNS>
__device__ void multiply_by_tokens(float (&sum)[COLUMNS][ROWS][4], const KeptRows<HEAD, ROWS, PARTS>& rows, const float* tile) {
    constexpr int TOGETHER = ROWS == 1 && COLUMNS % 4 == 0 && HEAD * PARTS > 32 ? 4 : 2;  // as many as registers allow
    static_assert(COLUMNS % TOGETHER == 0 && STRIDE % 32 == 4);
#pragma unroll 2
    for (int d = 0; d < HEAD; d += 16) {
        RowOperand<ROWS> a[2];
        rows.read(a[0], d / 8);
        rows.read(a[1], d / 8 + 1);
#pragma unroll
        for (int c = 0; c < COLUMNS; c += TOGETHER) {
            ColumnOperand<TOGETHER> b[2];
#pragma unroll
            for (int i = 0; i < TOGETHER; i++) {
                float quad[4];
                quad_to(quad, load4(tile + 8 * (c + i) * STRIDE + d));
#pragma unroll
                for (int e = 0; e < 4; e++) b[e / 2].set(i, e % 2, quad[e]);
            }
            multiply(sum + c, a[0], b[0]);
            multiply(sum + c, a[1], b[1]);
        }
    }
}

// 8 tokens as k, 16 ROWS numbers as rows: pieces of V^T. `tile` is given from number number_of_row(g) of token t on; k = t + 4 is the token
// `distance` later. 16 lanes read the pairs 0, 2, 16 and 18 (or all 4 later) of four tokens, which begin 4 banks apart.
template <int STRIDE, int ROWS>
__device__ void read_transposed(RowOperand<ROWS>& a, const float* tile, int distance) {
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const float2 pair = *reinterpret_cast<const float2*>(tile + e * distance * STRIDE + r / 2 * 32 + r % 2 * 8);
            a.high[r][2 * e] = pair.x, a.high[r][2 * e + 1] = pair.y;
        }
        a.split(r);
    }
}

// The logits of this lane's rows (first, 8 later, ...) and columns (first, 4 later, ...), made of the products <q, k>: S, or S^T where the keys
// are rows. i, j: the first query and key.
template <bool KEYS_ARE_ROWS, int ROWS, int COLUMNS>
__device__ void finish_logits_of_pieces(float (&s)[COLUMNS][ROWS][4], const Attention& a, int head, int i, int j) {
    const float* mask = a.mask == nullptr ? nullptr : mask_of(a, head);
#pragma unroll
    for (int row = 0; row < 2 * ROWS; row++)
#pragma unroll
        for (int column = 0; column < 2 * COLUMNS; column++) {
            const int query = i + (KEYS_ARE_ROWS ? 4 * column : 8 * row), key = j + (KEYS_ARE_ROWS ? 8 * row : 4 * column);
            float& logit = s[column / 2][row / 2][row % 2 * 2 + column % 2];
            if (key >= keys_seen(a, query)) logit = -INFINITY;
            else if (mask != nullptr) logit += mask[query * a.mask_query + key * a.mask_key];
        }
}

// Starts the copies of a tile: rows first, first + 1, ... of a (tokens, size) array; zeros beyond its edges. All threads of the block take part.
template <int TOKENS, int HEAD, int STRIDE, int THREADS>
__device__ void copy_rows(float* tile, const float* source, int first, int tokens, int size, bool aligned) {
    constexpr int QUADS = HEAD / 4, ROW_STEP = THREADS / QUADS;
    static_assert(ROW_STEP * QUADS == THREADS && TOKENS % ROW_STEP == 0, "each thread copies the same quad of as many rows");
    const int first_row = threadIdx.x / QUADS, d = threadIdx.x % QUADS * 4, rows_left = tokens - first - first_row;
    const float* from = source + size_t(first + first_row) * size + d;
    float* to = tile + first_row * STRIDE + d;
    if (aligned) {
#pragma unroll
        for (int row = 0; row < TOKENS; row += ROW_STEP)
            copy_quad_async(to + row * STRIDE, from + size_t(row) * size, row < rows_left && d < size);
    } else {
#pragma unroll 1
        for (int row = 0; row < TOKENS; row += ROW_STEP)
            for (int e = 0; e < 4; e++) copy_async(to + row * STRIDE + e, from + size_t(row) * size + e, row < rows_left && d + e < size);
    }
}
