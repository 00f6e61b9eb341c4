// Convolutions with few channels on one side, stride 1, on one thread: the first and the last of a U-Net.
//
//     y[n, i, j, o] = bias[o] + sum over u, v, c of x[n, i + u, j + v, c] weight[u, v, c, o]         x is padded already
//
// A product of matrices does them badly: with one channel in, its columns are nine numbers long, and with one channel out it has one column.
//
//     few in    for a fixed kernel row u the numbers that a pixel meets lie side by side, V C of them, and the next pixel's begin C numbers
//               later. So a row of pixels is a product (J, V C) x (V C, O) whose first matrix overlaps itself: no columns are copied
//     few out   the same run of V C numbers times a row of weights, summed up across the lanes at the end
//     gradient  of the weights: the first matrix transposed, (V C, J) x (J, O), added up over rows and images
//     bytes     x and y once; the weights stay in L1
#pragma once

#include "cpu/arguments.h"
#include "cpu/product.h"

namespace VARIANT {

using native::Narrow;

inline const float* pixel_at(const Narrow& c, const float* x, int64_t n, int64_t row) {
    return x + (n * (c.height + c.rows - 1) + row) * (c.width + c.columns - 1) * c.in;
}

// y (N, height, width, out) of x (N, height + rows - 1, width + columns - 1, in), weight (rows, columns, in, out), bias (out,) or null
inline void few_channels_in(const Narrow& c, const float* x, const float* weight, const float* bias, float* y) {
    const int64_t run = c.columns * c.in;
    for (int64_t n = 0; n < c.images; n++)
        for (int64_t i = 0; i < c.height; i++, y += c.width * c.out) {
            for (int64_t u = 0; u < c.rows; u++) {
                const float *from = pixel_at(c, x, n, i + u), *w = weight + u * run * c.out;
                u == 0 ? product<false>(from, {c.in, 1}, w, c.out, y, c.out, c.width, run, c.out)
                       : product<true>(from, {c.in, 1}, w, c.out, y, c.out, c.width, run, c.out);
            }
            if (bias)
                for (int64_t j = 0; j < c.width; j++)
                    for (int64_t o = 0; o < c.out; o++) y[j * c.out + o] += bias[o];
        }
}

// As above; weight here is (out, rows, columns, in).
inline void few_channels_out(const Narrow& c, const float* x, const float* weight, const float* bias, float* y) {
    const int64_t run = c.columns * c.in, whole = run / LANES * LANES;
    for (int64_t n = 0; n < c.images; n++)
        for (int64_t i = 0; i < c.height; i++)
            for (int64_t j = 0; j < c.width; j++)
                for (int64_t o = 0; o < c.out; o++) {
                    Lanes sums{};
                    for (int64_t u = 0; u < c.rows; u++) {
                        const float *from = pixel_at(c, x, n, i + u) + j * c.in, *w = weight + (o * c.rows + u) * run;
                        for (int64_t k = 0; k < whole; k += LANES) sums += load(from + k) * load(w + k);
                        if (whole < run) sums += load(from + whole, run - whole) * load(w + whole, run - whole);
                    }
                    *y++ = sum_of(sums) + (bias ? bias[o] : 0);
                }
}

// dweight (rows, columns, in, out), of dy (N, height, width, out)
inline void few_channels_in_gradient(const Narrow& c, const float* x, const float* dy, float* dweight) {
    const int64_t run = c.columns * c.in;
    for (int64_t k = 0; k < c.rows * run * c.out; k++) dweight[k] = 0;
    for (int64_t n = 0; n < c.images; n++)
        for (int64_t i = 0; i < c.height; i++, dy += c.width * c.out)
            for (int64_t u = 0; u < c.rows; u++)
                product<true>(pixel_at(c, x, n, i + u), {1, c.in}, dy, c.out, dweight + u * run * c.out, c.out, run, c.width, c.out);
}

}  // namespace VARIANT
