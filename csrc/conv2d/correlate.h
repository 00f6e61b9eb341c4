// 2-D convolution, fast versions: the kernel that both the forward pass and the input gradient are,
//
//     result[n,m,pixel] = sum_{c,tap} weight[m,c,tap] * source[n, c, where the tap falls for this pixel]
//
// as a matrix product over k = (c, tap), like tiled.cu, with the results of a block in registers (tile.h).
//
// Forward: a result in row i reads source row i * stride + u * dilation - padding, for each kernel row u.
// Input gradient: a result in row h reads source row (h + padding - u * dilation) / stride, for the kernel rows u that make it whole. Which
// rows do depends on h % stride only; so the results are cut into stride_h * stride_w classes, and for those of one class, the rows
// h = first + stride * r, the gradient reads row r + shift(u): a convolution of stride 1 with the kernel elements that belong to the class.
// No zero is multiplied.
//
//     block     owns Tile::M channels x Tile::N pixels (of one class) of the result; blockIdx = (pixels, channels, (group, class, split))
//     warp      copies 32 pixels side by side of one k at a time; a table in shared memory says for each k what to add to a pixel's
//               address, and which of the pixel's taps must lie inside the image
//     thread    copies for the same N / 32 pixels in every slab
//     split     owns a part of the k, where whole sums would make too few blocks for the GPU: its sums go to `parts`, to be added up
//     bytes     a block reads (Tile::M + Tile::N) K numbers for Tile::M Tile::N K multiply-adds
#pragma once

#include "conv2d/conv2d.h"
#include "common/divider.h"
#include "common/tile.h"

constexpr int MAX_TAPS = 15;             // kernel rows (columns): they are bits 0 to 14 (16 to 30) of a mask
constexpr int MAX_STRIDE = 4;
constexpr unsigned NEVER = 1u << 15;     // a bit that no pixel has
constexpr size_t MAX_TABLE = 36 * 1024;  // bytes: with the slabs it must fit into the 64 KB of the smallest GPU

struct Axis {  // rows, or columns, of one class of results
    int first, outputs;     // number r of the `outputs` results is at first + step * r
    int taps;               // how many kernel rows reach them
    short tap[MAX_TAPS];    // which
    short shift[MAX_TAPS];  // number r reads source row r * source_step + shift
    Divider by_outputs;
};

struct Correlation {
    int N, groups, M, C;                           // images; result channels and source channels of a group
    int result_h, result_w, source_h, source_w;
    int step_h, step_w;                            // of the results of a class: the classes are step_h * step_w
    int source_step_h, source_step_w;
    int weight_m, weight_c, weight_group, V;       // weight[group * weight_group + m * weight_m + c * weight_c + u * V + v]
    int splits;
    bool quads;                                    // 4 pixels in a row may be written at once
    bool weight_quads;                             // the weight's 4 k in a row are side by side and may be read at once
    Axis rows[MAX_STRIDE], columns[MAX_STRIDE];
};

struct Place {
    int n, row, column;
};

// The tile's sums to their places, with the bias unless the sums are parts.    address(m, pixel): where a result belongs
template <class Tile, class Address>
__device__ void write_results(const Tile& tile, const Correlation& c, int first_m, int first_pixel, int pixels, const float* bias,
                              Address address) {
    tile.for_each_quad([&](int m, int n, float4 sum) {
        m += first_m;
        const int pixel = first_pixel + n;
        if (m >= c.M || pixel >= pixels) return;
        const float b = bias && c.splits == 1 ? bias[m] : 0;
        sum = make_float4(sum.x + b, sum.y + b, sum.z + b, sum.w + b);
        if (c.quads) {
            *reinterpret_cast<float4*>(address(m, pixel)) = sum;
            return;
        }
        *address(m, pixel) = sum.x;
        if (pixel + 1 < pixels) *address(m, pixel + 1) = sum.y;
        if (pixel + 2 < pixels) *address(m, pixel + 2) = sum.z;
        if (pixel + 3 < pixels) *address(m, pixel + 3) = sum.w;
    });
}

