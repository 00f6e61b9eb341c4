// What tf32_halo.cu and tf32x3_halo.cu compile, once for each number of products.
#pragma once

#include "conv2d/halo_correlate.h"
#include "conv2d/tf32_halo.h"

[[noreturn]] inline void no_halo_tile(const char* name, const Plan& plan) {
    throw std::runtime_error(std::string(name) + ": there is no tile " + std::to_string(plan.tile));
}
inline void want_halo(const char* name, bool suits) {
    if (!suits) throw std::runtime_error(std::string(name) + ": tiles with a halo are for 3 x 3 kernels, stride 1 and narrow images");
}

// The tiles, by their number in a plan.                                             M    N pieces resident blocks
template <int PRODUCTS> using HaloLarge = TensorCoreTile<64, 128, 2, 8, 3, PRODUCTS, RowsOf16>;
template <int PRODUCTS> using HaloWide = TensorCoreTile<32, 128, 2, 8, 6, PRODUCTS, RowsOf16>;
template <int PRODUCTS> using HaloMedium = TensorCoreTile<64, 64, 2, 4, 4, PRODUCTS, RowsOf16>;

template <int PRODUCTS, bool GRADIENT>
void halo_correlation_of(const char* name, const Conv& conv, const Correlation& c, const float* source, const float* weight,
                         const float* bias, float* result, const Plan& plan, cudaStream_t stream) {
    switch (plan.tile - HALO_TILE) {
        case 0: return launch_halo_correlation<HaloLarge<PRODUCTS>, GRADIENT>(name, conv, c, source, weight, bias, result, plan, stream);
        case 1: return launch_halo_correlation<HaloWide<PRODUCTS>, GRADIENT>(name, conv, c, source, weight, bias, result, plan, stream);
        case 2: return launch_halo_correlation<HaloMedium<PRODUCTS>, GRADIENT>(name, conv, c, source, weight, bias, result, plan, stream);
        default: no_halo_tile(name, plan);
    }
}

template <int PRODUCTS>
void halo_correlation(const char* name, const Conv& conv, const Correlation& c, bool gradient, const float* source, const float* weight,
                      const float* bias, float* result, const Plan& plan, cudaStream_t stream) {
    want_halo(name, correlation_has_halo(conv, gradient));
    if (gradient)
        halo_correlation_of<PRODUCTS, true>(name, conv, c, source, weight, bias, result, plan, stream);
    else
        halo_correlation_of<PRODUCTS, false>(name, conv, c, source, weight, bias, result, plan, stream);
}
