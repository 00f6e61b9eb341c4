// 2-D convolution, fast versions: the weight gradient,
//
//     dweight[o,(c,u,v)] = sum_{n,i,j} dy[n,o,i,j] * x[n,c,h,w]            h = i * stride + u * dilation - padding, w likewise
//
// as a matrix product over k = (n,i,j), with the results of a block in registers (tile.h). The result is small and the sum is long, so the
// sum is what must be shared among the blocks: each split writes the sums of its own pixels, which are then added in a fixed order.
// (atomicAdd would save the second step, but gives other rounding errors in every run.)
//
// The bias gradient, dbias[o] = sum_{n,i,j} dy[n,o,i,j], needs dy only, and dy is in shared memory: the blocks of the first (c,u,v) add
// it up on the way. So no kernel of its own reads dy again. dbias follows dweight in memory, in each of the parts, too.
//
//     block     owns Tile::M output channels x Tile::N of the (c,u,v); blockIdx = ((c,u,v), o, (group, split))
//     thread    copies for fixed o and fixed (c,u,v); its k goes through the pixels, DEPTH at a time. Pixels of dy lie side by side:
//               4 are copied at once, where a plane is a multiple of 4 and the tile keeps k side by side, too
//     dbias     thread m of the first Tile::M adds up row m of dy, a slab at a time: DEPTH reads from shared memory and as many additions
//     bytes     a block reads (Tile::M + Tile::N) numbers for each of its pixels, for Tile::M Tile::N multiply-adds
#pragma once

#include "conv2d/correlate.h"
#include "common/divider.h"

struct WeightGradient {
    Conv conv;
    LoopDivider by_plane, by_J;  // I * J, J
    int minus_plane, minus_J;    // with these a remainder is one multiply-add
    int splits;
    bool quads;  // dy: 4 pixels in a row may be read at once
    bool bias;   // dbias is wanted, too

    __host__ __device__ int size() const { return conv.O * (conv.group_C() * conv.U * conv.V + (bias ? 1 : 0)); }  // of the results
};

// Where each output row (column) starts in the image, and as bits, which kernel rows (columns) then fall outside of it.
__device__ inline void write_starts(const Conv& conv, int2* row_of, int2* column_of) {
    for (int i = threadIdx.x; i < conv.I; i += blockDim.x) {
        unsigned outside = 0;
        for (int u = 0; u < conv.U; u++) outside |= unsigned(unsigned(conv.h(i, u)) >= unsigned(conv.H)) << u;
        row_of[i] = make_int2(conv.h(i, 0) * conv.W, int(outside));
    }
    for (int j = threadIdx.x; j < conv.J; j += blockDim.x) {
        unsigned outside = 0;
        for (int v = 0; v < conv.V; v++) outside |= unsigned(unsigned(conv.w(j, v)) >= unsigned(conv.W)) << (16 + v);
        column_of[j] = make_int2(conv.w(j, 0), int(outside) | int(NEVER));
    }
}

// A tile whose first threads also add up the rows of a on the way, one each.
template <class Tile>
struct TileWithRowSums {
    static constexpr int PORTIONS = Tile::PORTIONS;
    using SlabA = typename Tile::SlabA;
    using SlabB = typename Tile::SlabB;
    Tile& tile;
    float row_sum = 0;

    __device__ explicit TileWithRowSums(Tile& tile) : tile(tile) {}
    template <class Start>
    __device__ void multiply_add(const SlabA& a, const SlabB& b, Start start_copies) {
        tile.multiply_add(a, b, start_copies);
        if (int(threadIdx.x) < Tile::M) row_sum += sum_over_k(a, threadIdx.x);
    }
};

// COUNT places of a thread in an array; in every slab it adds the same number to all of them. With pointers that is one instruction for an
// address, and two registers; else two instructions, and one register.
template <int COUNT, bool POINTERS>
struct Addresses {
    const float *base, *at[COUNT];
    int offset[COUNT];  // what is not used takes no register

