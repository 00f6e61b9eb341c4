// attention, rung 1: softmax as the formula has it.
//
//     p_j = exp(s_j - m) / l        m = max of all s_j        l = sum of all exp(s_j - m)
//
//     thread    owns one query. m is known after all keys, l after all keys again, and then the keys come a third time:
//
//                        keys ->
//               query  [ s s s s s s s ]   1  m = max
//                      [ s s s s s s s ]   2  l = sum of exp(s - m)
//                      [ s s s s s s s ]   3  o = sum of exp(s - m) / l * v
//
//               Storing the logits would save two passes, and cost T numbers a query.
//
//     bytes     a pass asks for q and k, 8 D bytes a pair, the last one for v, too: 28 D bytes a pair, for 4 D multiply-adds
//     counted   for 32 multiply-adds (T 64, D 32): 224 bytes read of global memory, 0 of shared memory, 0 turns of its banks
#include "ladder/attention/head.h"

namespace attention_01 {

constexpr int THREADS = 64;

__global__ void kernel(const Attention a) {
    const int row = int(blockIdx.x * blockDim.x + threadIdx.x);  // among the queries of all heads
    if (row >= a.batch_heads * a.queries) return;
    const int head = row / a.queries, i = row % a.queries;
    const float* q = a.query + size_t(row) * a.size;
    const float* k = a.key + size_t(head) * a.keys * a.size;
    const float* v = a.value + size_t(head) * a.keys * a.value_size;

    float m = -INFINITY, l = 0;
    for (int j = 0; j < a.keys; j++) m = fmaxf(m, masked(a, a.scale * dot(q, k + j * a.size, a.size), head, i, j));
    const float shift = m == -INFINITY ? 0 : m;  // a query that may look at nothing: -inf - -inf would be NaN
    for (int j = 0; j < a.keys; j++) l += expf(masked(a, a.scale * dot(q, k + j * a.size, a.size), head, i, j) - shift);

    float o[MAX_SIZE];
    for (int d = 0; d < a.value_size; d++) o[d] = 0;
    for (int j = 0; j < a.keys; j++) {
        const float p = normalizer(l) * expf(masked(a, a.scale * dot(q, k + j * a.size, a.size), head, i, j) - shift);
        for (int d = 0; d < a.value_size; d++) o[d] += p * v[j * a.value_size + d];
    }
    for (int d = 0; d < a.value_size; d++) a.output[size_t(row) * a.value_size + d] = o[d];
    a.lse[row] = log_sum_exp(m, l);
}

void run(const Attention& a, cudaStream_t stream) {
    launch("attention_01_three_passes", kernel, ceil_div(1LL * a.batch_heads * a.queries, THREADS), THREADS, 0, stream, a);
}

AttentionRung rung("01_three_passes", run);

}  // namespace attention_01
