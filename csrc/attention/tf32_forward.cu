// Attention, forward, on tensor cores: the fast version of fast_forward.cu with its products by mma.sync (tf32_tiles.h), as exact as float32.
//
// A block owns QUERIES = 16 ROWS WARPS queries of one head, a warp 16 ROWS of them, and goes through the keys in tiles of KEYS:
//     S = Q K^T            a piece has 16 queries and 8 keys; Q is split once and kept in shared memory, K is split where it is read
//     P = 2^(S log2(e) - m)   in the registers where S is, and where the next product takes its operand b from
//     O^T += V^T P^T       transposed, so that no number moves between registers. The tile's own sums are added to O by ordinary additions, which
//                          round: tensor cores cut off, which over all keys would be seen. The rescaling of O needs that instruction anyway
//
// Tiles of keys and values are copied (cp.async) while the tile before them is multiplied: two stages, and one barrier a tile.
//     operations   4 h Tq Tk D, each by three products on tensor cores
//     bytes        4 h D (2 Tq + 2 Tk ceil(Tq / QUERIES)), like the fast version
// Of shared memory a warp reads, for 2 x 16 x KEYS x HEAD ROWS multiply-adds: each key and value once, and Q twice (its two parts).

#include "attention/tf32_tiles.h"

namespace {

template <int HEAD, int ROWS, int KEYS, int WARPS>
struct Block {
    static constexpr int THREADS = 32 * WARPS, QUERIES = 16 * ROWS * WARPS;
    static constexpr int STRIDE = HEAD + 4;
    static constexpr int V = KEYS * STRIDE, STAGE = 2 * V, STAGES = 2, Q = STAGES * STAGE;
    static constexpr int BYTES = (Q + WARPS * KeptRows<HEAD, ROWS, 2>::NUMBERS) * sizeof(float);
    static constexpr int BLOCKS = HEAD > 64 ? 1 : ROWS == 2 ? 2 : 3;  // wanted on an SM: bounds the registers of a thread
    // Cycles of a quarter of an SM for one instruction of tensor cores, with all that comes with it. An H200's times are within 16 % of what
    // they predict (docs/benchmarks/gpu_predictions.md).
    static constexpr float cycles() { return HEAD > 32 ? (ROWS == 2 ? 8.6f : 9.6f) : (ROWS == 2 ? 10.2f : 10.7f); }
};

struct Aligned {
    bool query, key, value, output;
};

template <int HEAD, int ROWS, int KEYS, int WARPS>
__global__ void __launch_bounds__(32 * WARPS, (Block<HEAD, ROWS, KEYS, WARPS>::BLOCKS)) attention_tf32x3(Attention a, Aligned aligned) {
    using B = Block<HEAD, ROWS, KEYS, WARPS>;
    constexpr int COLUMNS = KEYS / 8, PIECES = HEAD / 16;
    float* shared = dynamic_shared<float>();
    const int tiles = ceil_div(a.queries, B::QUERIES), head = blockIdx.x / tiles, i0 = blockIdx.x % tiles * B::QUERIES;
    const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const int i_warp = i0 + warp * 16 * ROWS;  // this lane's queries are i_warp + g, + 8, ...
    const float* q = a.query + size_t(head) * a.queries * a.size;
    const float* k = a.key + size_t(head) * a.keys * a.size;
    const float* v = a.value + size_t(head) * a.keys * a.value_size;

    auto copy = [&](int stage, int j0) {
        float* tile = shared + stage * B::STAGE;
        copy_rows<KEYS, HEAD, B::STRIDE, B::THREADS>(tile, k, j0, a.keys, a.size, aligned.key);
        copy_rows<KEYS, HEAD, B::STRIDE, B::THREADS>(tile + B::V, v, j0, a.keys, a.value_size, aligned.value);
        end_of_copies();
    };
    copy(0, 0);
    KeptRows<HEAD, ROWS, 2> query(shared + B::Q + warp * KeptRows<HEAD, ROWS, 2>::NUMBERS);
    query.load(q, i_warp, a.queries, a.size, aligned.query, a.scale);

    float o[PIECES][2 * ROWS][4] = {};  // of O^T
    float m[ROWS][2], m_log2[ROWS][2], l[ROWS][2];  // m_log2: m log2(e), rounded; l: of this lane's keys only, until the end
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int half = 0; half < 2; half++) m[r][half] = m_log2[r][half] = -INFINITY, l[r][half] = 0;

    const int end = a.causal ? min(a.keys, i0 + B::QUERIES) : a.keys;              // no query of this block looks further,
    const int end_of_warp = a.causal ? min(a.keys, i_warp + 16 * ROWS) : a.keys;  // of this warp;
    const int seen_by_all = a.causal ? min(a.keys, i_warp + 1) : a.keys;          // and all of the warp look so far
    for (int j0 = 0, stage = 0; j0 < end; j0 += KEYS, stage ^= 1) {
        wait_for_copies<0>();
        __syncthreads();  // this tile has arrived for everybody, and nobody needs the one before it any more
        if (j0 + KEYS < end) copy(stage ^ 1, j0 + KEYS);
        if (j0 >= end_of_warp) continue;
        const float *k_tile = shared + stage * B::STAGE, *v_tile = k_tile + B::V;

        float s[COLUMNS][ROWS][4] = {};
        multiply_by_tokens<B::STRIDE>(s, query, k_tile + token_of_column(g) * B::STRIDE + 4 * t);
        if (a.mask != nullptr || j0 + KEYS > seen_by_all) finish_logits_of_pieces<false>(s, a, head, i_warp + g, j0 + t);

        float correction[ROWS][2];
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float m_new = m[r][half];
#pragma unroll
                for (int c = 0; c < COLUMNS; c++) m_new = fmaxf(m_new, fmaxf(s[c][r][2 * half], s[c][r][2 * half + 1]));
                m_new = max_of_row(m_new);
                const float shift = m_new == -INFINITY ? 0 : m_new * LOG2_E;  // -inf - -inf would be NaN
                correction[r][half] = exp2_at_once(m_log2[r][half] - shift);
                m[r][half] = m_new;
                m_log2[r][half] = shift;
                l[r][half] *= correction[r][half];
#pragma unroll
                for (int c = 0; c < COLUMNS; c++)
#pragma unroll
                    for (int e = 2 * half; e < 2 * half + 2; e++) {
                        s[c][r][e] = exp2_at_once(fmaf(s[c][r][e], LOG2_E, -shift));  // p
                        l[r][half] += s[c][r][e];
                    }
            }

