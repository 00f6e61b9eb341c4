// attention, rung 5: four numbers by one instruction, larger tiles, and lanes that stand where their reads hit different banks.
//
// Against rung 4: every read of global and of shared memory is a float4 along the summed axis (tiles.h), a thread owns 4 x 4 logits, and
// the 32 lanes of a warp stand in 4 rows of 8 as in rung 6 of conv2d (warp_place.h). csrc/attention/fast_forward.cu is this rung with
// tiles of several sizes.
//
//               64 queries, 32 keys, 4 warps; a warp owns 16 queries
//
//                        keys ->  c = 0  1  2 ... 7
//               row 0           [    l0  l2 l4 ... l14 ]       lane (r, c): queries r, r + 4, r + 8, r + 12 of the warp
//               row 1           [    l1  l3 l5 ... l15 ]                    keys c, c + 8, c + 16, c + 24
//               row 2           [    l16 l18 ...   l30 ]                    numbers 4 c + 32 v + 0..3 of o
//               row 3           [    l17 l19 ...   l31 ]
//
//     bytes     8 numbers of shared memory for 16 multiply-adds of q k; 8 for 16 of p v at D = 32. A key serves 64 queries
//     counted   for 32 multiply-adds (T 64, D 32): 3 bytes read of global memory, 64 of shared memory, 0.288 turns of its banks
#include "attention/tiles.h"
#include "ladder/attention/head.h"

namespace attention_05 {

constexpr int WARPS = 4, THREADS = 32 * WARPS, ROWS = 4, KEYS = 32, QUERIES = WARPS * WARP_ROWS * ROWS, COLUMNS = KEYS / WARP_COLUMNS;

template <int HEAD>
struct Tiles {  // strides of 4 or 8 more than a multiple of 32 keep the lanes in different banks
    static constexpr int STRIDE = HEAD + 4, P_STRIDE = KEYS + 8;
    float q[QUERIES * STRIDE], k[KEYS * STRIDE], v[KEYS * STRIDE], p[QUERIES * P_STRIDE];
};

template <int HEAD>
__global__ void __launch_bounds__(THREADS) kernel(const Attention a, bool aligned) {  // aligned: rows begin at multiples of 16 bytes
    constexpr int STRIDE = Tiles<HEAD>::STRIDE, P_STRIDE = Tiles<HEAD>::P_STRIDE, VECTORS = HEAD / (4 * WARP_COLUMNS);
    Tiles<HEAD>& tile = *dynamic_shared<Tiles<HEAD>>();
    const int tiles = ceil_div(a.queries, QUERIES), head = int(blockIdx.x) / tiles, first = int(blockIdx.x) % tiles * QUERIES;
    const WarpPlace place;
    const int row = int(threadIdx.x) / 32 * WARP_ROWS * ROWS + place.row, c = place.column;
    const float* k = a.key + size_t(head) * a.keys * a.size;
    const float* v = a.value + size_t(head) * a.keys * a.value_size;
    load_rows<QUERIES, HEAD, STRIDE, THREADS>(tile.q, a.query + size_t(head) * a.queries * a.size, first, a.queries, a.size, aligned);

    float4 o[ROWS][VECTORS] = {};
    float m[ROWS], l[ROWS] = {};  // l: of this lane's keys only, until the end
    for (int r = 0; r < ROWS; r++) m[r] = -INFINITY;
    for (int j0 = 0; j0 < a.keys; j0 += KEYS) {
        __syncthreads();  // nobody reads the tiles before
        load_rows<KEYS, HEAD, STRIDE, THREADS>(tile.k, k, j0, a.keys, a.size, aligned);
        load_rows<KEYS, HEAD, STRIDE, THREADS>(tile.v, v, j0, a.keys, a.value_size, aligned);
        __syncthreads();  // the tiles are complete

        float s[ROWS][COLUMNS] = {};
        add_product_with_transpose<HEAD>(s, tile.q + row * STRIDE, tile.k + c * STRIDE, STRIDE);
        finish_logits(s, a, head, first + row, j0 + c);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float m_new = m[r];
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) m_new = fmaxf(m_new, s[r][j]);
            m_new = row_max(m_new);
            const float shift = m_new == -INFINITY ? 0 : m_new, correction = __expf(m[r] - shift);
            m[r] = m_new;
            l[r] *= correction;
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) {
                const float p = __expf(s[r][j] - shift);
                l[r] += p;
                tile.p[(row + WARP_ROWS * r) * P_STRIDE + c + WARP_COLUMNS * j] = p;
            }
#pragma unroll
            for (int d = 0; d < VECTORS; d++) scale4(o[r][d], correction);
        }
        __syncwarp();  // a warp reads only the rows of P that it wrote itself
        add_product<KEYS>(o, tile.p + row * P_STRIDE, P_STRIDE, tile.v + 4 * c, STRIDE);
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        l[r] = row_sum(l[r]);
        const int i = first + row + WARP_ROWS * r;
        if (i >= a.queries) continue;
        const size_t n = size_t(head) * a.queries + i;
        if (c == 0) a.lse[n] = log_sum_exp(m[r], l[r]);
#pragma unroll
        for (int d = 0; d < VECTORS; d++) {
            scale4(o[r][d], normalizer(l[r]));
            store4_within(a.output + n * a.value_size, 4 * c + 4 * WARP_COLUMNS * d, a.value_size, aligned, o[r][d]);
        }
    }
}

void run(const Attention& a, cudaStream_t stream) {
    const bool aligned = aligned_rows(a.query, a.size) && aligned_rows(a.key, a.size) && aligned_rows(a.value, a.value_size) &&
                         aligned_rows(a.output, a.value_size);
    with_head(a, [&](auto head) {
        const int blocks = a.batch_heads * ceil_div(a.queries, QUERIES);
        launch("attention_05_float4", kernel<head()>, blocks, THREADS, sizeof(Tiles<head()>), stream, a, aligned);
    });
}

AttentionRung rung("05_float4", run);

}  // namespace attention_05
