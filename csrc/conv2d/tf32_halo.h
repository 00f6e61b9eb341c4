// 2-D convolution on tensor cores with a halo (halo.h): the tiles of these kernels, which a plan numbers from HALO_TILE on. tf32_halo.cu
// and tf32x3_halo.cu compile them; conv2d_has_halo (fast.cu) says which convolutions they take.
#pragma once

#include "conv2d/correlate.h"

constexpr int HALO_TILE = 5;  // the first number

template <int PRODUCTS>
void halo_correlation(const char* name, const Conv&, const Correlation&, bool gradient, const float* source, const float* weight,
                      const float* bias, float* result, const Plan&, cudaStream_t);
