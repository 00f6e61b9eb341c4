// 2-D convolution on tensor cores with channels last, version tf32x3.
#include "conv2d/tf32_channels_last.h"

template void correlation_channels_last<3>(const char*, const Conv&, const Correlation&, bool, const float*, const float*, const float*,
                                           float*, const Plan&, cudaStream_t);
