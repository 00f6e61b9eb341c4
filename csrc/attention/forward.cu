// Attention, forward (the equations are in attention.h), in two versions; the third is in fast_forward.cu.
//
//     naive   a thread owns one query i and reads every key and value from global memory
//     tiled   the same, but the threads of a block load a tile of keys and values once, into shared memory
//
// Online softmax: the maximum of a row, which exp needs to stay in range, is not known before the last key. Keep the maximum m of the
// keys seen so far, and l = sum exp(s_ij - m), o = sum exp(s_ij - m) v_j relative to it. When a key raises it from m to m', multiply
// l and o by exp(m - m'). At the end o / l is the result, and no row of logits is ever stored.
//
// Work, for h heads, Tq queries, Tk keys and size D = value size, all float32:
//     operations   4 h Tq Tk D              (two multiply-adds per pair and d)   + h Tq Tk exponentials
//     bytes        4 h D (2 Tq + 2 Tk)      at least: q, k, v read once, o written once
//     naive        4 h D 3 Tq Tk            each thread reads all keys and values, and its query for each key, less what the caches catch
//     tiled        the same divided by the ROWS queries of a block; but each multiply-add still reads a number from shared memory
// The floor is max(operations / peak flop/s, bytes / bandwidth); operations per byte are about T / 2, so operations decide above T ~ 40.

#include "attention/parts.h"

namespace {

// ---- naive: thread = query ------------------------------------------------------------------------------------------------------------

__global__ void attention_naive(Attention a) {
    const size_t row = size_t(blockIdx.x) * blockDim.x + threadIdx.x;  // among the queries of all heads
    if (row >= size_t(a.batch_heads) * a.queries) return;             // no barrier follows
    const int head = int(row / a.queries), i = int(row % a.queries);
    const float* q = a.query + row * a.size;
    const float* k = a.key + size_t(head) * a.keys * a.size;
    const float* v = a.value + size_t(head) * a.keys * a.value_size;

    float o[MAX_SIZE];
    for (int d = 0; d < a.value_size; d++) o[d] = 0;
    float m = -INFINITY, l = 0;
    for (int j = 0; j < a.keys; j++, k += a.size, v += a.value_size) {
        const float s = masked(a, a.scale * dot(q, k, a.size), head, i, j);
        if (s == -INFINITY) continue;
        const float m_new = fmaxf(m, s);
        const float correction = expf(m - m_new);  // of everything summed so far; exp(-inf) = 0 at the first key
        const float p = expf(s - m_new);
        l = correction * l + p;
        for (int d = 0; d < a.value_size; d++) o[d] = correction * o[d] + p * v[d];
        m = m_new;
    }

    a.lse[row] = log_sum_exp(m, l);
    for (int d = 0; d < a.value_size; d++) a.output[row * a.value_size + d] = normalizer(l) * o[d];
}

// ---- tiled: thread = query, the block shares tiles of keys and values -------------------------------------------------------------------

template <int HEAD>
__global__ void attention_tiled(Attention a) {
    constexpr int ROWS = Tiled<HEAD>::ROWS, KEYS = Tiled<HEAD>::TILE;
    __shared__ float q_tile[ROWS][HEAD + 1];  // + 1: threads read different rows, which then lie in different banks
    __shared__ float k_tile[KEYS][HEAD];
    __shared__ float v_tile[KEYS][HEAD];
    const int tiles = ceil_div(a.queries, ROWS), head = blockIdx.x / tiles, first = blockIdx.x % tiles * ROWS;
    const int r = threadIdx.x, i = first + r;
    const float* k = a.key + size_t(head) * a.keys * a.size;
    const float* v = a.value + size_t(head) * a.keys * a.value_size;
    load_tile(q_tile, HEAD, a.query + size_t(head) * a.queries * a.size, first, a.queries, a.size);

    float o[HEAD] = {};
    float m = -INFINITY, l = 0;
    for (int j0 = 0; j0 < a.keys; j0 += KEYS) {
        __syncthreads();  // nobody reads the tiles before
        load_tile(k_tile, HEAD, k, j0, a.keys, a.size);
        load_tile(v_tile, HEAD, v, j0, a.keys, a.value_size);
        __syncthreads();  // the tiles are complete

        float s[KEYS], m_new = m;
#pragma unroll
        for (int j = 0; j < KEYS; j++) {
            s[j] = masked(a, a.scale * dot(q_tile[r], k_tile[j], HEAD), head, i, j0 + j);
            m_new = fmaxf(m_new, s[j]);
        }
        const float shift = m_new == -INFINITY ? 0 : m_new;  // -inf - -inf would be NaN
        const float correction = expf(m - shift);            // once per tile, where the naive version does it for each key
        l *= correction;
#pragma unroll
        for (int d = 0; d < HEAD; d++) o[d] *= correction;
#pragma unroll
        for (int j = 0; j < KEYS; j++) {
            const float p = expf(s[j] - shift);
            l += p;
#pragma unroll
            for (int d = 0; d < HEAD; d++) o[d] += p * v_tile[j][d];
        }
        m = m_new;
    }

    if (i < a.queries) {
        const size_t row = size_t(head) * a.queries + i;
        a.lse[row] = log_sum_exp(m, l);
#pragma unroll
        for (int d = 0; d < HEAD; d++)
            if (d < a.value_size) a.output[row * a.value_size + d] = normalizer(l) * o[d];
    }
}

template <int HEAD>
void launch_tiled(const Attention& a, cudaStream_t stream) {
    constexpr int ROWS = Tiled<HEAD>::ROWS;
    launch("attention_tiled", attention_tiled<HEAD>, dim3(a.batch_heads * ceil_div(a.queries, ROWS)), dim3(ROWS), 0, stream, a);
}

}  // namespace

void attention_forward_naive(const Attention& a, cudaStream_t stream) {
    constexpr int THREADS = 128;
    const size_t rows = size_t(a.batch_heads) * a.queries;
    launch("attention_naive", attention_naive, dim3(ceil_div(rows, THREADS)), dim3(THREADS), 0, stream, a);
}

void attention_forward_tiled(const Attention& a, cudaStream_t stream) {
    const int size = a.size > a.value_size ? a.size : a.value_size;
    if (size <= 32) launch_tiled<32>(a, stream);
    else if (size <= 64) launch_tiled<64>(a, stream);
    else launch_tiled<128>(a, stream);
}
