// The one header of every kernel. nvcc compiles a kernel for the GPU; a plain C++ compiler compiles the same lines for the
// CPU, with emulator/cuda_cpu.h standing in for CUDA. Three rules keep a source fit for both:
//   1. launch("name", kernel, grid, block, shared_bytes, stream, arguments...)   in place of   kernel<<<...>>>(arguments...)
//   2. float* a = dynamic_shared<float>();                                       in place of   extern __shared__ float a[];
//   3. warp functions are called by whole warps (mask 0xffffffff), and all threads of a block reach the same __syncthreads().
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#ifdef __CUDACC__

#include <cuda_runtime.h>

// Throws std::runtime_error("<kernel>: CUDA: <reason>"). Asks for the launch's own error only, so the host does not wait.
inline void check_launch(const char* kernel_name) {
    const cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess) return;
    const bool no_driver = error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice;
    throw std::runtime_error(std::string(kernel_name) + ": CUDA: " +
                             (no_driver ? "no usable NVIDIA driver or GPU on this machine: " : "") + cudaGetErrorString(error));
}

template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            Arguments... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;  // nothing to compute
    if (shared_bytes > 8 * 1024)  // more than 48 KB, with the kernel's static arrays, must be asked for
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes));
    kernel<<<grid, block, shared_bytes, stream>>>(arguments...);
    check_launch(name);
}

template <class T>
__device__ T* dynamic_shared() {
    extern __shared__ float4 dynamic_shared_memory[];
    return reinterpret_cast<T*>(dynamic_shared_memory);
}

#elif defined(MINIDIFF_CUDA)  // the bindings of the CUDA build: plain C++ that needs CUDA's types only

#include <cuda_runtime.h>

#else

#include "emulator/cuda_cpu.h"

#endif

// How many pieces of `size` cover `count` things.
__host__ __device__ constexpr int ceil_div(long long count, long long size) { return int((count + size - 1) / size); }

#if defined(__CUDACC__) || !defined(MINIDIFF_CUDA)

constexpr unsigned WHOLE_WARP = 0xffffffff;

// Sum (maximum) of one value per lane; every lane gets it.
__device__ inline float warp_sum(float value) {
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(WHOLE_WARP, value, distance);
    return value;
}
__device__ inline float warp_max(float value) {
    for (int distance = 16; distance > 0; distance /= 2) value = fmaxf(value, __shfl_xor_sync(WHOLE_WARP, value, distance));
    return value;
}

#endif
