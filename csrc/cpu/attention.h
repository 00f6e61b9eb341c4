// Scaled dot-product attention for short sequences, on one thread, one head after another:
//
//     scores = scale * Q K^T        p = softmax(scores)        y = p V
//     dV = p^T dy      dp = dy V^T      dscores = p (dp - sum over keys of p dp)      dQ = scale * dscores K      dK = scale * dscores^T Q
//
// What NumPy does in nine passes over all (heads, T, S) scores is done here while those of one head are in L1 or L2.
//
//     Q (T, d), K (S, d), V (S, e), y (T, e): rows of a head are `step` numbers apart, as they lie in the output of a linear layer
//     p         kept for the backward pass, (images, heads, T, padded S): S rounded up to whole vectors, with p = 0 behind the last key
//     caches    K^T or V^T of a head (copied, for `product` wants rows of vectors) and a head's scores: 4 S (d + T) bytes
//     bytes     each of Q, K, V, y, p once forward; with their gradients once backward
#pragma once

#include "cpu/arguments.h"
#include "cpu/product.h"

namespace VARIANT {

using native::Heads;
using native::Matrix;

inline int64_t padded_keys(const Heads& s) { return (s.keys + LANES - 1) / LANES * LANES; }
inline float* at(Matrix m, int64_t image, int64_t head) { return m.data + image * m.image + head * m.head; }

// (rows, columns) -> (columns, padded rows), with zeros behind the last row
inline void transpose(const float* from, int64_t row, int64_t rows, int64_t columns, float* to, int64_t padded) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) to[c * padded + r] = from[r * row + c];
    for (int64_t c = 0; c < columns; c++)
        for (int64_t r = rows; r < padded; r++) to[c * padded + r] = 0;
}

inline float largest_of(const float* row, int64_t count) {
    Lanes largest = all(-__builtin_inff());
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        const Lanes x = load(row + i);
        largest = x > largest ? x : largest;
    }
    float result = largest[0];
    for (int lane = 1; lane < LANES; lane++) result = largest[lane] > result ? largest[lane] : result;
    for (; i < count; i++) result = row[i] > result ? row[i] : result;
    return result;
}

// p = softmax(scale * scores) in place, for scale > 0; behind `count` it is filled up to whole vectors with zeros.
inline void softmax(float* row, int64_t count, float scale) {
    const Lanes largest = all(scale * largest_of(row, count));
    const int64_t rest = count % LANES, last = count - rest;
    Lanes sums{};
    for (int64_t i = 0; i < last; i += LANES) {
        const Lanes e = exp(load(row + i) * scale - largest);
        store(row + i, e);
        sums += e;
    }
    if (rest) {
        Lanes e = exp(load(row + last) * scale - largest);
        for (int64_t lane = rest; lane < LANES; lane++) e[lane] = 0;
        store(row + last, e);
        sums += e;
    }
    const float factor = 1 / sum_of(sums);
    for (int64_t i = 0; i < count; i += LANES) store(row + i, load(row + i) * factor);
}

inline void attention_forward(const Heads& s, Matrix q, Matrix k, Matrix v, Matrix y, float* p) {
    const int64_t padded = padded_keys(s);
    const Scratch k_transposed(s.size * padded);
    for (int64_t n = 0; n < s.images; n++)
        for (int64_t h = 0; h < s.heads; h++, p += s.queries * padded) {
            transpose(at(k, n, h), k.row, s.keys, s.size, k_transposed.data, padded);
            product<false>(at(q, n, h), {q.row, 1}, k_transposed.data, padded, p, padded, s.queries, s.size, padded);
            for (int64_t i = 0; i < s.queries; i++) softmax(p + i * padded, s.keys, s.scale);
            product<false>(p, {padded, 1}, at(v, n, h), v.row, at(y, n, h), y.row, s.queries, s.keys, s.value_size);
        }
}

// dscores = scale * p (dp - sum over keys of p dp), in place of dp. Behind the last key p = 0, and so is dscores.
inline void softmax_backward(const float* p, float* dp, int64_t padded, float scale) {
    Lanes sums{};
    for (int64_t j = 0; j < padded; j += LANES) sums += load(p + j) * load(dp + j);
    const float sum = sum_of(sums);
    for (int64_t j = 0; j < padded; j += LANES) store(dp + j, load(p + j) * (load(dp + j) - sum) * scale);
}

inline void attention_backward(const Heads& s, Matrix q, Matrix k, Matrix v, const float* p, Matrix dy, Matrix dq, Matrix dk, Matrix dv) {
    const int64_t padded = padded_keys(s);
    const Scratch v_transposed(s.value_size * padded), dscores(s.queries * padded);
    float* ds = dscores.data;
    for (int64_t n = 0; n < s.images; n++)
        for (int64_t h = 0; h < s.heads; h++, p += s.queries * padded) {
            product<false>(p, {1, padded}, at(dy, n, h), dy.row, at(dv, n, h), dv.row, s.keys, s.queries, s.value_size);
            transpose(at(v, n, h), v.row, s.keys, s.value_size, v_transposed.data, padded);
            product<false>(at(dy, n, h), {dy.row, 1}, v_transposed.data, padded, ds, padded, s.queries, s.value_size, padded);
            for (int64_t i = 0; i < s.queries; i++) softmax_backward(p + i * padded, ds + i * padded, padded, s.scale);
            product<false>(ds, {padded, 1}, at(k, n, h), k.row, at(dq, n, h), dq.row, s.queries, s.keys, s.size);
            product<false>(ds, {1, padded}, at(q, n, h), q.row, at(dk, n, h), dk.row, s.keys, s.queries, s.size);
        }
}

}  // namespace VARIANT
