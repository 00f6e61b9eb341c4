// Attention, backward, fast version: five products per pair of tiles, all with their sums in registers (tiles.h).
//
// A block owns one head and a run of key tiles, a "part". It holds a tile of keys and values, with the sums of dK and dV for them in
// registers, and goes through the queries:
//     S = Q K^T,  P = exp(S - lse),  dV += P^T dO,  dP = dO V^T,  dS = P (dP - delta),  dK += dS^T Q,  dQ = dS K
// dQ alone is a sum over key tiles. Each part adds its own dQ up in global memory (one block, one thread per number: no atomics, and the
// same order in every run); the sum over the parts is left to the caller. Few parts save memory, many keep the GPU busy.
// The simpler way, one kernel for dQ and one for dK and dV, computes S and dP twice: seven products instead of five.
//
// Lane (r, c) of a warp owns, as in the forward kernel, queries r, r + 4, ... of the warp's QUERIES / 4 and keys c, c + 8, ... in S and dP;
// d = 4 c + 32 v + 0..3 in dQ; and in dK and dV the same d and KEYS / 16 neighbouring keys.
//
// Work for h heads, Tq queries, Tk keys, size D:
//     operations   10 h Tq Tk D
//     bytes        4 h D (3 Tq + 4 Tk) at least; q and dO are read, and dQ read and written, once for each of the Tk / KEYS key tiles:
//                  4 h D (4 Tq Tk / KEYS), most of it in the L2 cache

#include "attention/tiles.h"

