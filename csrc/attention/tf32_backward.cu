// Attention, backward, on tensor cores: the five products of fast_backward.cu by mma.sync (tf32_tiles.h), as exact as float32.
//
// A block owns one head and a run of key tiles, a "part", as in the fast version. A warp owns 16 of a tile's KEYS, with the sums of dK and dV for
// them in registers, and the block goes through the queries:
//     S^T = K Q^T, dP^T = V dO^T       a piece has 16 keys and 8 queries; K and V stay where each lane finds its own numbers
//     P^T = exp(S^T - lse), dS^T = P^T (dP^T - delta)      in registers
//     dV^T += dO^T P, dK^T += Q^T dS   P^T and dS^T are their operand b without moving; each tile's own sums are added by ordinary additions
//     dQ^T = K^T dS^T                  sums over the keys of all warps: dS goes through shared memory. A warp makes 32 numbers of some queries
// and adds dQ up in global memory, each number by one thread in the same order in every run.
//
// A tile of Q and dO is copied while dQ is made of the one before it, which needs K and dS only: one stage, two barriers a tile.
//     operations   10 h Tq Tk D, each by three products on tensor cores
//     bytes        as for the fast version: q and dO are read, and dQ read and written, once for each of the Tk / KEYS key tiles

#include "attention/tf32_tiles.h"

namespace {

constexpr int WARPS = 4, THREADS = 32 * WARPS, KEYS = 16 * WARPS;

template <int HEAD>
struct Block {
    static constexpr int QUERIES = HEAD > 64 ? 16 : 64, COLUMNS = QUERIES / 8, PIECES = HEAD / 16;
    static constexpr int STRIDE = HEAD + 4, DS_STRIDE = KEYS + 16, KEPT = KeptRows<HEAD, 1, 1>::NUMBERS;
    static constexpr int K = 0, Q = K + KEYS * STRIDE, DO = Q + QUERIES * STRIDE, DS = DO + QUERIES * STRIDE;
    static constexpr int LSE = DS + QUERIES * DS_STRIDE, DELTA = LSE + QUERIES, KEPT_K = DELTA + QUERIES, KEPT_V = KEPT_K + WARPS * KEPT;
    static constexpr int BYTES = (KEPT_V + WARPS * KEPT) * sizeof(float);
    static constexpr int BLOCKS = HEAD > 64 ? 1 : HEAD > 32 ? 2 : 3;  // wanted on an SM: bounds the registers of a thread
    // In dQ^T a warp owns 32 numbers of a head, and these queries:
    static constexpr int WARPS_OF_HEAD = HEAD / 32, DQ_QUERIES = QUERIES * WARPS_OF_HEAD / WARPS, DQ_COLUMNS = DQ_QUERIES / 8;
};

struct Aligned {
    bool query, key, value, d_output, d_query, d_key, d_value;
};

// sum^T += tile^T p, over the tile's tokens: dV^T += dO^T P. `tile` is given from number number_of_row(g) of token t on.
template <int STRIDE, int PIECES, int COLUMNS>
__device__ void add_product_over_tokens(float (&sum)[PIECES][2][4], const float* tile, const float (&p)[COLUMNS][1][4]) {
    constexpr int GROUP = PIECES > 4 ? 4 : PIECES;  // for each group p is split anew
#pragma unroll
    for (int n = 0; n < PIECES; n += GROUP) {
        float part[2][GROUP][4] = {};
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            RowOperand<GROUP> numbers;
            read_transposed<STRIDE>(numbers, tile + 8 * c * STRIDE + 16 * n, 4);
            ColumnOperand<2> b;
#pragma unroll
            for (int e = 0; e < 4; e++) b.set(e / 2, e % 2, p[c][0][e]);
            multiply(part, numbers, b);
        }
#pragma unroll
        for (int i = 0; i < GROUP; i++)
#pragma unroll
            for (int half = 0; half < 2; half++)
#pragma unroll
                for (int e = 0; e < 4; e++) sum[n + i][half][e] += part[half][i][e];
    }
}

