// Attention, forward, fast version: the tiled version of forward.cu with the products in registers (tiles.h).
//
// A block owns QUERIES = 16 ROWS queries of one head and goes through the keys in tiles of KEYS; each of its 4 warps owns 4 ROWS queries.
// Lane (r, c) of a warp owns, for the warp's queries r, r + 4, ...:
//     in S = Q K^T (KEYS wide)    keys c, c + 8, ...               a tile of ROWS x KEYS / 8
//     in O = P V   (HEAD wide)    d = 4 c + 32 v + 0..3            a tile of ROWS x HEAD / 8
// P has to be handed from the lanes that computed it to the lanes that need it: through shared memory, within the warp.
//
// For each multiply-add of S a lane reads 1 / ROWS + 8 / KEYS numbers of shared memory:
// a quarter for ROWS = 8 and KEYS = 64, where the tiled version reads two.
// Global memory gives each key and value once to every QUERIES queries, most of it from the L2 cache:
//     operations   4 h Tq Tk D
//     bytes        4 h D (2 Tq + 2 Tk ceil(Tq / QUERIES))

#include "attention/tiles.h"

namespace {

constexpr int WARPS = 4, THREADS = 32 * WARPS;

template <int HEAD, int ROWS, int KEYS>
struct Shared {  // of a block; strides keep the lanes of a warp in different banks
    static constexpr int QUERIES = WARPS * WARP_ROWS * ROWS, STRIDE = HEAD + 4, P_STRIDE = KEYS + 8;
    static constexpr int Q = 0, K = Q + QUERIES * STRIDE, V = K + KEYS * STRIDE, P = V + KEYS * STRIDE;
    static constexpr int BYTES = (P + QUERIES * P_STRIDE) * sizeof(float);
    // Wanted on an SM: bounds the registers of a thread.
    static constexpr int BLOCKS = ROWS == 8 ? 2 : ROWS == 2 ? (HEAD > 64 ? 4 : 5) : KEYS == 32 ? (HEAD > 64 ? 2 : HEAD > 32 ? 4 : 5)
                                : HEAD > 64 ? 1 : HEAD > 32 ? 3 : 4;
    // Cycles of an SM for 128 multiply-adds, with all that comes with them: fitted to an H200, but for ROWS = 2. By its share of multiply-adds
    // in the hot loop that would have 1.87; it gets a little more, to be taken where it is clearly better (docs/benchmarks/gpu_predictions.md).
    static constexpr float CYCLES = ROWS == 8 ? (HEAD > 32 ? 1.5f : 1.7f) : ROWS == 2 ? 2.0f : KEYS == 32 ? 1.535f : 1.62f;
};

struct Aligned {
    bool query, key, value, output;
};

template <int HEAD, int ROWS, int KEYS>
__global__ void __launch_bounds__(THREADS, (Shared<HEAD, ROWS, KEYS>::BLOCKS)) attention_fast(Attention a, Aligned aligned) {
    using S = Shared<HEAD, ROWS, KEYS>;
    constexpr int COLUMNS = KEYS / WARP_COLUMNS, VECTORS = HEAD / (4 * WARP_COLUMNS);
    float* shared = dynamic_shared<float>();
    float *q_tile = shared + S::Q, *k_tile = shared + S::K, *v_tile = shared + S::V, *p_tile = shared + S::P;

    const int tiles = ceil_div(a.queries, S::QUERIES), head = blockIdx.x / tiles, i0 = blockIdx.x % tiles * S::QUERIES;
    const WarpPlace place;
    const int warp = threadIdx.x / 32, r = place.row, c = place.column;
    const int row = warp * WARP_ROWS * ROWS + r;  // this lane's queries are i0 + row + 4 i
    const float* k = a.key + size_t(head) * a.keys * a.size;
    const float* v = a.value + size_t(head) * a.keys * a.value_size;
    const float* q = a.query + size_t(head) * a.queries * a.size;
    load_rows<S::QUERIES, HEAD, S::STRIDE, THREADS>(q_tile, q, i0, a.queries, a.size, aligned.query);

    float4 o[ROWS][VECTORS] = {};
    float m[ROWS], l[ROWS];  // l: of this lane's keys only, until the end
#pragma unroll
    for (int i = 0; i < ROWS; i++) m[i] = -INFINITY, l[i] = 0;

    const int end = a.causal ? min(a.keys, i0 + S::QUERIES) : a.keys;  // no query of this block looks further
    for (int j0 = 0; j0 < end; j0 += KEYS) {
        __syncthreads();  // nobody reads the tiles before
        load_rows<KEYS, HEAD, S::STRIDE, THREADS>(k_tile, k, j0, a.keys, a.size, aligned.key);
        load_rows<KEYS, HEAD, S::STRIDE, THREADS>(v_tile, v, j0, a.keys, a.value_size, aligned.value);
        __syncthreads();  // the tiles are complete

        float s[ROWS][COLUMNS] = {};
        add_product_with_transpose<HEAD>(s, q_tile + row * S::STRIDE, k_tile + c * S::STRIDE, S::STRIDE);
        finish_logits(s, a, head, i0 + row, j0 + c);

#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            float m_new = m[i];
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) m_new = fmaxf(m_new, s[i][j]);
            m_new = row_max(m_new);  // of the 8 lanes that share this query
            const float shift = m_new == -INFINITY ? 0 : m_new;  // -inf - -inf would be NaN
            const float correction = __expf(m[i] - shift);
            m[i] = m_new;
            l[i] *= correction;
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) {
                const float p = __expf(s[i][j] - shift);
                l[i] += p;
                p_tile[(row + WARP_ROWS * i) * S::P_STRIDE + c + WARP_COLUMNS * j] = p;
            }
#pragma unroll
            for (int d = 0; d < VECTORS; d++) scale4(o[i][d], correction);
        }
        __syncwarp();  // a warp reads only the rows of P that it wrote itself
        add_product<KEYS>(o, p_tile + row * S::P_STRIDE, S::P_STRIDE, v_tile + 4 * c, S::STRIDE);
    }

