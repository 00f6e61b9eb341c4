// 2-D convolution: what all its kernels share.
//
//     y[n,o,i,j] = bias[o] + sum_{c,u,v} weight[o,c,u,v] * x[n,c,h,w]        h = i * stride + u * dilation - padding, w likewise from j, v
//
// and its gradients, with dy = dL/dy:
//
//     dx[n,c,h,w]      = sum_{o,u,v} weight[o,c,u,v] * dy[n,o,i,j]           over the (u,v) for which i and j are whole numbers
//     dweight[o,c,u,v] = sum_{n,i,j} dy[n,o,i,j] * x[n,c,h,w]
//     dbias[o]         = sum_{n,i,j} dy[n,o,i,j]
//
// x outside the image counts as 0. With groups, o and c run inside one group: channels o of group g see channels c of group g only.
// Every index has the letter of its extent: n of N images, o of O and c of C channels, (h,w) of an H x W input, (u,v) of a U x V kernel,
// (i,j) of an I x J output. All arrays are contiguous float32 with fewer than 2^31 elements.
//
// Work, for each of y, dx and dweight: 2 N O I J (C / groups) U V operations; bytes at least 4 (size of x + size of weight + size of y).
// Their ratio is about C U V O / (2 (C + O)) operations a byte, about 70 to 300 for the 3 x 3 convolutions of a U-Net; an H100 can do 20 in
// the time of a byte. So with good tiles the operations decide, not the memory.
#pragma once

#include "common/device.h"

struct Conv {
    int N, C, H, W;  // x
    int O, U, V;     // weight: (O, C / groups, U, V)
    int I, J;        // y: (N, O, I, J)
    int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w, groups;

    __host__ __device__ int group_C() const { return C / groups; }
    __host__ __device__ int group_O() const { return O / groups; }

    // Where kernel element (u, v) of output (i, j) falls in the image.
    __host__ __device__ int h(int i, int u) const { return i * stride_h + u * dilation_h - padding_h; }
    __host__ __device__ int w(int j, int v) const { return j * stride_w + v * dilation_w - padding_w; }
    __host__ __device__ bool inside(int h, int w) const { return unsigned(h) < unsigned(H) && unsigned(w) < unsigned(W); }

    // i * stride, j * stride for which kernel element (u, v) falls on (h, w): an output only where both are multiples of the stride.
    __host__ __device__ int i_times_stride(int h, int u) const { return h + padding_h - u * dilation_h; }
    __host__ __device__ int j_times_stride(int w, int v) const { return w + padding_w - v * dilation_w; }
    __host__ __device__ bool is_output(int is, int js) const {
        return is >= 0 && js >= 0 && is % stride_h == 0 && js % stride_w == 0 && is / stride_h < I && js / stride_w < J;
    }
};

// naive: one thread per element of the result, straight from the equations (naive.cu).
void conv2d_naive(const Conv&, const float* x, const float* weight, const float* bias, float* y, cudaStream_t);
void conv2d_input_gradient_naive(const Conv&, const float* dy, const float* weight, const float* bias, float* dx, cudaStream_t);
void conv2d_weight_gradient_naive(const Conv&, const float* dy, const float* x, float* dweight, cudaStream_t);
void conv2d_bias_gradient_naive(const Conv&, const float* dy, float* dbias, cudaStream_t);

// tiled: products of matrices that are never built, 16 x 16 tiles of them in shared memory (tiled.cu).
void conv2d_tiled(const Conv&, const float* x, const float* weight, const float* bias, float* y, cudaStream_t);
void conv2d_input_gradient_tiled(const Conv&, const float* dy, const float* weight, const float* bias, float* dx, cudaStream_t);
void conv2d_weight_gradient_tiled(const Conv&, const float* dy, const float* x, float* dweight, cudaStream_t);
void conv2d_bias_gradient_tiled(const Conv&, const float* dy, float* dbias, cudaStream_t);

// fast: tiles in registers as well, several tile sizes, the sum cut into `splits` that more blocks can share (fast.cu);
// tf32: the same on tensor cores, by 1 product of rounded numbers, or by 3 of their halves (tf32.h).
struct Plan {
    int tile;
    int splits;
    float* parts;
};
struct Gradients {
    float* dweight;
    bool bias;  // then O numbers follow dweight: dbias, by the same kernel
};
// The tf32 versions have tiles of three kinds, one after the other: those of tf32.h, for all convolutions; with channels last
// (channels_last.h), not of weight gradients; for wgmma (warpgroup.h). So not every tile is for every convolution and every GPU.
enum class Sum { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT };
// How many numbers `parts` must hold: what the tile writes anew, and the parts, of result_size numbers each. -1: the tile is not for this.
long long conv2d_parts(const Conv&, Sum, int products, int tile, int splits, long long result_size);
const char* conv2d_fast_refuses(const Conv&);  // why the fast and tf32 versions do not take this convolution; null if they do
void conv2d_fast(const Conv&, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t);
void conv2d_input_gradient_fast(const Conv&, const float* dy, const float* weight, const float* bias, float* dx, const Plan&, cudaStream_t);
void conv2d_weight_gradient_fast(const Conv&, const float* dy, const float* x, const Gradients&, const Plan&, cudaStream_t);
void conv2d_tf32(const Conv&, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t);
void conv2d_input_gradient_tf32(const Conv&, const float* dy, const float* weight, const float* bias, float* dx, const Plan&, cudaStream_t);
void conv2d_weight_gradient_tf32(const Conv&, const float* dy, const float* x, const Gradients&, const Plan&, cudaStream_t);
void conv2d_tf32x3(const Conv&, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t);
void conv2d_input_gradient_tf32x3(const Conv&, const float* dy, const float* weight, const float* bias, float* dx, const Plan&,
                                  cudaStream_t);
void conv2d_weight_gradient_tf32x3(const Conv&, const float* dy, const float* x, const Gradients&, const Plan&, cudaStream_t);
