// conv2d and its gradients, straight from the equations:
//
//     y[n,o,i,j]       = bias[o] + sum over c, u, v of weight[o,c,u,v] x[n,c,h,w]      h = i stride - before + u dilation, w likewise
//     dx[n,c,h,w]      = sum over o, u, v of weight[o,c,u,v] dy[n,o,i,j]
//     dweight[o,c,u,v] = sum over n, i, j of dy[n,o,i,j] x[n,c,h,w]
//
// x outside of the image counts as 0; channel o of group g sees channels c of group g only. All arrays are contiguous, channels first.
//
//     loops         one for each letter. for_each_term visits every term of the sums once, so that the gradients are the same loop with
//                   another line in it
//     registers     the sum of one result, in double. Nothing that was read is used twice
//     caches        a kernel's weights stay in L1. x is read again for each o, from L2 or from memory; dx and dweight are read and written
//                   once for every term
//     bytes         8 for each of the N O I J (C / groups) U V terms, 24 in the backward pass
//     operations    2 for each term (4 backward), one number at a time, and as many again that find h, w and the addresses.
//                   im2col and Winograd's form (winograd.h) leave the terms to a product of matrices, narrow.h takes 4 to 16 at once
#pragma once

#include <cstdint>
#include <vector>

namespace native {

struct Conv2d {
    int64_t N, C, H, W, O, U, V, I, J, stride_h, stride_w, before_h, before_w, dilation_h, dilation_w, groups;
};

// use(place of weight[o,c,u,v], place of x[n,c,h,w]) for every term of result (n, o, i, j).
template <class Use>
void for_each_term(const Conv2d& s, int64_t n, int64_t o, int64_t i, int64_t j, Use use) {
    const int64_t channels = s.C / s.groups, first = o / (s.O / s.groups) * channels;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t u = 0; u < s.U; u++)
            for (int64_t v = 0; v < s.V; v++) {
                const int64_t h = i * s.stride_h - s.before_h + u * s.dilation_h, w = j * s.stride_w - s.before_w + v * s.dilation_w;
                if (h < 0 || h >= s.H || w < 0 || w >= s.W) continue;
                use(((o * channels + c) * s.U + u) * s.V + v, ((n * s.C + first + c) * s.H + h) * s.W + w);
            }
}

inline void conv2d_naive(const Conv2d& s, const float* x, const float* weight, const float* bias, float* y) {
    for (int64_t n = 0; n < s.N; n++)
        for (int64_t o = 0; o < s.O; o++)
            for (int64_t i = 0; i < s.I; i++)
                for (int64_t j = 0; j < s.J; j++) {
                    double sum = bias ? bias[o] : 0;
                    for_each_term(s, n, o, i, j, [&](int64_t at_weight, int64_t at_x) { sum += double(weight[at_weight]) * x[at_x]; });
                    *y++ = float(sum);
                }
}

// dbias[o] = sum over n, i, j of dy[n,o,i,j]
inline void conv2d_backward_naive(const Conv2d& s, const float* x, const float* weight, const float* dy, float* dx, float* dweight, float* dbias) {
    const int64_t x_size = s.N * s.C * s.H * s.W, weight_size = s.O * (s.C / s.groups) * s.U * s.V;
    std::vector<double> to_x(x_size), to_weight(weight_size), to_bias(s.O);
    for (int64_t n = 0; n < s.N; n++)
        for (int64_t o = 0; o < s.O; o++)
            for (int64_t i = 0; i < s.I; i++)
                for (int64_t j = 0; j < s.J; j++) {
                    const double d = *dy++;
                    to_bias[o] += d;
                    for_each_term(s, n, o, i, j, [&](int64_t at_weight, int64_t at_x) {
                        to_x[at_x] += d * weight[at_weight];
                        to_weight[at_weight] += d * x[at_x];
                    });
                }
    for (int64_t k = 0; k < x_size; k++) dx[k] = float(to_x[k]);
    for (int64_t k = 0; k < weight_size; k++) dweight[k] = float(to_weight[k]);
    for (int64_t o = 0; o < s.O; o++) dbias[o] = float(to_bias[o]);
}

}  // namespace native
