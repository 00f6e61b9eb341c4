// 2-D convolution on tensor cores, version tf32x3, with a halo: 3 x 3 kernels of stride 1, by three products of both halves of the numbers.
#include "conv2d/tf32_halo_tiles.h"

template void halo_correlation<3>(const char*, const Conv&, const Correlation&, bool, const float*, const float*, const float*, float*,
                                   const Plan&, cudaStream_t);