        float of_columns[ROWS][2][2];  // the correction, of the queries that are columns of O^T
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int half = 0; half < 2; half++) rows_to_columns(of_columns[r][half], correction[r][half]);
        ColumnOperand<2 * ROWS> p[COLUMNS];
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int e = 0; e < 4; e++) p[c].set(2 * r + e / 2, e % 2, s[c][r][e]);
#pragma unroll
        for (int n = 0; n < PIECES; n += 2) {
            float part[2 * ROWS][2][4] = {};
#pragma unroll
            for (int c = 0; c < COLUMNS; c++) {
                RowOperand<2> values;
                read_transposed<B::STRIDE>(values, v_tile + (8 * c + t) * B::STRIDE + 16 * n + number_of_row(g), 4);
                multiply(part, values, p[c]);
            }
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int c = 0; c < 2 * ROWS; c++)
#pragma unroll
                    for (int e = 0; e < 4; e++) o[n + i][c][e] = fmaf(o[n + i][c][e], of_columns[c / 2][c % 2][e % 2], part[c][i][e]);
        }
    }

#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float sum = sum_of_row(l[r][half]);
            const int first = i_warp + 16 * r + 8 * half;
            // p was 2^(s log2(e) - m_log2): with the rounding of m_log2 taken back, large logits lose nothing
            const float rounding = fmaf(m[r][half], LOG2_E, -m_log2[r][half]);
            if (t == 0 && first + g < a.queries)
                a.lse[size_t(head) * a.queries + first + g] = sum == 0 ? INFINITY : m[r][half] + (logf(sum) - rounding * LN_2);
            float factor[2];
            rows_to_columns(factor, normalizer(sum));
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float* row = a.output + (size_t(head) * a.queries + first + 2 * t + e) * a.value_size;
                const int size = first + 2 * t + e < a.queries ? a.value_size : 0;
#pragma unroll
                for (int n = 0; n < PIECES; n++) {
                    const float(&piece)[4] = o[n][2 * r + half];
                    store2_within(row, n / 2 * 32 + n % 2 * 8 + number_of_row(g), size, aligned.output, factor[e] * piece[e], factor[e] * piece[e + 2]);
                }
            }
        }
}

template <int HEAD, int ROWS, int KEYS, int WARPS>
void launch_tf32x3(const Attention& a, cudaStream_t stream) {
    using B = Block<HEAD, ROWS, KEYS, WARPS>;
    const Aligned aligned = {aligned_rows(a.query, a.size), aligned_rows(a.key, a.size), aligned_rows(a.value, a.value_size),
                             aligned_rows(a.output, a.value_size)};
    const dim3 blocks(a.batch_heads * ceil_div(a.queries, B::QUERIES));
    launch("attention_tf32x3", attention_tf32x3<HEAD, ROWS, KEYS, WARPS>, blocks, dim3(B::THREADS), B::BYTES, stream, a, aligned);
}

// How long it takes, in cycles of an SM, as in fast_forward.cu: blocks in rounds of as many as fit, the last one being half a round at least.
template <int HEAD, int ROWS, int KEYS, int WARPS>
float cycles(const Attention& a) {
    using B = Block<HEAD, ROWS, KEYS, WARPS>;
    constexpr int START = 32;  // keys: what a block's start and end cost
    const Device device = this_device();
    if (B::BYTES > device.shared_bytes) return INFINITY;
    const int resident = std::min(B::BLOCKS, (device.shared_bytes + 1024) / (B::BYTES + 1024));
    const int blocks = ceil_div(1LL * a.batch_heads * ceil_div(a.queries, B::QUERIES), device.processors), rest = blocks % resident;
    const float rounds = float(blocks - rest) + (rest ? std::max(float(rest), float(resident) / 2) : 0);
    const float instructions = 3 * 2.0f * B::QUERIES * HEAD * float(ceil_div(a.keys, KEYS) * KEYS + START) / 1024 / 4;
    return rounds * instructions * B::cycles();
}

// LARGE reads and splits each key and value for 32 queries of a warp where SMALL does it for 16. It makes half as many blocks.
template <int HEAD, int SMALL_KEYS>
void launch_tile(const Attention& a, Tile tile, cudaStream_t stream) {
    const bool large = tile == Tile::LARGE || (tile != Tile::SMALL && cycles<HEAD, 2, 32, 4>(a) < cycles<HEAD, 1, SMALL_KEYS, 4>(a));
    large ? launch_tf32x3<HEAD, 2, 32, 4>(a, stream) : launch_tf32x3<HEAD, 1, SMALL_KEYS, 4>(a, stream);
}

}  // namespace

void attention_forward_tf32x3(const Attention& a, Tile tile, cudaStream_t stream) {
    const int size = a.size > a.value_size ? a.size : a.value_size;
    if (size <= 32) launch_tile<32, 64>(a, tile, stream);
    else if (size <= 64) launch_tile<64, 32>(a, tile, stream);
    else launch_tf32x3<128, 1, 32, 4>(a, stream);
}
