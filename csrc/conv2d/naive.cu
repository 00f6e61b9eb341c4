// 2-D convolution, the naive version: the equations of conv2d.h as they stand.
//
//     thread    owns one element of the result and sums all its terms
//     bytes     every term reads two numbers from global memory: 8 bytes for 2 operations, less what the caches catch
//
// The bias gradient also has its one better version here: a block owns a channel, and its threads share the sum.
#include "conv2d/conv2d.h"
#include "common/divider.h"

#include <algorithm>

namespace {

constexpr int THREADS = 128;

// y[n,o,i,j] of thread t
__global__ void forward(Conv conv, const float* x, const float* weight, const float* bias, float* y) {
    const unsigned t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= unsigned(conv.N) * conv.O * conv.I * conv.J) return;
    const int j = t % conv.J, i = t / conv.J % conv.I, o = t / (conv.I * conv.J) % conv.O, n = t / (conv.I * conv.J) / conv.O;
    const int first_c = o / conv.group_O() * conv.group_C();  // of the group

    float sum = bias ? bias[o] : 0;
    for (int c = 0; c < conv.group_C(); c++)
        for (int u = 0; u < conv.U; u++)
            for (int v = 0; v < conv.V; v++) {
                const int h = conv.h(i, u), w = conv.w(j, v);
                if (!conv.inside(h, w)) continue;
                const float weight_ocuv = weight[((o * conv.group_C() + c) * conv.U + u) * conv.V + v];
                const float x_nchw = x[((n * conv.C + first_c + c) * conv.H + h) * conv.W + w];
                sum += weight_ocuv * x_nchw;
            }
    y[t] = sum;
}

// dx[n,c,h,w] of thread t. The bias is for conv_transpose2d, whose forward pass this is.
__global__ void input_gradient(Conv conv, const float* dy, const float* weight, const float* bias, float* dx) {
    const unsigned t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= unsigned(conv.N) * conv.C * conv.H * conv.W) return;
    const int w = t % conv.W, h = t / conv.W % conv.H, channel = t / (conv.H * conv.W) % conv.C, n = t / (conv.H * conv.W) / conv.C;
    const int group = channel / conv.group_C(), c = channel % conv.group_C();

    float sum = bias ? bias[channel] : 0;
    for (int o = group * conv.group_O(); o < (group + 1) * conv.group_O(); o++)
        for (int u = 0; u < conv.U; u++)
            for (int v = 0; v < conv.V; v++) {
                const int is = conv.i_times_stride(h, u), js = conv.j_times_stride(w, v);
                if (!conv.is_output(is, js)) continue;
                const int i = is / conv.stride_h, j = js / conv.stride_w;
                const float weight_ocuv = weight[((o * conv.group_C() + c) * conv.U + u) * conv.V + v];
                const float dy_noij = dy[((n * conv.O + o) * conv.I + i) * conv.J + j];
                sum += weight_ocuv * dy_noij;
            }
    dx[t] = sum;
}

// dweight[o,c,u,v] of thread t
__global__ void weight_gradient(Conv conv, const float* dy, const float* x, float* dweight) {
    const unsigned t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= unsigned(conv.O) * conv.group_C() * conv.U * conv.V) return;
    const int v = t % conv.V, u = t / conv.V % conv.U, oc = t / (conv.U * conv.V), c = oc % conv.group_C(), o = oc / conv.group_C();
    const int first_c = o / conv.group_O() * conv.group_C();

    float sum = 0;
    for (int n = 0; n < conv.N; n++) {
        float sum_of_image = 0;  // two levels of sums: the error of a long float32 sum grows with its length
        for (int i = 0; i < conv.I; i++)
            for (int j = 0; j < conv.J; j++) {
                const int h = conv.h(i, u), w = conv.w(j, v);
                if (!conv.inside(h, w)) continue;
                const float dy_noij = dy[((n * conv.O + o) * conv.I + i) * conv.J + j];
                const float x_nchw = x[((n * conv.C + first_c + c) * conv.H + h) * conv.W + w];
                sum_of_image += dy_noij * x_nchw;
            }
        sum += sum_of_image;
    }
    dweight[t] = sum;
}