#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        l[i] = row_sum(l[i]);
        const int query = i0 + row + WARP_ROWS * i;
        if (query < a.queries) {
            const size_t n = size_t(head) * a.queries + query;
            if (c == 0) a.lse[n] = log_sum_exp(m[i], l[i]);
#pragma unroll
            for (int d = 0; d < VECTORS; d++) {
                scale4(o[i][d], normalizer(l[i]));
                store4_within(a.output + n * a.value_size, 4 * c + 4 * WARP_COLUMNS * d, a.value_size, aligned.output, o[i][d]);
            }
        }
    }
}

template <int HEAD, int ROWS, int KEYS>
void launch_fast(const Attention& a, cudaStream_t stream) {
    using S = Shared<HEAD, ROWS, KEYS>;
    const Aligned aligned = {aligned_rows(a.query, a.size), aligned_rows(a.key, a.size), aligned_rows(a.value, a.value_size),
                             aligned_rows(a.output, a.value_size)};
    const dim3 blocks(a.batch_heads * ceil_div(a.queries, S::QUERIES));
    launch("attention_fast", attention_fast<HEAD, ROWS, KEYS>, blocks, dim3(THREADS), S::BYTES, stream, a, aligned);
}

// How long it takes with a tile, in cycles of an SM: the SM with most blocks goes through them in rounds of as many as fit into it. The last
// round is shorter, if it is not full, but half of a round at least: few blocks do not occupy an SM. A block pays for the keys and queries
// that its tiles are padded to, and for its start and end as for START keys more.
template <int HEAD, int ROWS, int KEYS>
float cycles(const Attention& a) {
    using S = Shared<HEAD, ROWS, KEYS>;
    constexpr int START = 54;
    const Device device = this_device();
    if (S::BYTES > device.shared_bytes) return INFINITY;
    const int resident = std::min(S::BLOCKS, (device.shared_bytes + 1024) / (S::BYTES + 1024));  // each block takes 1 KB more
    const int blocks = ceil_div(1LL * a.batch_heads * ceil_div(a.queries, S::QUERIES), device.processors), rest = blocks % resident;
    const float rounds = blocks - rest + (rest ? std::max(float(rest), resident / 2.0f) : 0);
    const float multiply_adds = 2.0f * HEAD * S::QUERIES * (ceil_div(a.keys, KEYS) * KEYS + START);
    return rounds * multiply_adds / 128 * S::CYCLES;
}

// SMALL is for few queries, so that as many SMs as possible have a block. LARGE reads least from shared memory, but 128 queries a block are
// often more than there are, or make a last round with few blocks. NARROW keeps more warps on an SM than MEDIUM and pads to fewer keys.
// HEAD > 64 has no LARGE: a thread has 255 registers, for ROWS (KEYS + HEAD) / 8 sums and the operands.
template <int HEAD>
float cycles_of(const Attention& a, Tile tile) {
    if (tile == Tile::SMALL) return cycles<HEAD, 2, 32>(a);
    if (tile == Tile::NARROW) return HEAD > 32 ? INFINITY : cycles<HEAD, 4, 32>(a);  // larger heads were not measured with it
    if (tile == Tile::MEDIUM) return cycles<HEAD, 4, 64>(a);
    return HEAD > 64 ? INFINITY : cycles<HEAD, 8, 64>(a);
}

template <int HEAD>
void launch_tile(const Attention& a, Tile tile, cudaStream_t stream) {
    constexpr int LARGE_ROWS = HEAD > 64 ? 4 : 8;
    if (tile == Tile::AUTO) {
        tile = Tile::SMALL;  // it fits, or Python does not call
        for (const Tile other : {Tile::NARROW, Tile::MEDIUM, Tile::LARGE})
            if (cycles_of<HEAD>(a, other) < cycles_of<HEAD>(a, tile)) tile = other;
    }
    if (tile == Tile::SMALL) launch_fast<HEAD, 2, 32>(a, stream);
    else if (tile == Tile::NARROW) launch_fast<HEAD, 4, 32>(a, stream);
    else if (tile == Tile::MEDIUM) launch_fast<HEAD, 4, 64>(a, stream);
    else launch_fast<HEAD, LARGE_ROWS, 64>(a, stream);
}

}  // namespace

void attention_forward_fast(const Attention& a, Tile tile, cudaStream_t stream) {
    const int size = a.size > a.value_size ? a.size : a.value_size;
    if (size <= 32) launch_tile<32>(a, tile, stream);
    else if (size <= 64) launch_tile<64>(a, tile, stream);
    else launch_tile<128>(a, tile, stream);
}

float attention_forward_cycles(const Attention& a, Tile tile) {
    const int size = a.size > a.value_size ? a.size : a.value_size;
    return size <= 32 ? cycles_of<32>(a, tile) : size <= 64 ? cycles_of<64>(a, tile) : cycles_of<128>(a, tile);
}