template <class Tile>
__global__ void __launch_bounds__(Tile::THREADS, Tile::RESIDENT)
    correlate(const __grid_constant__ Correlation c, const float* source, const float* weight, const float* bias, float* result) {
    constexpr int M = Tile::M, N = Tile::N, DEPTH = Tile::DEPTH, THREADS = Tile::THREADS;
    constexpr int PIXELS = N / 32;                                   // of the source slab, per thread ...
    constexpr int K_STEP = THREADS / 32, K_COUNT = DEPTH / K_STEP;   // ... at every K_STEP-th k
    constexpr int WEIGHTS = M * DEPTH / THREADS, M_STEP = THREADS / DEPTH;  // of the weight slab: one k, every M_STEP-th m
    constexpr int QUADS = M * DEPTH / 4 / THREADS, QUAD_STEP = THREADS * 4 / DEPTH;  // or 4 k, every QUAD_STEP-th m
    static_assert(K_COUNT * K_STEP == DEPTH, "each warp copies as many k");
    __shared__ __align__(16) Stage<Tile> stages[STAGES];

    const int split = blockIdx.z % c.splits, classes = c.step_h * c.step_w;
    const int number = blockIdx.z / c.splits % classes, group = blockIdx.z / c.splits / classes;
    const Axis& rows = c.rows[number / c.step_w];
    const Axis& columns = c.columns[number % c.step_w];
    const int pixels = c.N * rows.outputs * columns.outputs;
    const int first_pixel = blockIdx.x * N, first_m = blockIdx.y * M;
    if (first_pixel >= pixels) return;  // the whole block: another class has more pixels

    // The table of this block's k.
    const int taps = rows.taps * columns.taps, K = c.C * taps, all_slabs = ceil_div(K, DEPTH);
    const int first_slab = int(1LL * all_slabs * split / c.splits), slab_count = int(1LL * all_slabs * (split + 1) / c.splits) - first_slab;
    int2* source_tap = dynamic_shared<int2>();  // what to add to the pixel's offset, what the pixel's mask must contain
    const int slots = slab_count * DEPTH;
    int* weight_tap = reinterpret_cast<int*>(source_tap + slots);
    for (int slot = threadIdx.x; slot < slots; slot += THREADS) {
        const int k = first_slab * DEPTH + slot, channel = taps ? k / taps : 0, uv = k - channel * taps;
        const int u = taps ? uv / columns.taps : 0, v = taps ? uv - u * columns.taps : 0;  // no taps: nothing reaches this class
        const bool padding = k >= K;
        source_tap[slot].x = (channel * c.source_h + rows.shift[u]) * c.source_w + columns.shift[v];
        source_tap[slot].y = padding ? NEVER : 1u << u | 1u << (16 + v);
        weight_tap[slot] = padding ? -1 : channel * c.weight_c + rows.tap[u] * c.V + columns.tap[v];
    }

    auto place_of = [&](int pixel) {  // (image, row, column), among the results of the class
        const int line = columns.by_outputs.divide(pixel), n = rows.by_outputs.divide(line);
        return Place{n, line - n * rows.outputs, pixel - line * columns.outputs};
    };

    // This thread's pixels.
    const int lane = kept(threadIdx.x % 32), slab_k = kept(threadIdx.x / 32);
    const float* pixel_at[PIXELS];  // its place in the source; one addition per copy leads from there to a tap
    unsigned outside[PIXELS];       // bits of the kernel rows and columns that fall outside of the image
    source += group * c.C * c.source_h * c.source_w;
#pragma unroll
    for (int e = 0; e < PIXELS; e++) {
        const int pixel = first_pixel + lane + e * 32;
        const Place at = place_of(pixel);
        const int h = at.row * c.source_step_h, w = at.column * c.source_step_w;
        pixel_at[e] = as_one_address(source + (at.n * c.groups * c.C * c.source_h + h) * c.source_w + w);
        unsigned inside = 0;
        for (int t = 0; t < rows.taps; t++) inside |= unsigned(unsigned(h + rows.shift[t]) < unsigned(c.source_h)) << t;
        for (int t = 0; t < columns.taps; t++) inside |= unsigned(unsigned(w + columns.shift[t]) < unsigned(c.source_w)) << (16 + t);
        outside[e] = pixel < pixels ? ~inside : ~0u;
    }
    weight += group * c.weight_group + first_m * c.weight_m;
    const int m_left = c.M - first_m;

    // This thread's weights, if they are copied one by one.
    const int weight_k = kept(threadIdx.x % DEPTH), weight_m = kept(threadIdx.x / DEPTH);
    const int weights_left = kept(m_left - weight_m);
    constexpr int POINTERS = WEIGHTS < 8 ? WEIGHTS : 8;  // more would take too many registers
    const float* weight_at[POINTERS];  // where all rows have one, those behind the last are the last: nobody stores what becomes of them
#pragma unroll
    for (int e = 0; e < POINTERS; e++) {
        const int m = weight_m + e * M_STEP;
        weight_at[e] = as_one_address(weight + (POINTERS == WEIGHTS ? min(m, m_left - 1) : m) * c.weight_m);
    }

    // Where this thread's numbers are, in a slab, and its k in the table.
    const int a_place = kept(Tile::SlabA::place(weight_k, weight_m)), b_place = kept(Tile::SlabB::place(slab_k, lane));
    const int2* const source_tap_of_k = Tile::QUADS_OF_K ? source_tap + slab_k : &kept_in_shared(source_tap[slab_k]);
    const int* const weight_tap_of_k = Tile::QUADS_OF_K ? weight_tap + weight_k : &kept_in_shared(weight_tap[weight_k]);

    auto copy_weights = [&](int slab, typename Tile::SlabA& a) {
        if constexpr (Tile::QUADS_OF_K)
            if (c.weight_quads) {
                const int k = threadIdx.x * 4 % DEPTH, m = threadIdx.x * 4 / DEPTH, tap = weight_tap[slab * DEPTH + k];
                const float* tap_at = as_one_address(weight + tap);
#pragma unroll
                for (int e = 0; e < QUADS; e++) {
                    const int m_e = m + e * QUAD_STEP;
                    copy_quad_async(&a.at(k, m_e), tap_at + m_e * c.weight_m, tap >= 0 && m_e < m_left);
                }
                return;
            }
        const int tap = weight_tap_of_k[slab * DEPTH];
#pragma unroll
        for (int e = 0; e < WEIGHTS; e++)
            copy_async(a.from(a_place, 0, e * M_STEP), weight_at[e % POINTERS] + tap + e / POINTERS * POINTERS * M_STEP * c.weight_m,
                       tap >= 0 && (POINTERS == WEIGHTS || e * M_STEP < weights_left));
    };
    auto copy_slab = [&](int slab, Stage<Tile>& to) {
        int2 tap[K_COUNT];  // all of them first, so that the copies follow each other
#pragma unroll
        for (int s = 0; s < K_COUNT; s++) tap[s] = source_tap_of_k[slab * DEPTH + s * K_STEP];
        copy_weights(slab, to.a);
#pragma unroll
        for (int s = 0; s < K_COUNT; s++)
#pragma unroll
            for (int e = 0; e < PIXELS; e++)
                copy_async(to.b.from(b_place, s * K_STEP, e * 32), pixel_at[e] + tap[s].x,
                           (outside[e] & unsigned(tap[s].y)) == 0);
    };
    auto copy = [&](int slab, Stage<Tile>& to, bool wanted) {  // all in one portion: taps that wait for theirs would take registers
        return [&, slab, wanted](int portion) {
            if (portion == 0 && wanted) copy_slab(slab, to);
        };
    };

    __syncthreads();  // the table is complete
    Tile tile;
    multiply_slabs(tile, stages, slab_count, copy);

    const int plane = c.result_h * c.result_w;
    result += 1LL * split * c.N * c.groups * c.M * plane;
    auto address = [&](int m, int pixel) {
        const Place at = place_of(pixel);
        const int h = rows.first + c.step_h * at.row, w = columns.first + c.step_w * at.column;
        return result + (at.n * c.groups * c.M + group * c.M + m) * plane + h * c.result_w + w;
    };
    write_results(tile, c, first_m, first_pixel, pixels, bias ? bias + group * c.M : nullptr, address);
}

