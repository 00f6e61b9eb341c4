#include "common/wgmma.h"

#ifdef __CUDACC__

namespace {

// Only its code for 9.0a has shared memory. What the driver says of the kernel tells which code it has loaded.
__global__ void which_code(int* numbers) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    __shared__ int reversed[32];
    reversed[31 - threadIdx.x] = numbers[threadIdx.x];
    __syncwarp();
    numbers[threadIdx.x] = reversed[threadIdx.x];
#endif
}

}  // namespace

bool has_wgmma() {
    cudaFuncAttributes attributes{};
    const bool loaded = cudaFuncGetAttributes(&attributes, which_code) == cudaSuccess;
    cudaGetLastError();  // not to be reported by the next launch
    return loaded && attributes.sharedSizeBytes >= 32 * sizeof(int);
}

#else

bool has_wgmma() { return cuda_cpu::gpu.capability == 90; }

#endif
