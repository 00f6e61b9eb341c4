// 2-D convolution on tensor cores, version tf32x3: three products of both halves of the numbers, as exact as float32, so that it needs no
// permission. Needs compute capability 8.0.
#include "conv2d/tf32.h"

void conv2d_tf32x3(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan& plan,
                 cudaStream_t stream) {
    const Correlation c = forward_correlation(conv, plan.splits, weight, plan.splits == 1 ? y : plan.parts);
    correlation_by<3>("conv2d_tf32x3", conv, c, false, x, weight, bias, y, plan, stream);
}

void conv2d_input_gradient_tf32x3(const Conv& conv, const float* dy, const float* weight, const float* bias, float* dx, const Plan& plan,
                               cudaStream_t stream) {
    const Correlation c = input_gradient_correlation(conv, plan.splits, plan.splits == 1 ? dx : plan.parts);
    correlation_by<3>("conv2d_input_gradient_tf32x3", conv, c, true, dy, weight, bias, dx, plan, stream);
}

void conv2d_weight_gradient_tf32x3(const Conv& conv, const float* dy, const float* x, const Gradients& to, const Plan& plan,
                                 cudaStream_t stream) {
    weight_gradient_by<3>("conv2d_weight_gradient_tf32x3", conv, dy, x, to, plan, stream);
}
