// 2-D convolution, the tiled version: each of the three sums is a product of two matrices, result[m,n] = sum_k left[m,k] * right[k,n],
// which are never built ("implicit GEMM"): an element is looked up when a tile is loaded.
//
//                       m            n            k            left[m,k]          right[k,n]
//     forward           o            (n,i,j)      (c,u,v)      weight[o,c,u,v]    x[n,c,h,w]
//     input gradient    c            (n,h,w)      (o,u,v)      weight[o,c,u,v]    dy[n,o,i,j]
//     weight gradient   o            (c,u,v)      (n,i,j)      dy[n,o,i,j]        x[n,c,h,w]
//
//     block     owns a TILE x TILE piece of the result; blockIdx.z is the group
//     thread    owns one element of it: m from threadIdx.y, n from threadIdx.x
//     bytes     each element of a tile is read from global memory once and used TILE = 16 times: 1/16 of the naive version's reads.
//               But each multiply-add still reads two numbers from shared memory; the fast version is about that.
#include "conv2d/conv2d.h"

namespace {

constexpr int TILE = 16;

// Left, Right: element (row, column), zero beyond the edges of the matrix.    Result: takes element (m, n).
template <class Left, class Right, class Result>
__global__ void product(int M, int N, int K, Left left, Right right, Result result) {
    __shared__ float left_tile[TILE][TILE];   // [m][k]; two rows for a warp, 32 numbers in a row: no padding (docs/ladder.md)
    __shared__ float right_tile[TILE][TILE];  // [k][n]
    const int x = threadIdx.x, y = threadIdx.y, group = blockIdx.z;
    const int m = blockIdx.y * TILE + y, n = blockIdx.x * TILE + x;

    float sum = 0;
    for (int first_k = 0; first_k < K; first_k += TILE) {
        left_tile[y][x] = m < M && first_k + x < K ? left(group, m, first_k + x) : 0;
        right_tile[y][x] = first_k + y < K && n < N ? right(group, first_k + y, n) : 0;
        __syncthreads();  // the tiles are complete
        for (int k = 0; k < TILE; k++) sum += left_tile[y][k] * right_tile[k][x];
        __syncthreads();  // nobody needs them any more
    }
    if (m < M && n < N) result(group, m, n, sum);
}

struct WeightForward {  // left[o, (c,u,v)]
    Conv conv;
    const float* weight;
    __device__ float operator()(int group, int o, int cuv) const {
        return weight[(group * conv.group_O() + o) * conv.group_C() * conv.U * conv.V + cuv];
    }
};

struct Patches {  // right[(c,u,v), (n,i,j)]
    Conv conv;
    const float* x;
    __device__ float operator()(int group, int cuv, int nij) const {
        const int v = cuv % conv.V, u = cuv / conv.V % conv.U, c = cuv / (conv.U * conv.V);
        const int j = nij % conv.J, i = nij / conv.J % conv.I, n = nij / (conv.I * conv.J);
        const int h = conv.h(i, u), w = conv.w(j, v);
        return conv.inside(h, w) ? x[((n * conv.C + group * conv.group_C() + c) * conv.H + h) * conv.W + w] : 0;
    }
};

struct Output {
    Conv conv;
    const float* bias;
    float* y;
    __device__ void operator()(int group, int m, int nij, float sum) const {
        const int o = group * conv.group_O() + m, pixels = conv.I * conv.J;
        y[(nij / pixels * conv.O + o) * pixels + nij % pixels] = sum + (bias ? bias[o] : 0);
    }
};

struct WeightBackward {  // left[c, (o,u,v)]
    Conv conv;
    const float* weight;
    __device__ float operator()(int group, int c, int ouv) const {
        const int taps = conv.U * conv.V, o = ouv / taps;
        return weight[((group * conv.group_O() + o) * conv.group_C() + c) * taps + ouv % taps];
    }
};

struct OutputPatches {  // right[(o,u,v), (n,h,w)]
    Conv conv;
    const float* dy;
    __device__ float operator()(int group, int ouv, int nhw) const {
        const int v = ouv % conv.V, u = ouv / conv.V % conv.U, o = group * conv.group_O() + ouv / (conv.U * conv.V);
        const int w = nhw % conv.W, h = nhw / conv.W % conv.H, n = nhw / (conv.H * conv.W);
        const int is = conv.i_times_stride(h, u), js = conv.j_times_stride(w, v);
        if (!conv.is_output(is, js)) return 0;
        return dy[((n * conv.O + o) * conv.I + is / conv.stride_h) * conv.J + js / conv.stride_w];
    }
};

struct InputGradient {
    Conv conv;
    const float* bias;
    float* dx;
    __device__ void operator()(int group, int m, int nhw, float sum) const {
        const int c = group * conv.group_C() + m, pixels = conv.H * conv.W;
        dx[(nhw / pixels * conv.C + c) * pixels + nhw % pixels] = sum + (bias ? bias[c] : 0);
    }
};

struct OutputGradient {  // left[o, (n,i,j)]
    Conv conv;
    const float* dy;
    __device__ float operator()(int group, int m, int nij) const {
        const int o = group * conv.group_O() + m, pixels = conv.I * conv.J;
        return dy[(nij / pixels * conv.O + o) * pixels + nij % pixels];
    }
};

struct PatchesTransposed {  // right[(n,i,j), (c,u,v)]
    Patches patches;
    __device__ float operator()(int group, int nij, int cuv) const { return patches(group, cuv, nij); }
};

struct WeightGradient {
    Conv conv;
    float* dweight;
    __device__ void operator()(int group, int o, int cuv, float sum) const {
        dweight[(group * conv.group_O() + o) * conv.group_C() * conv.U * conv.V + cuv] = sum;
    }
};

template <class Left, class Right, class Result>
void launch_product(const char* name, int groups, int M, int N, int K, Left left, Right right, Result result, cudaStream_t stream) {
    const dim3 grid(ceil_div(N, TILE), ceil_div(M, TILE), groups), block(TILE, TILE);
    launch(name, product<Left, Right, Result>, grid, block, 0, stream, M, N, K, left, right, result);
}

}  // namespace

void conv2d_tiled(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, cudaStream_t stream) {
    launch_product("conv2d_tiled", conv.groups, conv.group_O(), conv.N * conv.I * conv.J, conv.group_C() * conv.U * conv.V,
                   WeightForward{conv, weight}, Patches{conv, x}, Output{conv, bias, y}, stream);
}

void conv2d_input_gradient_tiled(const Conv& conv, const float* dy, const float* weight, const float* bias, float* dx,
                                 cudaStream_t stream) {
    launch_product("conv2d_input_gradient_tiled", conv.groups, conv.group_C(), conv.N * conv.H * conv.W, conv.group_O() * conv.U * conv.V,
                   WeightBackward{conv, weight}, OutputPatches{conv, dy}, InputGradient{conv, bias, dx}, stream);
}

void conv2d_weight_gradient_tiled(const Conv& conv, const float* dy, const float* x, float* dweight, cudaStream_t stream) {
    launch_product("conv2d_weight_gradient_tiled", conv.groups, conv.group_O(), conv.group_C() * conv.U * conv.V, conv.N * conv.I * conv.J,
                   OutputGradient{conv, dy}, PatchesTransposed{Patches{conv, x}}, WeightGradient{conv, dweight}, stream);
}
