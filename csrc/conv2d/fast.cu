// 2-D convolution, the fast version: results in registers (tile.h), in tiles of several sizes. The kernels are in correlate.h
// (forward pass and input gradient) and weight_gradient.h; here is what they are launched with.
//
// Which tile and how many splits is decided in kernels/cuda/plan.py: large tiles read least per multiply-add, small tiles and splits
// make enough blocks to occupy the GPU.
#include "conv2d/correlate.h"
#include "conv2d/weight_gradient.h"

namespace {

constexpr int THREADS = 256;

constexpr int LANES = 8;  // threads that share the parts of one result

// result[t] = bias + sum over the parts. LANES threads add every LANES-th part each, then the first of them adds their sums, always in the
// same order. So a result of 64 parts waits 8 times for memory, not 64 times.
__global__ void sum_of_parts(const float* parts, int count, int size, const float* bias, int channels, int plane, float* result) {
    __shared__ float sums[LANES][32];
    const unsigned t = blockIdx.x * 32 + threadIdx.x;
    float sum = 0;
    if (t < unsigned(size)) {
#pragma unroll 4
        for (int part = threadIdx.y; part < count; part += LANES) sum += parts[1LL * part * size + t];
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || t >= unsigned(size)) return;
    sum = bias ? bias[t / plane % channels] : 0;
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane][threadIdx.x];
    result[t] = sum;
}

// The same with few parts: a thread adds them all, for 4 results in a row, which may be of two channels, by 16 bytes where that is possible.
struct FewParts {
    const float* parts;
    int count, size, channels;
    bool quads;
    Divider by_plane, by_channels;
};
__global__ void sum_of_few_parts(const __grid_constant__ FewParts p, const float* bias, float* result) {
    const int first = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (first >= p.size) return;
    float sum[4];
#pragma unroll
    for (int e = 0; e < 4; e++) {
        const int image_channel = p.by_plane.divide(first + e), channel = image_channel - p.by_channels.divide(image_channel) * p.channels;
        sum[e] = bias ? bias[channel] : 0;
    }
    if (p.quads) {
#pragma unroll 4
        for (int part = 0; part < p.count; part++) {
            const float4 quad = *reinterpret_cast<const float4*>(p.parts + 1LL * part * p.size + first);
            sum[0] += quad.x, sum[1] += quad.y, sum[2] += quad.z, sum[3] += quad.w;
        }
        *reinterpret_cast<float4*>(result + first) = make_float4(sum[0], sum[1], sum[2], sum[3]);
        return;
    }
    for (int e = 0; e < 4 && first + e < p.size; e++) {
        for (int part = 0; part < p.count; part++) sum[e] += p.parts[1LL * part * p.size + first + e];
        result[first + e] = sum[e];
    }
}

Axis all_taps(int outputs, int kernel, int dilation, int padding) {
    Axis axis{0, outputs, kernel, {}, {}, Divider(unsigned(std::max(outputs, 1)))};
    for (int u = 0; u < kernel; u++) {
        axis.tap[u] = short(u);
        axis.shift[u] = short(u * dilation - padding);
    }
    return axis;
}

// The results first, first + stride, ...: kernel row u reaches them if first + padding - u * dilation is a multiple of the stride.
Axis taps_of_class(int first, int size, int kernel, int stride, int dilation, int padding) {
    const int outputs = first < size ? ceil_div(size - first, stride) : 0;
    Axis axis{first, outputs, 0, {}, {}, Divider(unsigned(std::max(outputs, 1)))};
    for (int u = 0; u < kernel; u++) {
        const int distance = first + padding - u * dilation;
        if (distance % stride) continue;
        axis.tap[axis.taps] = short(u);
        axis.shift[axis.taps++] = short(distance / stride);
    }
    return axis;
}

}  // namespace

