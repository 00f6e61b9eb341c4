// 2-D convolution on tensor cores: the kernels of the fast version with other tiles (tile_tf32.h). The numbers are rounded to TF32, which
// is why this version runs only after minidiff.allow_tf32(True). Needs compute capability 8.0.
#include "conv2d/correlate.h"
#include "conv2d/weight_gradient.h"
#include "common/tile_tf32.h"

//                                   M    N  pieces  resident blocks
using Large = TensorCoreTile<64, 128, 2, 4, 3>;
using Small = TensorCoreTile<32, 64, 2, 2, 6>;

static void correlation(const char* name, const Correlation& c, const float* source, const float* weight, const float* bias, float* result,
                        const Plan& plan, cudaStream_t stream) {
    if (plan.tile == 0) return launch_correlation<Large>(name, c, source, weight, bias, result, plan, stream);
    if (plan.tile == 1) return launch_correlation<Small>(name, c, source, weight, bias, result, plan, stream);
    throw std::runtime_error(std::string(name) + ": there is no tile " + std::to_string(plan.tile));
}

void conv2d_tf32(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan& plan,
                 cudaStream_t stream) {
    const float* target = plan.splits == 1 ? y : plan.parts;
    correlation("conv2d_tf32", forward_correlation(conv, plan.splits, target), x, weight, bias, y, plan, stream);
}

void conv2d_input_gradient_tf32(const Conv& conv, const float* dy, const float* weight, const float* bias, float* dx, const Plan& plan,
                                cudaStream_t stream) {
    const float* target = plan.splits == 1 ? dx : plan.parts;
    correlation("conv2d_input_gradient_tf32", input_gradient_correlation(conv, plan.splits, target), dy, weight, bias, dx, plan, stream);
}

void conv2d_weight_gradient_tf32(const Conv& conv, const float* dy, const float* x, float* dweight, const Plan& plan, cudaStream_t stream) {
    const char* name = "conv2d_weight_gradient_tf32";
    if (plan.tile == 0) return launch_weight_gradient<Large>(name, conv, dy, x, dweight, plan, stream);
    if (plan.tile == 1) return launch_weight_gradient<Small>(name, conv, dy, x, dweight, plan, stream);
    throw std::runtime_error(std::string(name) + ": there is no tile " + std::to_string(plan.tile));
}