// dbias[o] of thread o
__global__ void bias_gradient(Conv conv, const float* dy, float* dbias) {
    const int o = blockIdx.x * blockDim.x + threadIdx.x;
    if (o >= conv.O) return;
    float sum = 0;
    for (int n = 0; n < conv.N; n++) {
        float sum_of_image = 0;
        for (int ij = 0; ij < conv.I * conv.J; ij++) sum_of_image += dy[(n * conv.O + o) * conv.I * conv.J + ij];
        sum += sum_of_image;
    }
    dbias[o] = sum;
}

// dbias[o] of block o: neighbouring threads read neighbouring pixels, then the warps, then warp 0 for all warps, add up. A thread asks for
// eight times WIDTH numbers before it adds the first: memory takes some 600 cycles to answer, and few blocks are there to fill them.
template <int WIDTH>  // numbers read at once, of one image: 4 or 1
__global__ void bias_gradient_by_blocks(Conv conv, Divider by_pixels, const float* dy, float* dbias) {
    constexpr int AT_ONCE = 8;
    __shared__ float sum_of_warp[32];
    const int o = blockIdx.x, pixels = conv.I * conv.J, warps = blockDim.x / warpSize, warp = threadIdx.x / warpSize;
    float sum = 0;
    for (int first = threadIdx.x * WIDTH; first < conv.N * pixels; first += AT_ONCE * WIDTH * blockDim.x) {
        float4 terms[AT_ONCE];
#pragma unroll
        for (int e = 0; e < AT_ONCE; e++) {
            const int nij = first + e * WIDTH * blockDim.x, n = by_pixels.divide(nij), ij = nij - n * pixels;
            const float* at = dy + (n * conv.O + o) * pixels + ij;
            terms[e] = make_float4(0, 0, 0, 0);
            if (n >= conv.N) continue;
            if constexpr (WIDTH == 4) terms[e] = *reinterpret_cast<const float4*>(at);
            else terms[e].x = *at;
        }
#pragma unroll
        for (int e = 0; e < AT_ONCE; e++) sum += (terms[e].x + terms[e].y) + (terms[e].z + terms[e].w);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % warpSize == 0) sum_of_warp[warp] = sum;
    __syncthreads();
    if (warp != 0) return;
    sum = warp_sum(int(threadIdx.x) < warps ? sum_of_warp[threadIdx.x] : 0);
    if (threadIdx.x == 0) dbias[o] = sum;
}

}  // namespace

void conv2d_naive(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, cudaStream_t stream) {
    const int blocks = ceil_div(1LL * conv.N * conv.O * conv.I * conv.J, THREADS);
    launch("conv2d_naive", forward, blocks, THREADS, 0, stream, conv, x, weight, bias, y);
}

void conv2d_input_gradient_naive(const Conv& conv, const float* dy, const float* weight, const float* bias, float* dx,
                                 cudaStream_t stream) {
    const int blocks = ceil_div(1LL * conv.N * conv.C * conv.H * conv.W, THREADS);
    launch("conv2d_input_gradient_naive", input_gradient, blocks, THREADS, 0, stream, conv, dy, weight, bias, dx);
}

void conv2d_weight_gradient_naive(const Conv& conv, const float* dy, const float* x, float* dweight, cudaStream_t stream) {
    const int blocks = ceil_div(1LL * conv.O * conv.group_C() * conv.U * conv.V, THREADS);
    launch("conv2d_weight_gradient_naive", weight_gradient, blocks, THREADS, 0, stream, conv, dy, x, dweight);
}

void conv2d_bias_gradient_naive(const Conv& conv, const float* dy, float* dbias, cudaStream_t stream) {
    launch("conv2d_bias_gradient_naive", bias_gradient, ceil_div(conv.O, THREADS), THREADS, 0, stream, conv, dy, dbias);
}

void conv2d_bias_gradient_tiled(const Conv& conv, const float* dy, float* dbias, cudaStream_t stream) {
    const int pixels = conv.I * conv.J;
    const int width = pixels % 4 == 0 && reinterpret_cast<uintptr_t>(dy) % 16 == 0 ? 4 : 1;
    const int threads = 32 * std::clamp(ceil_div(1LL * conv.N * pixels, 32 * 8 * width), 2, 32);  // eight reads each, if there are many
    launch("conv2d_bias_gradient_tiled", width == 4 ? bias_gradient_by_blocks<4> : bias_gradient_by_blocks<1>, conv.O, threads, 0, stream,
           conv, Divider(pixels), dy, dbias);
}
