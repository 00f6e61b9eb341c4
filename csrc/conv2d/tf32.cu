// 2-D convolution on tensor cores, version tf32: one product of numbers shortened to TF32, which is why it runs only after
// minidiff.allow_tf32(True). Needs compute capability 8.0. At the end, for all versions: what a plan's tile needs beside the arrays.
#include "conv2d/tf32.h"

void conv2d_tf32(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan& plan,
                 cudaStream_t stream) {
    const Correlation c = forward_correlation(conv, plan.splits, weight, plan.splits == 1 ? y : plan.parts);
    correlation_by<1>("conv2d_tf32", conv, c, false, x, weight, bias, y, plan, stream);
}

void conv2d_input_gradient_tf32(const Conv& conv, const float* dy, const float* weight, const float* bias, float* dx, const Plan& plan,
                               cudaStream_t stream) {
    const Correlation c = input_gradient_correlation(conv, plan.splits, plan.splits == 1 ? dx : plan.parts);
    correlation_by<1>("conv2d_input_gradient_tf32", conv, c, true, dy, weight, bias, dx, plan, stream);
}

void conv2d_weight_gradient_tf32(const Conv& conv, const float* dy, const float* x, const Gradients& to, const Plan& plan,
                                 cudaStream_t stream) {
    weight_gradient_by<1>("conv2d_weight_gradient_tf32", conv, dy, x, to, plan, stream);
}

// fast (products = 0) has only tiles that need nothing but the parts.
long long conv2d_parts(const Conv& conv, Sum sum, int products, int tile, int splits, long long result_size) {
    const bool weights = sum == Sum::WEIGHT_GRADIENT;
    long long written_anew = 0;
    if (products && tile >= (weights ? WARPGROUP_GRADIENT_TILE : WARPGROUP_TILE)) {
        if (!has_wgmma()) return -1;
        return products == 3 ? warpgroup_parts<3>(conv, sum, tile, splits, result_size) : warpgroup_parts<1>(conv, sum, tile, splits, result_size);
    }
    if (products && !weights && tile >= CHANNELS_LAST_TILE) written_anew = channels_last_parts(conv, sum == Sum::INPUT_GRADIENT, products);
    return written_anew < 0 ? -1 : written_anew + (splits > 1 ? splits * result_size : 0);
}
