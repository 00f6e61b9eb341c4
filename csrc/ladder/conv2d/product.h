// 2-D convolution as a product of two matrices, result[m,n] = sum_k left[m,k] * right[k,n], for each group:
//
//                       k = (c,u,v)                          n = (image,i,j)
//                     +-------------+                      +-----------------+
//             m = o   |   weight    |        k = (c,u,v)   |   x at (h,w)    |        h = i * stride + u * dilation - padding
//                     +-------------+                      +-----------------+        w = j * stride + v * dilation - padding
//
// The right matrix is never built ("implicit GEMM"): right(k, n) looks its element up in x. So the rungs of this ladder are about the
// product alone, and each of them takes every stride, padding, dilation and number of groups.
//
// Work: M N K multiply-adds a group. Bytes: at least 4 (size of x + size of weight + size of y).
#pragma once

#include "common/divider.h"
#include "conv2d/conv2d.h"
#include "ladder/rung.h"

struct Pixel {  // of the output: which image it is of (null for none), and where its first tap falls
    const float* channel_0;
    int h, w;
};

struct Product {
    Conv conv;
    const float *x, *weight, *bias;
    float* y;
    int M, N, K;
    Divider by_N, by_taps, by_V, by_pixels, by_J;

    Product(const Conv& conv, const float* x, const float* weight, const float* bias, float* y)
        : conv(conv), x(x), weight(weight), bias(bias), y(y), M(conv.group_O()), N(conv.N * conv.I * conv.J),
          K(conv.group_C() * conv.U * conv.V), by_N(unsigned(std::max(N, 1))), by_taps(unsigned(conv.U * conv.V)), by_V(unsigned(conv.V)),
          by_pixels(unsigned(conv.I * conv.J)), by_J(unsigned(conv.J)) {}

    // Zero beyond the edges of the matrices, and where a tap falls outside of the image.
    __device__ float left(int group, int m, int k) const { return m < M && k < K ? weight[(group * M + m) * K + k] : 0; }
    __device__ float right(const Pixel& pixel, int k) const {
        if (k >= K || !pixel.channel_0) return 0;
        const int c = by_taps.divide(k), uv = k - c * conv.U * conv.V, u = by_V.divide(uv), v = uv - u * conv.V;
        const int h = pixel.h + u * conv.dilation_h, w = pixel.w + v * conv.dilation_w;
        return conv.inside(h, w) ? pixel.channel_0[(c * conv.H + h) * conv.W + w] : 0;
    }

    // What right(., k) needs of a column n, the same for every k.
    __device__ Pixel pixel(int group, int n) const {
        if (n >= N) return {nullptr, 0, 0};
        const int image = by_pixels.divide(n), ij = n - image * conv.I * conv.J, i = by_J.divide(ij), j = ij - i * conv.J;
        return {x + (image * conv.C + group * conv.group_C()) * conv.H * conv.W, conv.h(i, 0), conv.w(j, 0)};
    }

    __device__ float* address(int group, int m, int n) const {
        const int image = by_pixels.divide(n), pixels = conv.I * conv.J;
        return y + (image * conv.O + group * M + m) * pixels + n - image * pixels;
    }
    __device__ float bias_of(int group, int m) const { return bias ? bias[group * M + m] : 0; }
    __device__ void store(int group, int m, int n, float sum) const {
        if (m < M && n < N) *address(group, m, n) = sum + bias_of(group, m);
    }
    // Results n to n + 3, by one write where they lie in one image and their address is a multiple of 16 bytes.
    __device__ void store_quad(int group, int m, int n, const float (&sum)[4]) const {
        if (m >= M || n >= N) return;
        if (conv.I * conv.J % 4 == 0 && reinterpret_cast<uintptr_t>(y) % 16 == 0) {
            const float b = bias_of(group, m);
            *reinterpret_cast<float4*>(address(group, m, n)) = make_float4(sum[0] + b, sum[1] + b, sum[2] + b, sum[3] + b);
        } else {
            for (int e = 0; e < 4; e++) store(group, m, n + e, sum[e]);
        }
    }
};

inline __device__ void read_quad(float* to, const float* from) {  // 16 bytes by one instruction
    const float4 quad = *reinterpret_cast<const float4*>(from);
    to[0] = quad.x, to[1] = quad.y, to[2] = quad.z, to[3] = quad.w;
}
