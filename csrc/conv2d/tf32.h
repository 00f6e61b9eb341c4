// 2-D convolution on tensor cores: the kernels of the fast version with other tiles (tile_tf32.h), for the versions tf32 (tf32.cu) and
// tf32x3 (tf32x3.cu), which are two files so that they compile side by side. Plans with higher tile numbers run the kernels with channels
// last (channels_last.h) and those for wgmma (warpgroup.h).
#pragma once

#include "conv2d/correlate.h"
#include "conv2d/weight_gradient.h"
#include "common/tile_tf32.h"
#include "conv2d/channels_last.h"
#include "conv2d/warpgroup.h"

// The tiles, by their number in a plan.                                        M    N pieces resident blocks
template <int PRODUCTS> using Large = TensorCoreTile<64, 128, 2, 8, 3, PRODUCTS, RowsOf16>;
template <int PRODUCTS> using Wide = TensorCoreTile<32, 128, 2, 8, 6, PRODUCTS, RowsOf16>;
template <int PRODUCTS> using Medium = TensorCoreTile<64, 64, 2, 4, 3, PRODUCTS, RowsOf16>;
template <int PRODUCTS> using Small = TensorCoreTile<32, 64, 2, 4, 6, PRODUCTS, RowsOf16>;
template <int PRODUCTS> using Tall = TensorCoreTile<128, 64, 4, 4, PRODUCTS == 1 ? 3 : 2, PRODUCTS, RowsOf16>;

template <int PRODUCTS>
void correlation_by(const char* name, const Conv& conv, const Correlation& c, bool gradient, const float* source, const float* weight,
                    const float* bias, float* result, const Plan& plan, cudaStream_t stream) {
    switch (plan.tile) {
        case 0: return launch_correlation<Large<PRODUCTS>>(name, c, source, weight, bias, result, plan, stream);
        case 1: return launch_correlation<Wide<PRODUCTS>>(name, c, source, weight, bias, result, plan, stream);
        case 2: return launch_correlation<Medium<PRODUCTS>>(name, c, source, weight, bias, result, plan, stream);
        case 3: return launch_correlation<Small<PRODUCTS>>(name, c, source, weight, bias, result, plan, stream);
        case 4: return launch_correlation<Tall<PRODUCTS>>(name, c, source, weight, bias, result, plan, stream);
    }
    if (plan.tile < WARPGROUP_TILE)
        return correlation_channels_last<PRODUCTS>(name, conv, c, gradient, source, weight, bias, result, plan, stream);
    correlation_by_warpgroups<PRODUCTS>(name, c, source, weight, bias, result, plan, stream);
}

// Of weight gradients: N counts the (c,u,v), often 9 times a multiple of 32.                   M   N pieces resident blocks
template <int PRODUCTS> using LargeGradient = TensorCoreTile<64, 96, 2, 6, 3, PRODUCTS, ColumnsOf16>;
template <int PRODUCTS> using WideGradient = TensorCoreTile<32, 96, 2, 6, 4, PRODUCTS, ColumnsOf16>;
template <int PRODUCTS> using MediumGradient = TensorCoreTile<64, 64, 2, 4, 3, PRODUCTS, ColumnsOf16>;
template <int PRODUCTS> using SmallGradient = TensorCoreTile<32, 64, 2, 4, 6, PRODUCTS, ColumnsOf16>;
template <int PRODUCTS> using TallGradient = TensorCoreTile<128, 96, 2, 6, PRODUCTS == 1 ? 2 : 1, PRODUCTS, ColumnsOf16>;

template <int PRODUCTS>
void weight_gradient_by(const char* name, const Conv& conv, const float* dy, const float* x, const Gradients& to, const Plan& plan,
                        cudaStream_t stream) {
    switch (plan.tile) {
        case 0: return launch_weight_gradient<LargeGradient<PRODUCTS>>(name, conv, dy, x, to, plan, stream);
        case 1: return launch_weight_gradient<WideGradient<PRODUCTS>>(name, conv, dy, x, to, plan, stream);
        case 2: return launch_weight_gradient<MediumGradient<PRODUCTS>>(name, conv, dy, x, to, plan, stream);
        case 3: return launch_weight_gradient<SmallGradient<PRODUCTS>>(name, conv, dy, x, to, plan, stream);
        case 4: return launch_weight_gradient<TallGradient<PRODUCTS>>(name, conv, dy, x, to, plan, stream);
        default: return weight_gradient_by_warpgroups<PRODUCTS>(name, conv, dy, x, to, plan, stream);
    }
}
