// 2-D convolution by wgmma, version tf32x3.
#include "conv2d/tf32_warpgroup.h"

template void correlation_by_warpgroups<3>(const char*, const Correlation&, const float*, const float*, const float*, float*, const Plan&,
                                           cudaStream_t);
template void weight_gradient_by_warpgroups<3>(const char*, const Conv&, const float*, const float*, const Gradients&, const Plan&,
                                               cudaStream_t);
template long long warpgroup_parts<3>(const Conv&, Sum, int, int, long long);
