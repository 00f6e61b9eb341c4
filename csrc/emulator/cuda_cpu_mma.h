// nvcuda::wmma for the emulator: TF32 products of 16 x 8 and 8 x 16 matrices, the one shape there is for this type.
// NVIDIA leaves open which lane holds which element of a fragment; here element e of lane l is number 32 e + l, counted by rows.
#pragma once

#include "emulator/cuda_cpu.h"

namespace nvcuda::wmma {

namespace precision {
struct tf32;
}
struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };

// ROWS x COLUMNS numbers, spread over the lanes of a warp.
template <int ROWS, int COLUMNS>
struct Spread {
    static constexpr int num_elements = ROWS * COLUMNS / warpSize;
    float x[num_elements];

    static UNCHECKED int row(int e) { return (warpSize * e + cuda_cpu::lane()) / COLUMNS; }
    static UNCHECKED int column(int e) { return (warpSize * e + cuda_cpu::lane()) % COLUMNS; }
};

template <class Use, int M, int N, int K, class T, class Layout = void>
struct fragment;
template <class Layout>
struct fragment<matrix_a, 16, 16, 8, precision::tf32, Layout> : Spread<16, 8> {};
template <class Layout>
struct fragment<matrix_b, 16, 16, 8, precision::tf32, Layout> : Spread<8, 16> {};
template <>
struct fragment<accumulator, 16, 16, 8, float> : Spread<16, 16> {};

template <class Use, int M, int N, int K, class T, class Layout>
UNCHECKED void fill_fragment(fragment<Use, M, N, K, T, Layout>& f, float value) {
    for (float& x : f.x) x = value;
}

template <class Use, class Layout>
ALWAYS_INLINE void load_matrix_sync(fragment<Use, 16, 16, 8, precision::tf32, Layout>& f, const float* from, unsigned stride,
                                    int line = __builtin_LINE()) {
    cuda_cpu::meet_at_matrix(from, stride, line);
    constexpr bool by_rows = std::is_same_v<Layout, row_major>;
    for (int e = 0; e < f.num_elements; e++) f.x[e] = from[by_rows ? f.row(e) * stride + f.column(e) : f.column(e) * stride + f.row(e)];
}

ALWAYS_INLINE void store_matrix_sync(float* to, const fragment<accumulator, 16, 16, 8, float>& f, unsigned stride, layout_t layout,
                                     int line = __builtin_LINE()) {
    cuda_cpu::meet_at_matrix(to, stride, line);
    for (int e = 0; e < f.num_elements; e++)
        to[layout == mem_row_major ? f.row(e) * stride + f.column(e) : f.column(e) * stride + f.row(e)] = f.x[e];
}

UNCHECKED inline float with_mantissa_cut(float value) {  // TF32 keeps 10 bits of it
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits &= ~uint32_t(0x1fff);
    std::memcpy(&value, &bits, 4);
    return value;
}

UNCHECKED inline float __float_to_tf32(float value) {  // rounds to nearest, ties away from zero
    if (!std::isfinite(value)) return value;
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits += 0x1000;
    std::memcpy(&value, &bits, 4);
    return with_mantissa_cut(value);
}

template <class LayoutA, class LayoutB>
UNCHECKED void mma_sync(fragment<accumulator, 16, 16, 8, float>& d, const fragment<matrix_a, 16, 16, 8, precision::tf32, LayoutA>& a,
                        const fragment<matrix_b, 16, 16, 8, precision::tf32, LayoutB>& b,
                        const fragment<accumulator, 16, 16, 8, float>& c, int line = __builtin_LINE()) {
    struct Both {
        float a[4], b[4];
    } mine;
    for (int e = 0; e < 4; e++) mine.a[e] = with_mantissa_cut(a.x[e]), mine.b[e] = with_mantissa_cut(b.x[e]);
    const Both* all = static_cast<const Both*>(cuda_cpu::exchange(0xffffffff, &mine, sizeof mine, line));
    cuda_cpu::count_multiply_adds(d.num_elements * 8);
    for (int e = 0; e < d.num_elements; e++) {
        float sum = c.x[e];
        for (int k = 0; k < 8; k++) {
            const int in_a = d.row(e) * 8 + k, in_b = k * 16 + d.column(e);
            sum += all[in_a % warpSize].a[in_a / warpSize] * all[in_b % warpSize].b[in_b / warpSize];
        }
        d.x[e] = sum;
    }
}

}  // namespace nvcuda::wmma
