// GroupNorm, with or without Swish, straight from the equations of group_norm.h:
//
//     x_hat = (x - mean) inverse_std      z = x_hat weight + bias      y = z, or z sigmoid(z) with Swish
//     du = dy, or dy s (1 + z (1 - s)) with s = sigmoid(z)             dbias = sum du,  dweight = sum du x_hat
//     dx = inverse_std (du weight - mean(du weight) - x_hat mean(du weight x_hat))
//
// x, y: (N, C, pixels), contiguous. A group of an image is C / groups channels side by side.
//
//     loops         images and groups, then the group's numbers: three passes forward (sum, squares, result), two backward
//     registers     two sums, in double. exp is that of the C library, a number at a time
//     caches        a group comes from memory in the first pass and is in L2, or in L1, for the others
//     bytes         8 for each number forward, 12 backward
//     operations    about 10 for each number forward and 20 backward, and an exp with Swish. group_norm.h does the same on 4 to 16 numbers at once
#pragma once

#include <cmath>

#include "cpu/arguments.h"

namespace native {

inline int64_t of_a_group(const GroupNorm& g) { return g.channels / g.groups * g.pixels; }
inline int64_t channel_of(const GroupNorm& g, int64_t group, int64_t k) { return group * (g.channels / g.groups) + k / g.pixels; }
inline double weight_of(const GroupNorm& g, int64_t c) { return g.weight ? g.weight[c] : 1; }
inline double bias_of(const GroupNorm& g, int64_t c) { return g.bias ? g.bias[c] : 0; }

inline void group_norm_naive(const GroupNorm& g, const float* x, float* y, float* mean, float* inverse_std) {
    const int64_t count = of_a_group(g);
    for (int64_t n = 0; n < g.images; n++)
        for (int64_t group = 0; group < g.groups; group++, x += count, y += count) {
            double sum = 0, squares = 0;
            for (int64_t k = 0; k < count; k++) sum += x[k];
            const double average = sum / double(count);
            for (int64_t k = 0; k < count; k++) squares += (x[k] - average) * (x[k] - average);
            const double factor = 1 / std::sqrt(squares / double(count) + g.eps);
            *mean++ = float(average), *inverse_std++ = float(factor);
            for (int64_t k = 0; k < count; k++) {
                const int64_t c = channel_of(g, group, k);
                const double z = (x[k] - average) * factor * weight_of(g, c) + bias_of(g, c);
                y[k] = float(g.swish ? z / (1 + std::exp(-z)) : z);
            }
        }
}

inline void group_norm_backward_naive(const GroupNorm& g, const float* x, const float* dy, const float* mean, const float* inverse_std, float* dx,
                                      float* dweight, float* dbias) {
    const int64_t count = of_a_group(g);
    for (int64_t c = 0; c < g.channels; c++) dweight[c] = dbias[c] = 0;
    for (int64_t n = 0; n < g.images; n++)
        for (int64_t group = 0; group < g.groups; group++, x += count, dy += count, dx += count, mean++, inverse_std++) {
            const auto x_hat_at = [&](int64_t k) { return (double(x[k]) - *mean) * *inverse_std; };
            const auto du_at = [&](int64_t k) {
                const int64_t c = channel_of(g, group, k);
                const double z = x_hat_at(k) * weight_of(g, c) + bias_of(g, c), s = 1 / (1 + std::exp(-z));
                return g.swish ? dy[k] * s * (1 + z * (1 - s)) : double(dy[k]);
            };
            double sum = 0, sum_x_hat = 0;  // of du weight, and of du weight x_hat
            for (int64_t k = 0; k < count; k++) {
                const int64_t c = channel_of(g, group, k);
                const double du = du_at(k), x_hat = x_hat_at(k);
                dbias[c] += float(du), dweight[c] += float(du * x_hat);
                sum += du * weight_of(g, c), sum_x_hat += du * weight_of(g, c) * x_hat;
            }
            for (int64_t k = 0; k < count; k++) {
                const double du = du_at(k) * weight_of(g, channel_of(g, group, k));
                dx[k] = float(*inverse_std * (du - sum / double(count) - x_hat_at(k) * sum_x_hat / double(count)));
            }
        }
}

}  // namespace native
