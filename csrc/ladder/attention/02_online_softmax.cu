// attention, rung 2: one pass, by being wrong and repairing it.
//
// Against rung 1: the maximum of the keys *so far* serves until a larger one comes. Then all that was summed is too large by the factor
// exp(m - m'), and is multiplied by it (docs/attention_kernel.md):
//
//                        keys ->
//               query  [ s s s s s S s ]   at S, the largest so far:   l = exp(m - S) l + 1        o = exp(m - S) o + v
//
//     thread    owns one query, with m, l and o in registers
//     bytes     q and k, 8 D bytes a pair, and v, 4 D: a third of the products with k, and half of all work
//     counted   for 32 multiply-adds (T 64, D 32): 192 bytes read of global memory, 0 of shared memory, 0 turns of its banks
#include "ladder/attention/head.h"

namespace attention_02 {

constexpr int THREADS = 64;

__global__ void kernel(const Attention a) {
    const int row = int(blockIdx.x * blockDim.x + threadIdx.x);  // among the queries of all heads
    if (row >= a.batch_heads * a.queries) return;
    const int head = row / a.queries, i = row % a.queries;
    const float* q = a.query + size_t(row) * a.size;
    const float* k = a.key + size_t(head) * a.keys * a.size;
    const float* v = a.value + size_t(head) * a.keys * a.value_size;

    float m = -INFINITY, l = 0, o[MAX_SIZE];
    for (int d = 0; d < a.value_size; d++) o[d] = 0;
    for (int j = 0; j < a.keys; j++) {
        const float s = masked(a, a.scale * dot(q, k + j * a.size, a.size), head, i, j);
        if (s > m) {  // a new maximum
            const float correction = expf(m - s);  // exp(-inf) = 0 at the first key
            l *= correction;
            for (int d = 0; d < a.value_size; d++) o[d] *= correction;
            m = s;
        }
        if (s == -INFINITY) continue;
        const float p = expf(s - m);
        l += p;
        for (int d = 0; d < a.value_size; d++) o[d] += p * v[j * a.value_size + d];
    }
    for (int d = 0; d < a.value_size; d++) a.output[size_t(row) * a.value_size + d] = normalizer(l) * o[d];
    a.lse[row] = log_sum_exp(m, l);
}

void run(const Attention& a, cudaStream_t stream) {
    launch("attention_02_online_softmax", kernel, ceil_div(1LL * a.batch_heads * a.queries, THREADS), THREADS, 0, stream, a);
}

AttentionRung rung("02_online_softmax", run);

}  // namespace attention_02
