// 2-D convolution on tensor cores, version tf32, with a halo: 3 x 3 kernels of stride 1, by one product of numbers shortened to TF32.
#include "conv2d/tf32_halo_tiles.h"

template void halo_correlation<1>(const char*, const Conv&, const Correlation&, bool, const float*, const float*, const float*, float*,
                                   const Plan&, cudaStream_t);