    __device__ explicit Addresses(const float* base) : base(as_one_address(base)) {}
    __device__ void set(int e, int number) {
        offset[e] = number;
        if (POINTERS) at[e] = as_one_address(base + number);
    }
    __device__ const float* plus(int e, int number) const { return POINTERS ? at[e] + number : base + (offset[e] + number); }
};

template <class Tile>
__global__ void __launch_bounds__(Tile::THREADS, Tile::RESIDENT)
    weight_gradient(const __grid_constant__ WeightGradient g, const float* dy, const float* x, float* results) {
    constexpr int M = Tile::M, N = Tile::N, DEPTH = Tile::DEPTH, STEP = Tile::THREADS / DEPTH;
    constexpr int M_COUNT = M / STEP, N_COUNT = N / STEP;  // how many m and n a thread copies for its k
    constexpr int QUADS = M * DEPTH / 4 / Tile::THREADS, QUAD_STEP = Tile::THREADS * 4 / DEPTH;  // of dy: 4 k, every QUAD_STEP-th m
    static_assert(Tile::THREADS >= M, "a thread for each row");
    constexpr bool ROOM = 65536 / (Tile::THREADS * Tile::RESIDENT) - M * N / Tile::THREADS > 64;  // registers that the sums leave a thread
    __shared__ __align__(16) Stage<Tile> stages[STAGES];

    const Conv& conv = g.conv;
    const int split = blockIdx.z % g.splits, group = blockIdx.z / g.splits;
    const int first_m = blockIdx.y * M, first_n = blockIdx.x * N, plane = conv.I * conv.J, kernel = conv.U * conv.V;
    const int K = conv.N * plane, all_slabs = ceil_div(K, DEPTH), all_n = conv.group_C() * kernel;
    const int first_slab = int(1LL * all_slabs * split / g.splits), slab_count = int(1LL * all_slabs * (split + 1) / g.splits) - first_slab;

    int2* row_of = &kept_in_shared(*dynamic_shared<int2>());
    int2* column_of = &kept_in_shared(row_of[conv.I]);
    write_starts(conv, row_of, column_of);

    // This thread's (c,u,v): where they are for a pixel that starts at 0, and the bits they need.
    const int slab_k = kept(threadIdx.x % DEPTH), slab_m = kept(threadIdx.x / DEPTH);  // and every STEP-th m (n) after it
    Addresses<N_COUNT, ROOM> taps(x + group * conv.group_C() * conv.H * conv.W);
    unsigned tap_bits[N_COUNT];
#pragma unroll
    for (int e = 0; e < N_COUNT; e++) {
        const int cuv = first_n + slab_m + e * STEP, channel = cuv / kernel, row = cuv % kernel / conv.V, column = cuv % conv.V;
        taps.set(e, (channel * conv.H + row * conv.dilation_h) * conv.W + column * conv.dilation_w);
        tap_bits[e] = cuv < all_n ? 1u << row | 1u << (16 + column) : NEVER;
    }

    // Its rows of dy. Those behind the last one are the last: nobody stores what becomes of them. Tiles that copy quads come here only for
    // planes that are no multiple of 4, and have no registers for this: they find each row anew, and copy none behind the last.
    dy += (group * conv.group_O() + first_m) * plane;
    const int m_left = conv.group_O() - first_m, rows_left = kept(m_left - slab_m);
    constexpr bool CLAMPED = !Tile::QUADS_OF_K || (ROOM && M_COUNT <= 4);
    Addresses<M_COUNT, ROOM && M_COUNT <= 4> rows(CLAMPED ? dy : dy + slab_m * plane);
#pragma unroll
    for (int e = 0; e < M_COUNT; e++) rows.set(e, min(slab_m + e * STEP, m_left - 1) * plane);
    const int dy_image = kept((conv.O - 1) * plane), x_image = kept(conv.C * conv.H * conv.W);

    const int first_k = kept(first_slab * DEPTH + slab_k);
    const int a_place = kept(Tile::SlabA::place(slab_k, slab_m)), b_place = kept(Tile::SlabB::place(slab_k, slab_m));  // in a slab

    auto copy_dy = [&](int slab, int n_of_k, typename Tile::SlabA& a) {
        if constexpr (Tile::QUADS_OF_K)
            if (g.quads) {
                const int k = threadIdx.x * 4 % DEPTH, m = threadIdx.x * 4 / DEPTH, pixel = (first_slab + slab) * DEPTH + k;
                const int n = g.by_plane.divide(pixel);
                const float* at = as_one_address(dy + n * dy_image + pixel);  // pixel = n * plane + ij
#pragma unroll
                for (int e = 0; e < QUADS; e++) {
                    const int m_e = m + e * QUAD_STEP;
                    copy_quad_async(&a.at(k, m_e), at + m_e * plane, pixel < K && m_e < m_left);
                }
                return;
            }
        const int pixel = slab * DEPTH + first_k, offset = n_of_k * dy_image + pixel;
#pragma unroll
        for (int e = 0; e < M_COUNT; e++)
            copy_async(a.from(a_place, 0, e * STEP), CLAMPED ? rows.plus(e, offset) : rows.base + offset + e * STEP * plane,
                       pixel < K && (CLAMPED || e * STEP < rows_left));
    };
    auto copy = [&](int slab, Stage<Tile>& to, bool wanted) {
        const int k = slab * DEPTH + first_k;
        const int n = g.by_plane.divide(k), ij = k + n * g.minus_plane, i = g.by_J.divide(ij), j = ij + i * g.minus_J;
        const int2 row = row_of[i], column = column_of[j];
        const int x_offset = n * x_image + row.x + column.x;
        const unsigned outside = k < K ? unsigned(row.y | column.y) : ~0u;
        return [&, slab, n, wanted, x_offset, outside](int portion) {
            if (!wanted) return;
            if (portion == 0) copy_dy(slab, n, to.a);
#pragma unroll
            for (int e = 0; e < N_COUNT; e++)
                if (in_portion(e, N_COUNT, portion, Tile::PORTIONS))
                    copy_async(to.b.from(b_place, 0, e * STEP), taps.plus(e, x_offset), (outside & tap_bits[e]) == 0);
        };
    };

    __syncthreads();  // the tables are complete
    Tile tile;
    results += 1LL * split * g.size();
    if (g.bias && blockIdx.x == 0) {  // a loop of its own, so that the other blocks have none of this in theirs
        TileWithRowSums<Tile> with_sums(tile);
        multiply_slabs(with_sums, stages, slab_count, copy);
        const int m = threadIdx.x;
        if (m < M && m < m_left) results[conv.O * all_n + group * conv.group_O() + first_m + m] = with_sums.row_sum;
    } else {
        multiply_slabs(tile, stages, slab_count, copy);
    }

    float* dweight = results + group * conv.group_O() * all_n;
    tile.for_each_quad([&](int m, int n, float4 sum) {
        m += first_m;
        n += first_n;
        if (m >= conv.group_O()) return;
        float* row = dweight + m * all_n;
        if (n < all_n) row[n] = sum.x;
        if (n + 1 < all_n) row[n + 1] = sum.y;
        if (n + 2 < all_n) row[n + 2] = sum.z;
        if (n + 3 < all_n) row[n + 3] = sum.w;
    });
}

template <class Tile>
void launch_weight_gradient(const char* name, const Conv& conv, const float* dy, const float* x, const Gradients& to, const Plan& plan,
                            cudaStream_t stream) {
    const int plane = conv.I * conv.J;
    const WeightGradient g{conv, LoopDivider(unsigned(plane)), LoopDivider(unsigned(conv.J)), -plane, -conv.J, plan.splits,
                           plane % 4 == 0 && aligned(dy), to.bias};
    const dim3 grid(ceil_div(conv.group_C() * conv.U * conv.V, Tile::N), ceil_div(conv.group_O(), Tile::M), conv.groups * plan.splits);
    launch(name, weight_gradient<Tile>, grid, Tile::THREADS, sizeof(int2) * (conv.I + conv.J), stream, g, dy, x,
           plan.splits == 1 ? to.dweight : plan.parts);
    if (plan.splits > 1) sum_parts(name, plan.parts, plan.splits, g.size(), nullptr, 1, 1, to.dweight, stream);
}
