// attention, rung 3: the threads of a block share the keys and values.
//
// Against rung 2: 32 queries of one head are one block. It copies 16 keys and values at a time into shared memory; all of its threads
// multiply them. The maximum is repaired once a tile, not once a key.
//
//                             k tile, v tile: 16 rows of D numbers, move down the keys
//                                +-----------+
//                                +-----------+
//               q tile           logits of a tile: thread t owns row t
//               +-----------+    [ s s s s ... s ]
//               | 32 rows   |    [ s s s s ... s ]
//               +-----------+    [ ...           ]
//
//     bytes     a key serves 32 queries. But each multiply-add of q k reads two numbers of shared memory, each of p v one. All threads
//               read the same key: one turn of the banks; their own queries lie in rows of D + 1 numbers: 32 banks, one turn
//     counted   for 32 multiply-adds (T 64, D 32): 5 bytes read of global memory, 192 of shared memory, 1.54 turns of its banks
#include "ladder/attention/head.h"

namespace attention_03 {

constexpr int QUERIES = 32, KEYS = 16;

template <int HEAD>
__global__ void __launch_bounds__(QUERIES) kernel(const Attention a) {
    __shared__ float q_tile[QUERIES][HEAD + 1], k_tile[KEYS][HEAD], v_tile[KEYS][HEAD];
    const int tiles = ceil_div(a.queries, QUERIES), head = int(blockIdx.x) / tiles, first = int(blockIdx.x) % tiles * QUERIES;
    const int t = threadIdx.x, i = first + t;
    const float* k = a.key + size_t(head) * a.keys * a.size;
    const float* v = a.value + size_t(head) * a.keys * a.value_size;
    load_tile(q_tile, HEAD, a.query + size_t(head) * a.queries * a.size, first, a.queries, a.size);

    float m = -INFINITY, l = 0, o[HEAD] = {};
    for (int j0 = 0; j0 < a.keys; j0 += KEYS) {
        __syncthreads();  // nobody reads the tiles before
        load_tile(k_tile, HEAD, k, j0, a.keys, a.size);
        load_tile(v_tile, HEAD, v, j0, a.keys, a.value_size);
        __syncthreads();  // the tiles are complete

        float s[KEYS], m_new = m;
#pragma unroll
        for (int j = 0; j < KEYS; j++) {
            s[j] = masked(a, a.scale * dot(q_tile[t], k_tile[j], HEAD), head, i, j0 + j);
            m_new = fmaxf(m_new, s[j]);
        }
        const float shift = m_new == -INFINITY ? 0 : m_new, correction = expf(m - shift);
        m = m_new;
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
    }
    if (i >= a.queries) return;
    const size_t row = size_t(head) * a.queries + i;
    a.lse[row] = log_sum_exp(m, l);
#pragma unroll
    for (int d = 0; d < HEAD; d++)
        if (d < a.value_size) a.output[row * a.value_size + d] = normalizer(l) * o[d];
}

void run(const Attention& a, cudaStream_t stream) {
    with_head(a, [&](auto head) {
        launch("attention_03_shared_tile", kernel<head()>, a.batch_heads * ceil_div(a.queries, QUERIES), QUERIES, 0, stream, a);
    });
}

AttentionRung rung("03_shared_tile", run);

}  // namespace attention_03