// Writes the sums of a warp's 16 keys, from key `first` on.
template <int PIECES>
__device__ void write_keys(float* gradient, const float (&sum)[PIECES][2][4], int first, int tokens, int size, bool aligned, float factor) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int key = first + 8 * half + 2 * t + e;
#pragma unroll
            for (int n = 0; n < PIECES; n++)
                store2_within(gradient + size_t(key) * size, n / 2 * 32 + n % 2 * 8 + number_of_row(g), key < tokens ? size : 0, aligned,
                              factor * sum[n][half][e], factor * sum[n][half][e + 2]);
        }
}

template <int HEAD>
__global__ void __launch_bounds__(THREADS, Block<HEAD>::BLOCKS)
attention_backward_tf32x3_kernel(Attention a, AttentionGradient gradient, Aligned aligned) {
    using B = Block<HEAD>;
    constexpr int STRIDE = B::STRIDE, QUERIES = B::QUERIES, COLUMNS = B::COLUMNS;
    float* shared = dynamic_shared<float>();
    float *k_tile = shared + B::K, *q_tile = shared + B::Q, *do_tile = shared + B::DO, *ds_tile = shared + B::DS;
    float *lse_tile = shared + B::LSE, *delta_tile = shared + B::DELTA;

    const int head = blockIdx.x / gradient.parts, part = blockIdx.x % gradient.parts;
    const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const size_t first_query = size_t(head) * a.queries, first_key = size_t(head) * a.keys;
    const float *q = a.query + first_query * a.size, *d_o = gradient.d_output + first_query * a.value_size;
    const float *k = a.key + first_key * a.size, *v = a.value + first_key * a.value_size;
    const float *lse = a.lse + first_query, *delta = gradient.delta + first_query;
    float* d_query = gradient.d_query + (size_t(part) * a.batch_heads * a.queries + first_query) * a.size;
    KeptRows<HEAD, 1, 1> key(shared + B::KEPT_K + warp * B::KEPT), value(shared + B::KEPT_V + warp * B::KEPT);

    auto copy_queries = [&](int i0) {
        copy_rows<QUERIES, HEAD, STRIDE, THREADS>(q_tile, q, i0, a.queries, a.size, aligned.query);
        copy_rows<QUERIES, HEAD, STRIDE, THREADS>(do_tile, d_o, i0, a.queries, a.value_size, aligned.d_output);
        // a query beyond the last gets zeros everywhere, and gives none but zeros
        const int n = threadIdx.x % QUERIES, i = min(i0 + n, a.queries - 1);
        if (threadIdx.x < QUERIES) copy_async(lse_tile + n, lse + i, i == i0 + n);
        else if (threadIdx.x < 2 * QUERIES) copy_async(delta_tile + n, delta + i, i == i0 + n);
        end_of_copies();
    };

    const int key_tiles = ceil_div(a.keys, KEYS), tiles_of_part = ceil_div(key_tiles, gradient.parts);
    const int begin = part * tiles_of_part * KEYS, end = min(a.keys, begin + tiles_of_part * KEYS);
    // The first key tile of the part writes dQ, the others add to it. What none of its queries sees is 0.
    const int never_seen = begin >= end ? a.queries : a.causal ? min(a.queries, begin / QUERIES * QUERIES) : 0;
    for (int n = threadIdx.x; n < never_seen * a.size; n += THREADS) d_query[n] = 0;

    for (int j0 = begin; j0 < end; j0 += KEYS) {
        const int j_warp = j0 + 16 * warp, i_begin = a.causal ? j0 / QUERIES * QUERIES : 0;
        __syncthreads();  // nobody reads the tiles before
        copy_rows<KEYS, HEAD, STRIDE, THREADS>(k_tile, k, j0, a.keys, a.size, aligned.key);
        copy_queries(i_begin);
        key.load(k, j_warp, a.keys, a.size, aligned.key, a.scale);
        value.load(v, j_warp, a.keys, a.value_size, aligned.value, 1);
        float dk[B::PIECES][2][4] = {}, dv[B::PIECES][2][4] = {};  // of dK^T and dV^T

        for (int i0 = i_begin; i0 < a.queries; i0 += QUERIES) {
            wait_for_copies<0>();
            __syncthreads();  // the tiles are complete, and nobody reads the dS before
            float p[COLUMNS][1][4] = {};
            multiply_by_tokens<STRIDE>(p, key, q_tile + token_of_column(g) * STRIDE + 4 * t);
            if (a.mask != nullptr || j_warp + 16 > a.keys || (a.causal && j_warp + 15 > i0))
                finish_logits_of_pieces<true>(p, a, head, i0 + t, j_warp + g);
#pragma unroll
            for (int c = 0; c < COLUMNS; c++)
#pragma unroll
                for (int e = 0; e < 4; e++) p[c][0][e] = exp2_at_once((p[c][0][e] - lse_tile[8 * c + t + e % 2 * 4]) * LOG2_E);
            add_product_over_tokens<STRIDE>(dv, do_tile + t * STRIDE + number_of_row(g), p);

            float ds[COLUMNS][1][4] = {};
            multiply_by_tokens<STRIDE>(ds, value, do_tile + token_of_column(g) * STRIDE + 4 * t);
#pragma unroll
            for (int c = 0; c < COLUMNS; c++) {
#pragma unroll
                for (int e = 0; e < 4; e++) ds[c][0][e] = p[c][0][e] * (ds[c][0][e] - delta_tile[8 * c + t + e % 2 * 4]);
                // Of 16 keys, those of k = t and t + 4, in one instruction and the next, are four side by side: t, t + 4, t + 8, t + 12.
#pragma unroll
                for (int e = 0; e < 4; e++) ds_tile[(8 * c + t + e % 2 * 4) * B::DS_STRIDE + 16 * warp + g % 4 * 4 + g / 4 + e / 2 * 2] = ds[c][0][e];
            }
            add_product_over_tokens<STRIDE>(dk, q_tile + t * STRIDE + number_of_row(g), ds);
            __syncthreads();  // dS is complete, and nobody needs these queries any more
            if (i0 + QUERIES < a.queries) copy_queries(i0 + QUERIES);

            const int d0 = warp % B::WARPS_OF_HEAD * 32, query0 = warp / B::WARPS_OF_HEAD * B::DQ_QUERIES;
            auto each_pair = [&](auto use) {  // of this lane's numbers of dQ: use(c, e, i, row of its query, its first number, size or 0)
#pragma unroll
                for (int c = 0; c < B::DQ_COLUMNS; c++)
#pragma unroll
                    for (int e = 0; e < 2; e++) {
                        const int query = i0 + query0 + 8 * c + 2 * t + e;
#pragma unroll
                        for (int i = 0; i < 2; i++)
                            use(c, e, i, d_query + size_t(query) * a.size, d0 + 8 * i + number_of_row(g), query < a.queries ? a.size : 0);
                    }
            };
            float2 before[B::DQ_COLUMNS][2][2] = {};  // read now, that it is there when it is needed
            if (j0 != begin && aligned.d_query)
                each_pair([&](int c, int e, int i, const float* row, int d, int size) {
                    if (d < size) before[c][e][i] = *reinterpret_cast<const float2*>(row + d);
                });
            else if (j0 != begin)
                each_pair([&](int c, int e, int i, const float* row, int d, int size) {
                    before[c][e][i] = make_float2(d < size ? row[d] : 0, d + 1 < size ? row[d + 1] : 0);
                });
            float dq[B::DQ_COLUMNS][2][4] = {};
#pragma unroll(HEAD == 32 ? 4 : 2)
            for (int m = 0; m < KEYS; m += 16) {
                RowOperand<2> keys[2];
                ColumnOperand<B::DQ_COLUMNS> b[2];
#pragma unroll
                for (int s = 0; s < 2; s++) read_transposed<STRIDE>(keys[s], k_tile + (m + 8 * s + t) * STRIDE + d0 + number_of_row(g), 4);
#pragma unroll
                for (int c = 0; c < B::DQ_COLUMNS; c++) {
                    float quad[4];
                    quad_to(quad, load4(ds_tile + (query0 + 8 * c + g) * B::DS_STRIDE + m + 4 * t));
#pragma unroll
                    for (int e = 0; e < 4; e++) b[e / 2].set(c, e % 2, quad[e]);
                }
                multiply(dq, keys[0], b[0]);
                multiply(dq, keys[1], b[1]);
            }
            each_pair([&](int c, int e, int i, float* row, int d, int size) {
                float2 sum = before[c][e][i];
                sum.x += a.scale * dq[c][i][e], sum.y += a.scale * dq[c][i][e + 2];
                store2_within(row, d, size, aligned.d_query, sum.x, sum.y);
            });
        }
        write_keys(gradient.d_key + first_key * a.size, dk, j_warp, a.keys, a.size, aligned.d_key, a.scale);
        write_keys(gradient.d_value + first_key * a.value_size, dv, j_warp, a.keys, a.value_size, aligned.d_value, 1);
    }
}

