// CUDA for a plain C++ compiler: enough of it to run this project's kernels on a CPU, under checks and in a debugger.
// Blocks run one after another, and the threads of a block take turns from barrier to barrier (cuda_cpu.cpp), so
//   - `__shared__` may be `static`: one copy, used by each block in turn;
//   - threadIdx and its kin are plain variables, which a debugger can print and test;
//   - nothing is ever parallel: every run repeats exactly.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

// Code of the emulator that is compiled into kernels must not be taken for the kernel's own accesses.
#if defined(__SANITIZE_THREAD__)
#define UNCHECKED __attribute__((no_sanitize("thread"), no_sanitize("undefined")))
#else
#define UNCHECKED
#endif

// g++ does not call the checks for a struct that a function returns straight into memory; once inlined, it is an ordinary store.
#define ALWAYS_INLINE __attribute__((always_inline)) inline

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __restrict__ __restrict

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 {
    unsigned x, y, z;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
ALWAYS_INLINE float2 make_float2(float x, float y) { return {x, y}; }
ALWAYS_INLINE float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
ALWAYS_INLINE int2 make_int2(int x, int y) { return {x, y}; }
ALWAYS_INLINE int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

using cudaStream_t = void*;
constexpr int warpSize = 32;

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace cuda_cpu {

enum Scope { WARP, BLOCK };

void wait(Scope scope, int line);
void* shared_memory();                                                           // the dynamic shared memory of this block
const void* exchange(unsigned mask, const void* value, size_t bytes, int line);  // one value per lane of the warp, all come back
void atomic_access(void* address, size_t bytes);                                 // for the checks
int lane();
void run(const char* name, dim3 grid, dim3 block, size_t shared_bytes, void (*call)(void*), void* kernel_call);
[[noreturn]] void refuse(const char* what, int line);

template <class T>
UNCHECKED T from_lane(unsigned mask, T value, int source, int width, int line) {
    if (width != warpSize) refuse("a shuffle with a width other than 32", line);
    const T* values = static_cast<const T*>(exchange(mask, &value, sizeof(T), line));
    return values[source];
}

void land_copies(int groups);  // all but those of the thread's last `groups` groups

template <class T, class Change>
UNCHECKED T atomic(T* address, Change change) {
    atomic_access(address, sizeof(T));
    const T old = *address;
    *address = change(old);
    return old;
}

}  // namespace cuda_cpu

template <class... Parameters, class... Arguments>
UNCHECKED void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t,
                      Arguments... arguments) {
    auto call = [&]() UNCHECKED { kernel(arguments...); };
    cuda_cpu::run(name, grid, block, shared_bytes, [](void* c) UNCHECKED { (*static_cast<decltype(call)*>(c))(); }, &call);
}

template <class T>
UNCHECKED T* dynamic_shared() {
    return static_cast<T*>(cuda_cpu::shared_memory());
}

// __builtin_LINE() as a default argument is the line of the call: the errors name it.
inline void __syncthreads(int line = __builtin_LINE()) { cuda_cpu::wait(cuda_cpu::BLOCK, line); }
inline void __syncwarp(unsigned = 0xffffffff, int line = __builtin_LINE()) { cuda_cpu::wait(cuda_cpu::WARP, line); }

template <class T>
UNCHECKED T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, int line = __builtin_LINE()) {
    return cuda_cpu::from_lane(mask, value, source & 31, width, line);
}
template <class T>
UNCHECKED T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize, int line = __builtin_LINE()) {
    return cuda_cpu::from_lane(mask, value, (cuda_cpu::lane() ^ lane_mask) & 31, width, line);
}
template <class T>
UNCHECKED T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = warpSize, int line = __builtin_LINE()) {
    const int source = cuda_cpu::lane() + int(distance);
    return cuda_cpu::from_lane(mask, value, source < warpSize ? source : cuda_cpu::lane(), width, line);
}
template <class T>
UNCHECKED T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = warpSize, int line = __builtin_LINE()) {
    const int source = cuda_cpu::lane() - int(distance);
    return cuda_cpu::from_lane(mask, value, source >= 0 ? source : cuda_cpu::lane(), width, line);
}
UNCHECKED inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    const int* predicates = static_cast<const int*>(cuda_cpu::exchange(mask, &predicate, sizeof(int), line));
    unsigned bits = 0;
    for (int i = 0; i < warpSize; i++) bits |= unsigned(predicates[i] != 0) << i;
    return bits;
}
UNCHECKED inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return __ballot_sync(mask, predicate, line) != 0;
}
UNCHECKED inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return __ballot_sync(mask, predicate, line) == 0xffffffff;
}

template <class T>
UNCHECKED T atomicAdd(T* address, T value) {
    return cuda_cpu::atomic(address, [value](T old) UNCHECKED { return old + value; });
}
template <class T>
UNCHECKED T atomicMax(T* address, T value) {
    return cuda_cpu::atomic(address, [value](T old) UNCHECKED { return std::max(old, value); });
}
inline void __threadfence() {}

inline const float* as_one_address(const float* pointer) { return pointer; }

// cp.async, as common/device.h wraps it. The target is NaN until the thread waits for the copy: who reads too early gets that.
// No inline functions: what they return to is the line of the kernel that the errors name.
void copy_async(float* to, const float* from, bool inside);
void copy_quad_async(float* to, const float* from, bool inside);
void end_of_copies();
template <int GROUPS>
UNCHECKED void wait_for_copies() {
    cuda_cpu::land_copies(GROUPS);
}

template <class T>
inline T __ldg(const T* address) { return *address; }

using std::max;
using std::min;
UNCHECKED inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
UNCHECKED inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
UNCHECKED inline float __fdividef(float a, float b) { return a / b; }
// <cmath> declares __expf and __logf as its own, so these are macros.
#define __expf expf
#define __logf logf
#define __exp2f exp2f
