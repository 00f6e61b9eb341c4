// The one header of every kernel. nvcc compiles a kernel for the GPU; a plain C++ compiler compiles the same lines for the
// CPU, with emulator/cuda_cpu.h standing in for CUDA. Four rules keep a source fit for both:
//   1. launch("name", kernel, grid, block, shared_bytes, stream, arguments...)   in place of   kernel<<<...>>>(arguments...)
//   2. float* a = dynamic_shared<float>();                                       in place of   extern __shared__ float a[];
//   3. warp functions are called by whole warps (mask 0xffffffff), and all threads of a block reach the same __syncthreads().
//   4. a struct of your own in memory gets a name before it is passed on, and a result before it is stored: g++ calls no check for
//      f(x[i]) and x[i] = f(). For float4 and its kin it does.                  const Pack pack = x[i]; f(pack);
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
    if (shared_bytes)  // more than 48 KB, with the static arrays of a kernel, must be asked for
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes));
    kernel<<<grid, block, shared_bytes, stream>>>(arguments...);
    check_launch(name);
}

template <class T>
__device__ T* dynamic_shared() {
    extern __shared__ float4 dynamic_shared_memory[];
    return reinterpret_cast<T*>(dynamic_shared_memory);
}

// The same pointer, of which the compiler no longer knows how it was computed: an index is then added to it by one instruction, where it
// would otherwise sum all the indices first and make an address of 64 bits of each sum, by four.
__device__ inline const float* as_one_address(const float* pointer) {
    asm("" : "+l"(pointer));
    return pointer;
}
// The same for a number, and for the place of something in shared memory: it stays in a register, where the compiler would otherwise work
// it out anew, from threadIdx or from where shared memory begins, in every round of a loop.
__device__ inline int kept(int number) {
    asm("" : "+r"(number));
    return number;
}
template <class T>
__device__ T& kept_in_shared(T& x) {
    unsigned address = unsigned(__cvta_generic_to_shared(&x));
    asm("" : "+r"(address));
    return *static_cast<T*>(__cvta_shared_to_generic(address));
}

// Copies from global to shared memory that the thread does not wait for: cp.async, from compute capability 8.0 on. They pass no register,
// and land at the latest when wait_for_copies returns; until then nobody may touch the target. Where `inside` is false they write 0 and
// read nothing. Older GPUs copy at once.
__device__ inline void copy_async(float* to, const float* from, bool inside) {
#if __CUDA_ARCH__ >= 800
    const unsigned target = unsigned(__cvta_generic_to_shared(to));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(target), "l"(from), "r"(inside ? 4 : 0) : "memory");
#else
    *to = inside ? *from : 0;
#endif
}
__device__ inline void copy_pair_async(float* to, const float* from, bool inside) {  // 2 numbers, both addresses multiples of 8 bytes
#if __CUDA_ARCH__ >= 800
    const unsigned target = unsigned(__cvta_generic_to_shared(to));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(target), "l"(from), "r"(inside ? 8 : 0) : "memory");
#else
    *reinterpret_cast<float2*>(to) = inside ? *reinterpret_cast<const float2*>(from) : make_float2(0, 0);
#endif
}
__device__ inline void copy_quad_async(float* to, const float* from, bool inside) {  // 4 numbers, both addresses multiples of 16 bytes
#if __CUDA_ARCH__ >= 800
    const unsigned target = unsigned(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(from), "r"(inside ? 16 : 0) : "memory");
#else
    *reinterpret_cast<float4*>(to) = inside ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
#endif
}
// The same by way of the L1 cache, for what this block, or its neighbours on the multiprocessor, will copy again.
__device__ inline void copy_quad_async_by_l1(float* to, const float* from, bool inside) {
#if __CUDA_ARCH__ >= 800
    const unsigned target = unsigned(__cvta_generic_to_shared(to));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(from), "r"(inside ? 16 : 0) : "memory");
#else
    copy_quad_async(to, from, inside);
#endif
}
// This thread's copies since the last call are one group ...
__device__ inline void end_of_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// ... and all groups but the last GROUPS have landed after this one. What the other threads copied is there after a barrier.
template <int GROUPS>
__device__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
#endif
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
