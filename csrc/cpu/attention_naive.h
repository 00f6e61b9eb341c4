// Scaled dot-product attention, straight from the equations of attention.h:
//
//     s_j = scale <q_i, k_j>      p_j = exp(s_j - max s) / sum      y_i = sum_j p_j v_j
//     dp_j = <dy_i, v_j>      ds_j = scale p_j (dp_j - sum over j of p dp)      dq_i = sum_j ds_j k_j      dk_j += ds_j q_i      dv_j += p_j dy_i
//
// q (heads, T, d), k (heads, S, d), v (heads, S, e), y (heads, T, e): contiguous, the heads of all images in one row. p (heads, T, S) is
// kept for the backward pass.
//
//     loops         heads, queries, keys, and the numbers of a key or value inside: each query meets one key at a time
//     registers     one dot product, in double
//     caches        a query's scores and the query itself stay in L1. The keys and values of a head, 4 S (d + e) bytes, are read anew for each
//                   query, from L1 or L2. attention.h has four queries and four vectors of keys in registers at a time
//     bytes         each array once from memory, if a head fits into L2
//     operations    2 T S (d + e) forward and twice that backward, for each head, a number at a time
#pragma once

#include <cmath>

#include "cpu/arguments.h"

namespace native {

inline double dot(const float* a, const float* b, int64_t size) {
    double sum = 0;
    for (int64_t d = 0; d < size; d++) sum += double(a[d]) * b[d];
    return sum;
}

inline void attention_naive(const Heads& s, const float* q, const float* k, const float* v, float* y, float* p) {
    for (int64_t head = 0; head < s.images * s.heads; head++, k += s.keys * s.size, v += s.keys * s.value_size)
        for (int64_t i = 0; i < s.queries; i++, q += s.size, y += s.value_size, p += s.keys) {
            double largest = -INFINITY, sum = 0;
            for (int64_t j = 0; j < s.keys; j++) p[j] = float(s.scale * dot(q, k + j * s.size, s.size));
            for (int64_t j = 0; j < s.keys; j++) largest = p[j] > largest ? double(p[j]) : largest;
            for (int64_t j = 0; j < s.keys; j++) sum += std::exp(p[j] - largest);
            for (int64_t j = 0; j < s.keys; j++) p[j] = float(std::exp(p[j] - largest) / sum);
            for (int64_t d = 0; d < s.value_size; d++) {
                double weighted = 0;
                for (int64_t j = 0; j < s.keys; j++) weighted += double(p[j]) * v[j * s.value_size + d];
                y[d] = float(weighted);
            }
        }
}

// dq, dk and dv are zeros at first.
inline void attention_backward_naive(const Heads& s, const float* q, const float* k, const float* v, const float* p, const float* dy, float* dq,
                                     float* dk, float* dv) {
    const int64_t of_keys = s.keys * s.size, of_values = s.keys * s.value_size;
    for (int64_t head = 0; head < s.images * s.heads; head++, k += of_keys, dk += of_keys, v += of_values, dv += of_values)
        for (int64_t i = 0; i < s.queries; i++, q += s.size, dq += s.size, dy += s.value_size, p += s.keys) {
            double sum = 0;
            for (int64_t j = 0; j < s.keys; j++) sum += p[j] * dot(dy, v + j * s.value_size, s.value_size);
            for (int64_t j = 0; j < s.keys; j++) {
                const float ds = float(s.scale * p[j] * (dot(dy, v + j * s.value_size, s.value_size) - sum));
                for (int64_t d = 0; d < s.size; d++) dq[d] += ds * k[j * s.size + d];
                for (int64_t d = 0; d < s.size; d++) dk[j * s.size + d] += ds * q[d];
                for (int64_t d = 0; d < s.value_size; d++) dv[j * s.value_size + d] += p[j] * dy[d];
            }
        }
}

}  // namespace native