template <int HEAD>
void launch_tf32x3(const Attention& a, const AttentionGradient& g, cudaStream_t stream) {
    const Aligned aligned = {aligned_rows(a.query, a.size),         aligned_rows(a.key, a.size),     aligned_rows(a.value, a.value_size),
                             aligned_rows(g.d_output, a.value_size), aligned_rows(g.d_query, a.size), aligned_rows(g.d_key, a.size),
                             aligned_rows(g.d_value, a.value_size)};
    launch("attention_backward_tf32x3", attention_backward_tf32x3_kernel<HEAD>, dim3(a.batch_heads * g.parts), dim3(THREADS),
           Block<HEAD>::BYTES, stream, a, g, aligned);
}

}  // namespace

void attention_backward_tf32x3(const Attention& a, const AttentionGradient& g, cudaStream_t stream) {
    attention_delta(a, g, stream);
    const int size = a.size > a.value_size ? a.size : a.value_size;
    if (size <= 32) launch_tf32x3<32>(a, g, stream);
    else if (size <= 64) launch_tf32x3<64>(a, g, stream);
    else launch_tf32x3<128>(a, g, stream);
}

// In rounds of as many blocks as the SMs hold, a block goes through its key tiles; the sum over several parts costs reading and writing them.
// Cycles for one query and one number of a head: a tile's, by the predictions of docs/benchmarks/gpu_predictions.md, and those of 4 bytes.
int attention_tf32x3_parts(int batch_heads, int keys, int size) {
    constexpr float TILE = 4.0f, PART = 0.004f;  // twice what its bytes take, for it takes memory, too
    const int resident = size <= 32 ? Block<32>::BLOCKS : size <= 64 ? Block<64>::BLOCKS : Block<128>::BLOCKS;
    const int key_tiles = ceil_div(keys, KEYS), at_once = resident * this_device().processors;
    int best = 1;
    float least = INFINITY;
    for (int parts = 1; parts <= key_tiles; parts++) {
        const int tiles_of_part = ceil_div(key_tiles, parts);
        if (ceil_div(key_tiles, tiles_of_part) != parts) continue;  // a part would have no work
        const int rounds = ceil_div(1LL * batch_heads * parts, at_once);
        const float cycles = TILE * float(rounds) * float(tiles_of_part) + (parts > 1 ? PART * float(parts + 1) * float(batch_heads) : 0);
        if (cycles < least) least = cycles, best = parts;
    }
    return best;
}

// The backward pass needs more than the forward pass.
bool attention_tf32x3_fits(int size) {
    const int needed = size <= 32 ? Block<32>::BYTES : size <= 64 ? Block<64>::BYTES : Block<128>::BYTES;
    return needed <= this_device().shared_bytes;
}
