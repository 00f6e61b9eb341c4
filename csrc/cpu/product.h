// C = A B, or C += A B, for small matrices: the product inside attention and the narrow convolutions, where a call of BLAS costs more than
// the multiplication.
//
//     block     4 rows x up to 4 vectors (2 without AVX-512) of C stay in registers while k runs: each vector of B that is loaded is used 4 times
//     A         is read number by number, with any steps, so that its transpose costs nothing
//     B, C      rows of vectors, with any step from row to row
#pragma once

#include "cpu/lanes.h"

namespace VARIANT {

template <int N>
using Count = std::integral_constant<int, N>;

struct Steps {
    int64_t row, column;  // from one row (column) to the next, in numbers
};

// FULL: all lanes of the last vector are there, else `last` of them.
template <int ROWS, int VECTORS, bool ADD, bool FULL>
inline void product_block(const float* a, Steps a_steps, const float* b, int64_t b_row, float* c, int64_t c_row, int64_t k_count,
                          int64_t last) {
    constexpr int WHOLE = FULL ? VECTORS : VECTORS - 1;
    Lanes sum[ROWS][VECTORS] = {};
    for (int64_t k = 0; k < k_count; k++, a += a_steps.column, b += b_row) {
        Lanes of_b[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < WHOLE; v++) of_b[v] = load(b + v * LANES);
        if (!FULL) of_b[WHOLE] = load(b + WHOLE * LANES, last);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) sum[r][v] += a[r * a_steps.row] * of_b[v];
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++, c += c_row) {
#pragma GCC unroll 8
        for (int v = 0; v < WHOLE; v++) store(c + v * LANES, ADD ? load(c + v * LANES) + sum[r][v] : sum[r][v]);
        if (!FULL) store(c + WHOLE * LANES, ADD ? load(c + WHOLE * LANES, last) + sum[r][WHOLE] : sum[r][WHOLE], last);
    }
}

// c (rows, columns) = or += a (rows, k) b (k, columns)
template <bool ADD>
inline void product(const float* a, Steps a_steps, const float* b, int64_t b_row, float* c, int64_t c_row, int64_t rows, int64_t k,
                    int64_t columns) {
    const auto all_rows = [&](auto vectors, auto full, int64_t column, int64_t last) {
        constexpr int V = decltype(vectors)::value;
        constexpr bool FULL = decltype(full)::value;
        int64_t row = 0;
        for (; row + 4 <= rows; row += 4)
            product_block<4, V, ADD, FULL>(a + row * a_steps.row, a_steps, b + column, b_row, c + row * c_row + column, c_row, k, last);
        for (; row < rows; row++)
            product_block<1, V, ADD, FULL>(a + row * a_steps.row, a_steps, b + column, b_row, c + row * c_row + column, c_row, k, last);
    };
    constexpr int MOST = LANES == 16 ? 4 : 2;  // vectors: AVX-512 has 32 registers, the others 16
    int64_t column = 0;
    for (; column + MOST * LANES <= columns; column += MOST * LANES) all_rows(Count<MOST>{}, std::true_type{}, column, LANES);
    for (; column + LANES <= columns; column += LANES) all_rows(Count<1>{}, std::true_type{}, column, LANES);
    if (column < columns) all_rows(Count<1>{}, std::false_type{}, column, columns - column);
}

}  // namespace VARIANT
