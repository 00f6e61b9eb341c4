// Attention, backward (the equations are in attention.h), in two versions; the third is in fast_backward.cu.
//
//     dq_i = scale * sum_j ds_ij k_j        a thread owns one query and goes through the keys
//     dk_j = scale * sum_i ds_ij q_i        a thread owns one key and goes through the queries
//     dv_j = sum_i p_ij do_i
//
// Both need p_ij = exp(s_ij - lse_i) and ds_ij = p_ij (<do_i, v_j> - delta_i), so both compute them: each pair twice, but no number is
// written by two threads.
//     naive   every operand comes from global memory
//     tiled   a block loads what its threads own, and then tiles of what they go through, into shared memory
//
// Work for h heads, Tq queries, Tk keys, size D:
//     operations   14 h Tq Tk D    (s and dp twice, dq, dk, dv; the fast version computes s and dp once: 10 h Tq Tk D)
//     bytes        4 h D (3 Tq + 4 Tk) at least: q, dO, dq and k, v, dk, dv;  naive: 4 h D * 4 Tq Tk, tiled: the same divided by its ROWS

#include "attention/parts.h"

namespace {

// delta_i = <do_i, o_i>: a warp owns a row, lane c the numbers c, c + 32, ...
__global__ void attention_delta_kernel(Attention a, AttentionGradient g) {
    const size_t row = size_t(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    const bool inside = row < size_t(a.batch_heads) * a.queries;
    float sum = 0;
    const float *d_o = g.d_output + row * a.value_size, *o = a.output + row * a.value_size;
    for (int d = threadIdx.x % 32; inside && d < a.value_size; d += 32) sum += d_o[d] * o[d];
    sum = warp_sum(sum);
    if (inside && threadIdx.x % 32 == 0) g.delta[row] = sum;
}

// ---- naive ----------------------------------------------------------------------------------------------------------------------------

__global__ void attention_naive_d_query(Attention a, AttentionGradient g) {
    const size_t row = size_t(blockIdx.x) * blockDim.x + threadIdx.x;  // among the queries of all heads
    if (row >= size_t(a.batch_heads) * a.queries) return;             // no barrier follows
    const int head = int(row / a.queries), i = int(row % a.queries);
    const float *q = a.query + row * a.size, *d_o = g.d_output + row * a.value_size;
    const float *k = a.key + size_t(head) * a.keys * a.size, *v = a.value + size_t(head) * a.keys * a.value_size;

    float dq[MAX_SIZE];
    for (int d = 0; d < a.size; d++) dq[d] = 0;
    for (int j = 0; j < a.keys; j++, k += a.size, v += a.value_size) {
        const float s = masked(a, a.scale * dot(q, k, a.size), head, i, j);
        const float p = expf(s - a.lse[row]);
        const float ds = p * (dot(d_o, v, a.value_size) - g.delta[row]);
        for (int d = 0; d < a.size; d++) dq[d] += ds * k[d];
    }
    for (int d = 0; d < a.size; d++) g.d_query[row * a.size + d] = a.scale * dq[d];
}

__global__ void attention_naive_d_key_value(Attention a, AttentionGradient g) {
    const size_t row = size_t(blockIdx.x) * blockDim.x + threadIdx.x;  // among the keys of all heads
    if (row >= size_t(a.batch_heads) * a.keys) return;                // no barrier follows
    const int head = int(row / a.keys), j = int(row % a.keys);
    const float *k = a.key + row * a.size, *v = a.value + row * a.value_size;
    const float *q = a.query + size_t(head) * a.queries * a.size, *d_o = g.d_output + size_t(head) * a.queries * a.value_size;
    const float *lse = a.lse + size_t(head) * a.queries, *delta = g.delta + size_t(head) * a.queries;

    float dk[MAX_SIZE], dv[MAX_SIZE];
    for (int d = 0; d < a.size; d++) dk[d] = 0;
    for (int d = 0; d < a.value_size; d++) dv[d] = 0;
    for (int i = 0; i < a.queries; i++, q += a.size, d_o += a.value_size) {
        const float s = masked(a, a.scale * dot(q, k, a.size), head, i, j);
        const float p = expf(s - lse[i]);
        const float ds = p * (dot(d_o, v, a.value_size) - delta[i]);
        for (int d = 0; d < a.size; d++) dk[d] += ds * q[d];
        for (int d = 0; d < a.value_size; d++) dv[d] += p * d_o[d];
    }
    for (int d = 0; d < a.size; d++) g.d_key[row * a.size + d] = a.scale * dk[d];
    for (int d = 0; d < a.value_size; d++) g.d_value[row * a.value_size + d] = dv[d];
}

// ---- tiled ----------------------------------------------------------------------------------------------------------------------------

// A block owns ROWS queries or keys, a thread one of them.
template <int HEAD>
__global__ void attention_tiled_d_query(Attention a, AttentionGradient g) {
    constexpr int ROWS = Tiled<HEAD>::ROWS, TILE = Tiled<HEAD>::TILE;
    __shared__ float q_tile[ROWS][HEAD + 1], do_tile[ROWS][HEAD + 1];  // + 1: different rows then lie in different banks
    __shared__ float k_tile[TILE][HEAD], v_tile[TILE][HEAD];
    const int tiles = ceil_div(a.queries, ROWS), head = blockIdx.x / tiles, first = blockIdx.x % tiles * ROWS;
    const int r = threadIdx.x, i = first + r;
    const size_t first_query = size_t(head) * a.queries, first_key = size_t(head) * a.keys;
    load_tile(q_tile, HEAD, a.query + first_query * a.size, first, a.queries, a.size);
    load_tile(do_tile, HEAD, g.d_output + first_query * a.value_size, first, a.queries, a.value_size);
    const float lse = i < a.queries ? a.lse[first_query + i] : INFINITY, delta = i < a.queries ? g.delta[first_query + i] : 0;

    float dq[HEAD] = {};
    for (int j0 = 0; j0 < a.keys; j0 += TILE) {
        __syncthreads();  // nobody reads the tiles before
        load_tile(k_tile, HEAD, a.key + first_key * a.size, j0, a.keys, a.size);
        load_tile(v_tile, HEAD, a.value + first_key * a.value_size, j0, a.keys, a.value_size);
        __syncthreads();  // the tiles are complete
#pragma unroll 1
        for (int j = 0; j < TILE; j++) {
            const float s = masked(a, a.scale * dot(q_tile[r], k_tile[j], HEAD), head, i, j0 + j);
            const float p = expf(s - lse);
            const float ds = p * (dot(do_tile[r], v_tile[j], HEAD) - delta);
#pragma unroll
            for (int d = 0; d < HEAD; d++) dq[d] += ds * k_tile[j][d];
        }
    }
    if (i < a.queries) {
#pragma unroll
        for (int d = 0; d < HEAD; d++)
            if (d < a.size) g.d_query[(first_query + i) * a.size + d] = a.scale * dq[d];
    }
}

template <int HEAD>
__global__ void attention_tiled_d_key_value(Attention a, AttentionGradient g) {
    constexpr int ROWS = Tiled<HEAD>::ROWS, TILE = Tiled<HEAD>::TILE;
    __shared__ float k_tile[ROWS][HEAD + 1], v_tile[ROWS][HEAD + 1];
    __shared__ float q_tile[TILE][HEAD], do_tile[TILE][HEAD], lse[TILE], delta[TILE];
    const int tiles = ceil_div(a.keys, ROWS), head = blockIdx.x / tiles, first = blockIdx.x % tiles * ROWS;
    const int r = threadIdx.x, j = first + r;
    const size_t first_query = size_t(head) * a.queries, first_key = size_t(head) * a.keys;
    load_tile(k_tile, HEAD, a.key + first_key * a.size, first, a.keys, a.size);
    load_tile(v_tile, HEAD, a.value + first_key * a.value_size, first, a.keys, a.value_size);

    float dk[HEAD] = {}, dv[HEAD] = {};
    for (int i0 = 0; i0 < a.queries; i0 += TILE) {
        __syncthreads();
        load_tile(q_tile, HEAD, a.query + first_query * a.size, i0, a.queries, a.size);
        load_tile(do_tile, HEAD, g.d_output + first_query * a.value_size, i0, a.queries, a.value_size);
        if (r < TILE) {
            lse[r] = i0 + r < a.queries ? a.lse[first_query + i0 + r] : INFINITY;
            delta[r] = i0 + r < a.queries ? g.delta[first_query + i0 + r] : 0;
        }
        __syncthreads();
#pragma unroll 1
        for (int i = 0; i < TILE; i++) {
            const float s = masked(a, a.scale * dot(q_tile[i], k_tile[r], HEAD), head, i0 + i, j);
            const float p = expf(s - lse[i]);
            const float ds = p * (dot(do_tile[i], v_tile[r], HEAD) - delta[i]);
#pragma unroll
            for (int d = 0; d < HEAD; d++) {
                dk[d] += ds * q_tile[i][d];
                dv[d] += p * do_tile[i][d];
            }
        }
    }
    if (j < a.keys) {
#pragma unroll
        for (int d = 0; d < HEAD; d++) {
            if (d < a.size) g.d_key[(first_key + j) * a.size + d] = a.scale * dk[d];
            if (d < a.value_size) g.d_value[(first_key + j) * a.value_size + d] = dv[d];
        }
    }
}

template <int HEAD>
void launch_tiled(const Attention& a, const AttentionGradient& g, cudaStream_t stream) {
    constexpr int ROWS = Tiled<HEAD>::ROWS;
    const dim3 of_queries(a.batch_heads * ceil_div(a.queries, ROWS)), of_keys(a.batch_heads * ceil_div(a.keys, ROWS));
    launch("attention_tiled_d_query", attention_tiled_d_query<HEAD>, of_queries, dim3(ROWS), 0, stream, a, g);
    launch("attention_tiled_d_key_value", attention_tiled_d_key_value<HEAD>, of_keys, dim3(ROWS), 0, stream, a, g);
}

constexpr int THREADS = 128;
dim3 blocks(const Attention& a, int tokens, int rows) { return dim3(ceil_div((long long)a.batch_heads * tokens, rows)); }

}  // namespace

void attention_delta(const Attention& a, const AttentionGradient& g, cudaStream_t stream) {
    launch("attention_delta", attention_delta_kernel, blocks(a, a.queries, THREADS / 32), dim3(THREADS), 0, stream, a, g);
}

void attention_backward_naive(const Attention& a, const AttentionGradient& g, cudaStream_t stream) {
    attention_delta(a, g, stream);
    launch("attention_naive_d_query", attention_naive_d_query, blocks(a, a.queries, THREADS), dim3(THREADS), 0, stream, a, g);
    launch("attention_naive_d_key_value", attention_naive_d_key_value, blocks(a, a.keys, THREADS), dim3(THREADS), 0, stream, a, g);
}

void attention_backward_tiled(const Attention& a, const AttentionGradient& g, cudaStream_t stream) {
    attention_delta(a, g, stream);
    const int size = a.size > a.value_size ? a.size : a.value_size;
    if (size <= 32) launch_tiled<32>(a, g, stream);
    else if (size <= 64) launch_tiled<64>(a, g, stream);
    else launch_tiled<128>(a, g, stream);
}