bool aligned(const float* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

const char* conv2d_fast_refuses(const Conv& conv) {
    if (std::max(conv.U, conv.V) > MAX_TAPS) return "the kernel has more than 15 rows or columns";
    if (std::max(conv.stride_h, conv.stride_w) > MAX_STRIDE) return "the stride is more than 4";
    if (std::max(conv.padding_h, conv.padding_w) + MAX_TAPS * std::max(conv.dilation_h, conv.dilation_w) > 30000)
        return "the padding or the dilation is too large";
    if (1LL * conv.groups * conv.stride_h * conv.stride_w > 65535) return "there are too many groups for one launch";
    if (sizeof(int2) * (conv.I + conv.J) > MAX_TABLE) return "the output has too many rows and columns";
    return nullptr;
}

Correlation forward_correlation(const Conv& conv, int splits, const float* weight, const float* result) {
    Correlation c{};
    c.N = conv.N, c.groups = conv.groups, c.M = conv.group_O(), c.C = conv.group_C();
    c.result_h = conv.I, c.result_w = conv.J, c.source_h = conv.H, c.source_w = conv.W;
    c.step_h = c.step_w = 1;
    c.source_step_h = conv.stride_h, c.source_step_w = conv.stride_w;
    c.weight_c = conv.U * conv.V, c.weight_m = conv.group_C() * c.weight_c, c.weight_group = conv.group_O() * c.weight_m, c.V = conv.V;
    c.splits = splits;
    c.quads = conv.I * conv.J % 4 == 0 && aligned(result);
    c.weight_quads = c.weight_m % 4 == 0 && aligned(weight);  // k counts as (c,u,v) does
    c.rows[0] = all_taps(conv.I, conv.U, conv.dilation_h, conv.padding_h);
    c.columns[0] = all_taps(conv.J, conv.V, conv.dilation_w, conv.padding_w);
    return c;
}

Correlation input_gradient_correlation(const Conv& conv, int splits, const float* result) {
    Correlation c{};
    c.N = conv.N, c.groups = conv.groups, c.M = conv.group_C(), c.C = conv.group_O();
    c.result_h = conv.H, c.result_w = conv.W, c.source_h = conv.I, c.source_w = conv.J;
    c.step_h = conv.stride_h, c.step_w = conv.stride_w;
    c.source_step_h = c.source_step_w = 1;
    c.weight_m = conv.U * conv.V, c.weight_c = conv.group_C() * c.weight_m, c.weight_group = conv.group_O() * c.weight_c, c.V = conv.V;
    c.splits = splits;
    c.quads = c.step_h == 1 && c.step_w == 1 && conv.H * conv.W % 4 == 0 && aligned(result);
    for (int a = 0; a < c.step_h; a++) c.rows[a] = taps_of_class(a, conv.H, conv.U, conv.stride_h, conv.dilation_h, conv.padding_h);
    for (int b = 0; b < c.step_w; b++) c.columns[b] = taps_of_class(b, conv.W, conv.V, conv.stride_w, conv.dilation_w, conv.padding_w);
    return c;
}

void sum_parts(const char* name, const float* parts, int count, int size, const float* bias, int channels, int plane, float* result,
               cudaStream_t stream) {
    if (count > 4)
        launch(name, sum_of_parts, ceil_div(size, 32), dim3(32, LANES), 0, stream, parts, count, size, bias, channels, plane, result);
    else
        launch(name, sum_of_few_parts, ceil_div(size, 4 * THREADS), THREADS, 0, stream,
               FewParts{parts, count, size, channels, size % 4 == 0 && aligned(parts) && aligned(result), Divider(plane), Divider(channels)},
               bias, result);
}

// The tiles, by their number in a plan.              M    N  rows columns resident blocks, k of a slab
using Huge = RegisterTile<128, 128, 8, 8, 2>;
using Large = RegisterTile<64, 128, 8, 8, 3>;
using Wide = RegisterTile<32, 128, 8, 8, 6>;
using Medium = RegisterTile<64, 64, 8, 4, 4, 16>;  // slabs of 8 k took a quarter of the instructions for waiting and addresses
using Small = RegisterTile<32, 32, 4, 4, 8>;

static void correlation(const char* name, const Correlation& c, const float* source, const float* weight, const float* bias, float* result,
                        const Plan& plan, cudaStream_t stream) {
    switch (plan.tile) {
        case 0: return launch_correlation<Huge>(name, c, source, weight, bias, result, plan, stream);
        case 1: return launch_correlation<Large>(name, c, source, weight, bias, result, plan, stream);
        case 2: return launch_correlation<Wide>(name, c, source, weight, bias, result, plan, stream);
        case 3: return launch_correlation<Medium>(name, c, source, weight, bias, result, plan, stream);
        case 4: return launch_correlation<Small>(name, c, source, weight, bias, result, plan, stream);
        default: throw std::runtime_error(std::string(name) + ": there is no tile " + std::to_string(plan.tile));
    }
}

void conv2d_fast(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan& plan,
                 cudaStream_t stream) {
    const float* target = plan.splits == 1 ? y : plan.parts;
    correlation("conv2d_fast", forward_correlation(conv, plan.splits, weight, target), x, weight, bias, y, plan, stream);
}

void conv2d_input_gradient_fast(const Conv& conv, const float* dy, const float* weight, const float* bias, float* dx, const Plan& plan,
                                cudaStream_t stream) {
    const float* target = plan.splits == 1 ? dx : plan.parts;
    correlation("conv2d_input_gradient_fast", input_gradient_correlation(conv, plan.splits, target), dy, weight, bias, dx, plan, stream);
}

void conv2d_weight_gradient_fast(const Conv& conv, const float* dy, const float* x, const Gradients& to, const Plan& plan,
                                 cudaStream_t stream) {
    const char* name = "conv2d_weight_gradient_fast";
    switch (plan.tile) {
        case 0: return launch_weight_gradient<Huge>(name, conv, dy, x, to, plan, stream);
        case 1: return launch_weight_gradient<Large>(name, conv, dy, x, to, plan, stream);
        case 2: return launch_weight_gradient<Wide>(name, conv, dy, x, to, plan, stream);
        case 3: return launch_weight_gradient<Medium>(name, conv, dy, x, to, plan, stream);
        case 4: return launch_weight_gradient<Small>(name, conv, dy, x, to, plan, stream);
        default: throw std::runtime_error(std::string(name) + ": there is no tile " + std::to_string(plan.tile));
    }
}
