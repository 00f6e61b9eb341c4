// attention, rung 4: a thread owns a small tile of logits, and of the result.
//
// Against rung 3: a query's work is shared by 8 threads. In S = Q K^T a thread has 2 queries x 4 keys in registers, in O = P V 2 queries
// x D / 8 numbers: what it reads is used 4 times, or twice. So the 8 threads must tell each other their maxima (by shuffles), and hand P
// from those that computed it to those that need it: through shared memory, within the warp.
//
//               32 queries, 32 keys, 128 threads; r = t / 8 owns queries 2 r, 2 r + 1, c = t % 8 owns keys c, c + 8, c + 16, c + 24
//
//                        keys ->  0  1 ... 7   8 ...
//               queries 0, 1    [ t0 t1 ... t7 t0 t1 ... t7 t0 ...     ]
//               queries 2, 3    [ t8 t9 ...                            ]   a warp: 8 queries
//
//     bytes     6 numbers of shared memory for 8 multiply-adds of q k; 6 for 8 of p v at D = 32
//     counted   for 32 multiply-adds (T 64, D 32): 5 bytes read of global memory, 96 of shared memory, 0.848 turns of its banks
#include "ladder/attention/head.h"

namespace attention_04 {

constexpr int QUERIES = 32, KEYS = 32, ROWS = 2, LANES = 8, COLUMNS = KEYS / LANES, THREADS = QUERIES / ROWS * LANES;

template <int HEAD>
struct Tiles {  // + 1: the lanes of a warp, which read different rows, hit different banks
    float q[QUERIES][HEAD + 1], k[KEYS][HEAD + 1], v[KEYS][HEAD], p[QUERIES][KEYS + 1];
};

template <int HEAD>
__global__ void __launch_bounds__(THREADS) kernel(const Attention a) {
    Tiles<HEAD>& tile = *dynamic_shared<Tiles<HEAD>>();
    const int tiles = ceil_div(a.queries, QUERIES), head = int(blockIdx.x) / tiles, first = int(blockIdx.x) % tiles * QUERIES;
    const int row = int(threadIdx.x) / LANES * ROWS, c = threadIdx.x % LANES;
    const float* k = a.key + size_t(head) * a.keys * a.size;
    const float* v = a.value + size_t(head) * a.keys * a.value_size;
    load_tile(tile.q, HEAD, a.query + size_t(head) * a.queries * a.size, first, a.queries, a.size);

    float m[ROWS] = {-INFINITY, -INFINITY}, l[ROWS] = {}, o[ROWS][HEAD / LANES] = {};
    for (int j0 = 0; j0 < a.keys; j0 += KEYS) {
        __syncthreads();  // nobody reads the tiles before
        load_tile(tile.k, HEAD, k, j0, a.keys, a.size);
        load_tile(tile.v, HEAD, v, j0, a.keys, a.value_size);
        __syncthreads();  // the tiles are complete

        float s[ROWS][COLUMNS] = {};
#pragma unroll 8
        for (int d = 0; d < HEAD; d++) {
            float q_d[ROWS], k_d[COLUMNS];
            for (int r = 0; r < ROWS; r++) q_d[r] = tile.q[row + r][d];
            for (int j = 0; j < COLUMNS; j++) k_d[j] = tile.k[c + LANES * j][d];
            for (int r = 0; r < ROWS; r++)
                for (int j = 0; j < COLUMNS; j++) s[r][j] += q_d[r] * k_d[j];
        }
        for (int r = 0; r < ROWS; r++) {
            float m_new = m[r];
            for (int j = 0; j < COLUMNS; j++) {
                s[r][j] = masked(a, a.scale * s[r][j], head, first + row + r, j0 + c + LANES * j);
                m_new = fmaxf(m_new, s[r][j]);
            }
            for (int distance = 1; distance < LANES; distance *= 2) m_new = fmaxf(m_new, __shfl_xor_sync(WHOLE_WARP, m_new, distance));
            const float shift = m_new == -INFINITY ? 0 : m_new, correction = expf(m[r] - shift);
            m[r] = m_new;
            l[r] *= correction;  // of this thread's keys only, until the end
            for (int d = 0; d < HEAD / LANES; d++) o[r][d] *= correction;
            for (int j = 0; j < COLUMNS; j++) l[r] += tile.p[row + r][c + LANES * j] = expf(s[r][j] - shift);
        }
        __syncwarp();  // a warp reads only the rows of P that it wrote itself
        for (int j = 0; j < KEYS; j++) {
            float p_j[ROWS];
            for (int r = 0; r < ROWS; r++) p_j[r] = tile.p[row + r][j];
            for (int d = 0; d < HEAD / LANES; d++) {
                const float v_d = tile.v[j][c + LANES * d];
                for (int r = 0; r < ROWS; r++) o[r][d] += p_j[r] * v_d;
            }
        }
    }
    for (int r = 0; r < ROWS; r++) {
        for (int distance = 1; distance < LANES; distance *= 2) l[r] += __shfl_xor_sync(WHOLE_WARP, l[r], distance);
        const int i = first + row + r;
        if (i >= a.queries) continue;
        const size_t n = size_t(head) * a.queries + i;
        if (c == 0) a.lse[n] = log_sum_exp(m[r], l[r]);
        for (int d = 0; d < HEAD / LANES; d++)
            if (c + LANES * d < a.value_size) a.output[n * a.value_size + c + LANES * d] = normalizer(l[r]) * o[r][d];
    }
}

void run(const Attention& a, cudaStream_t stream) {
    with_head(a, [&](auto head) {
        const int blocks = a.batch_heads * ceil_div(a.queries, QUERIES);
        launch("attention_04_register_tile", kernel<head()>, blocks, THREADS, sizeof(Tiles<head()>), stream, a);
    });
}

AttentionRung rung("04_register_tile", run);

}  // namespace attention_04