namespace {

constexpr int WARPS = 4, THREADS = 32 * WARPS;

template <int HEAD, int ROWS, int KEYS>
struct Shared {  // of a block; strides keep the lanes of a warp in different banks
    static constexpr int QUERIES = WARPS * WARP_ROWS * ROWS, STRIDE = HEAD + 4, P_STRIDE = KEYS + 8;
    static constexpr int K = 0, V = K + KEYS * STRIDE, Q = V + KEYS * STRIDE, DO = Q + QUERIES * STRIDE;
    static constexpr int P = DO + QUERIES * STRIDE, DS = P + QUERIES * P_STRIDE;
    static constexpr int BYTES = (DS + QUERIES * P_STRIDE) * sizeof(float);
    static constexpr int BLOCKS = HEAD > 64 ? 1 : HEAD > 32 ? 2 : 3;  // wanted on an SM: bounds the registers of a thread
};

struct Aligned {
    bool query, key, value, d_output, d_query, d_key, d_value;
};

template <int HEAD, int ROWS, int KEYS>
__global__ void __launch_bounds__(THREADS, (Shared<HEAD, ROWS, KEYS>::BLOCKS))
attention_backward_fast_kernel(Attention a, AttentionGradient g, Aligned aligned) {
    using S = Shared<HEAD, ROWS, KEYS>;
    constexpr int COLUMNS = KEYS / WARP_COLUMNS, KEY_ROWS = KEYS / (WARPS * WARP_ROWS), VECTORS = HEAD / (4 * WARP_COLUMNS);
    float* shared = dynamic_shared<float>();
    float *k_tile = shared + S::K, *v_tile = shared + S::V, *q_tile = shared + S::Q, *do_tile = shared + S::DO;
    float *p_tile = shared + S::P, *ds_tile = shared + S::DS;

    const int head = blockIdx.x / g.parts, part = blockIdx.x % g.parts;
    const WarpPlace place;
    const int warp = threadIdx.x / 32, r = place.row, c = place.column;
    const int row = warp * WARP_ROWS * ROWS + r;                 // this lane's queries are i0 + row + 4 i
    const int key_row = (warp * WARP_ROWS + r) * KEY_ROWS;       // its keys, in dK and dV, are j0 + key_row + j
    const size_t first_query = size_t(head) * a.queries, first_key = size_t(head) * a.keys;
    const float *q = a.query + first_query * a.size, *d_o = g.d_output + first_query * a.value_size;
    const float *k = a.key + first_key * a.size, *v = a.value + first_key * a.value_size;
    float* d_query = g.d_query + (size_t(part) * a.batch_heads * a.queries + first_query) * a.size;

    const int key_tiles = ceil_div(a.keys, KEYS), tiles_of_part = ceil_div(key_tiles, g.parts);
    const int begin = part * tiles_of_part * KEYS, end = min(a.keys, begin + tiles_of_part * KEYS);
    for (int j0 = begin; j0 < end || j0 == begin; j0 += KEYS) {  // a part without keys still has zeros to write
        __syncthreads();                                         // nobody reads the tiles before
        load_rows<KEYS, HEAD, S::STRIDE, THREADS>(k_tile, k, j0, a.keys, a.size, aligned.key);
        load_rows<KEYS, HEAD, S::STRIDE, THREADS>(v_tile, v, j0, a.keys, a.value_size, aligned.value);
        float4 dk[KEY_ROWS][VECTORS] = {}, dv[KEY_ROWS][VECTORS] = {};

        for (int i0 = 0; i0 < a.queries; i0 += S::QUERIES) {
            float4 dq[ROWS][VECTORS] = {};
            const bool seen = j0 < a.keys && !(a.causal && i0 + S::QUERIES <= j0);  // by any query of this tile
            if (seen) {
                __syncthreads();  // nobody reads the tiles before
                load_rows<S::QUERIES, HEAD, S::STRIDE, THREADS>(q_tile, q, i0, a.queries, a.size, aligned.query);
                load_rows<S::QUERIES, HEAD, S::STRIDE, THREADS>(do_tile, d_o, i0, a.queries, a.value_size, aligned.d_output);
                __syncthreads();  // the tiles are complete

                {
                    float s[ROWS][COLUMNS] = {};
                    add_product_with_transpose<HEAD>(s, q_tile + row * S::STRIDE, k_tile + c * S::STRIDE, S::STRIDE);
                    finish_logits(s, a, head, i0 + row, j0 + c);
#pragma unroll
                    for (int i = 0; i < ROWS; i++) {
                        const int query = i0 + row + WARP_ROWS * i;
                        const float lse = query < a.queries ? a.lse[first_query + query] : INFINITY;
#pragma unroll
                        for (int j = 0; j < COLUMNS; j++)
                            p_tile[(row + WARP_ROWS * i) * S::P_STRIDE + c + WARP_COLUMNS * j] = __expf(s[i][j] - lse);
                    }
                }
                {
                    float dp[ROWS][COLUMNS] = {};
                    add_product_with_transpose<HEAD>(dp, do_tile + row * S::STRIDE, v_tile + c * S::STRIDE, S::STRIDE);
#pragma unroll
                    for (int i = 0; i < ROWS; i++) {
                        const int query = i0 + row + WARP_ROWS * i;
                        const float delta = query < a.queries ? g.delta[first_query + query] : 0;
#pragma unroll
                        for (int j = 0; j < COLUMNS; j++) {
                            const int n = (row + WARP_ROWS * i) * S::P_STRIDE + c + WARP_COLUMNS * j;
                            ds_tile[n] = p_tile[n] * (dp[i][j] - delta);  // its own p: cheaper to read back than to keep
                        }
                    }
                }
                __syncthreads();  // P and dS are complete
                add_product_of_transpose<S::QUERIES>(dv, p_tile + key_row, S::P_STRIDE, do_tile + 4 * c, S::STRIDE);
                add_product_of_transpose<S::QUERIES>(dk, ds_tile + key_row, S::P_STRIDE, q_tile + 4 * c, S::STRIDE);
                add_product<KEYS>(dq, ds_tile + row * S::P_STRIDE, S::P_STRIDE, k_tile + 4 * c, S::STRIDE);
            }
            if (seen || j0 == begin) {  // the first key tile of the part writes dQ, the others add to it
#pragma unroll
                for (int i = 0; i < ROWS; i++) {
                    const int query = i0 + row + WARP_ROWS * i;
                    if (query < a.queries) {
                        float* dq_row = d_query + size_t(query) * a.size;
#pragma unroll
                        for (int n = 0; n < VECTORS; n++) {
                            const int d = 4 * c + 4 * WARP_COLUMNS * n;
                            float4 sum = j0 == begin ? make_float4(0, 0, 0, 0) : load4_within(dq_row, d, a.size, aligned.d_query);
                            add_scaled(sum, a.scale, dq[i][n]);
                            store4_within(dq_row, d, a.size, aligned.d_query, sum);
                        }
                    }
                }
            }
        }

#pragma unroll
        for (int j = 0; j < KEY_ROWS; j++) {
            const int key = j0 + key_row + j;
            if (key < a.keys) {
#pragma unroll
                for (int n = 0; n < VECTORS; n++) {
                    const int d = 4 * c + 4 * WARP_COLUMNS * n;
                    scale4(dk[j][n], a.scale);
                    store4_within(g.d_key + (first_key + key) * a.size, d, a.size, aligned.d_key, dk[j][n]);
                    store4_within(g.d_value + (first_key + key) * a.value_size, d, a.value_size, aligned.d_value, dv[j][n]);
                }
            }
        }
    }
}

template <int HEAD, int ROWS, int KEYS>
void launch_fast(const Attention& a, const AttentionGradient& g, cudaStream_t stream) {
    const Aligned aligned = {aligned_rows(a.query, a.size),         aligned_rows(a.key, a.size),     aligned_rows(a.value, a.value_size),
                             aligned_rows(g.d_output, a.value_size), aligned_rows(g.d_query, a.size), aligned_rows(g.d_key, a.size),
                             aligned_rows(g.d_value, a.value_size)};
    launch("attention_backward_fast", attention_backward_fast_kernel<HEAD, ROWS, KEYS>, dim3(a.batch_heads * g.parts), dim3(THREADS),
           Shared<HEAD, ROWS, KEYS>::BYTES, stream, a, g, aligned);
}

template <int HEAD>
void launch_tile(const Attention& a, const AttentionGradient& g, Tile tile, cudaStream_t stream) {
    const bool fits = Shared<HEAD, 4, 64>::BYTES <= this_device().shared_bytes;
    if (tile == Tile::AUTO) tile = fits && !few_tiles(a.batch_heads, a.keys) ? Tile::MEDIUM : Tile::SMALL;
    if (tile == Tile::SMALL) launch_fast<HEAD, 2, 32>(a, g, stream);
    else launch_fast<HEAD, 4, 64>(a, g, stream);
}

}  // namespace

void attention_backward_fast(const Attention& a, const AttentionGradient& g, Tile tile, cudaStream_t stream) {
    attention_delta(a, g, stream);
    const int size = a.size > a.value_size ? a.size : a.value_size;
    if (size <= 32) launch_tile<32>(a, g, tile, stream);
    else if (size <= 64) launch_tile<64>(a, g, tile, stream);
    else launch_tile<128>(a, g, tile, stream);
}

// Enough blocks for four on each SM, but no more parts than key tiles.
int attention_fast_parts(int batch_heads, int keys) {
    const int wanted = ceil_div(4 * this_device().processors, batch_heads);
    const int key_tiles = ceil_div(keys, few_tiles(batch_heads, keys) ? 32 : 64);
    return ceil_div(key_tiles, ceil_div(key_tiles, wanted < key_tiles ? wanted : key_tiles));  // as many as have work
}

bool attention_fast_fits(int size) {
    const int needed = size <= 32 ? Shared<32, 2, 32>::BYTES : size <= 64 ? Shared<64, 2, 32>::BYTES : Shared<128, 2, 32>::BYTES;
    return needed <= this_device().shared_bytes;
}