Correlation forward_correlation(const Conv&, int splits, const float* weight, const float* result);
Correlation input_gradient_correlation(const Conv&, int splits, const float* result);
bool aligned(const float* pointer);  // to 16 bytes
void sum_parts(const char* name, const float* parts, int count, int size, const float* bias, int channels, int plane, float* result,
               cudaStream_t);

template <class Tile>
void launch_correlation(const char* name, const Correlation& c, const float* source, const float* weight, const float* bias, float* result,
                        const Plan& plan, cudaStream_t stream) {
    int pixels = 0, taps = 0;  // of the largest classes
    for (int a = 0; a < c.step_h; a++)
        for (int b = 0; b < c.step_w; b++) {
            pixels = std::max(pixels, c.N * c.rows[a].outputs * c.columns[b].outputs);
            taps = std::max(taps, c.rows[a].taps * c.columns[b].taps);
        }
    const int slabs = ceil_div(ceil_div(1LL * c.C * taps, Tile::DEPTH), c.splits);
    const size_t table = (sizeof(int2) + sizeof(int)) * Tile::DEPTH * slabs;
    if (table > MAX_TABLE) throw std::runtime_error(std::string(name) + ": too few splits for so many channels x kernel elements");
    const dim3 grid(ceil_div(pixels, Tile::N), ceil_div(c.M, Tile::M), c.groups * c.step_h * c.step_w * c.splits);
    float* target = c.splits == 1 ? result : plan.parts;
    launch(name, correlate<Tile>, grid, Tile::THREADS, table, stream, c, source, weight, bias, target);
    if (c.splits > 1) {
        const int plane = c.result_h * c.result_w, channels = c.groups * c.M;
        sum_parts(name, plan.parts, c.splits, c.N * channels * plane, bias, channels, plane, result, stream);
    }
}
