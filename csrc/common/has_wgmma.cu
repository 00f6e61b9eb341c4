#include "common/wgmma.h"

#ifdef __CUDACC__

// Only the code for 9.0a has this much shared memory: what the driver says of the kernel tells which code it has loaded.
__global__ void which_code(int* result) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    __shared__ int mark[32];
    mark[threadIdx.x] = result[threadIdx.x];
    __syncwarp();
    result[threadIdx.x] = mark[31 - threadIdx.x];
#else
    result[threadIdx.x] = 0;
#endif
}

bool has_wgmma() {
    cudaFuncAttributes attributes{};
    const bool loaded = cudaFuncGetAttributes(&attributes, which_code) == cudaSuccess;
    cudaGetLastError();  // not to be reported by the next launch
    return loaded && attributes.sharedSizeBytes >= 32 * sizeof(int);
}

#else

bool has_wgmma() { return cuda_cpu::gpu.capability == 90; }

#endif
