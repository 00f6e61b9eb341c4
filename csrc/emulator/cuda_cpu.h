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
#if !defined(__SANITIZE_THREAD__)
#define UNCHECKED
#elif defined(__has_attribute) && __has_attribute(no_sanitize_coverage)
#define UNCHECKED __attribute__((no_sanitize("thread"), no_sanitize("undefined"), no_sanitize_coverage))
#else
#define UNCHECKED __attribute__((no_sanitize("thread"), no_sanitize("undefined")))
#endif

// An error names the line of the kernel, and not the line of the emulator, if what lies between them is inlined.
#define ALWAYS_INLINE __attribute__((always_inline)) inline

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...) LAUNCH_BOUNDS(__VA_ARGS__, 1)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __restrict__ __restrict

// The bound is kept where the launch finds it (symbols.cpp): the compiler puts so many no-operations before the kernel's first
// instruction, and the address of the first of them into a table.
#define LAUNCH_BOUNDS(threads, ...) __attribute__((patchable_function_entry(NUMBER(threads), NUMBER(threads))))
#define NUMBER(constant) sizeof(char[constant])  // g++ 12 fails at the name of a constant here

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 {
    unsigned x, y, z;
};
namespace cuda_cpu {
void copy(void* to, const void* from, size_t bytes);  // under the checks
}

// g++ calls no check where a struct is a function's argument or its result. So the vector types call it themselves when they are
// copied; a kernel's own structs need the rule in common/device.h. (= 0: or g++ sets up a __shared__ array of them at run time.)
#define VECTOR(T)                                                                    \
    constexpr T() = default;                                                         \
    ALWAYS_INLINE T(const T& other) { cuda_cpu::copy(this, &other, sizeof(T)); }     \
    ALWAYS_INLINE T& operator=(const T& other) {                                     \
        cuda_cpu::copy(this, &other, sizeof(T));                                     \
        return *this;                                                                \
    }

struct alignas(8) float2 {
    float x = 0, y = 0;
    VECTOR(float2)
    UNCHECKED float2(float x, float y) : x(x), y(y) {}
};
struct alignas(16) float4 {
    float x = 0, y = 0, z = 0, w = 0;
    VECTOR(float4)
    UNCHECKED float4(float x, float y, float z, float w) : x(x), y(y), z(z), w(w) {}
};
struct alignas(8) int2 {
    int x = 0, y = 0;
    VECTOR(int2)
    UNCHECKED int2(int x, int y) : x(x), y(y) {}
};
struct alignas(16) int4 {
    int x = 0, y = 0, z = 0, w = 0;
    VECTOR(int4)
    UNCHECKED int4(int x, int y, int z, int w) : x(x), y(y), z(z), w(w) {}
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

// The GPU whose limits a launch must keep.
struct Gpu {
    int capability;       // 90 is 9.0
    size_t shared_bytes;  // that one block may have, static and dynamic
    int processors;
};
extern Gpu gpu;

enum Scope { WARP, BLOCK };

void wait(Scope scope, int line);
void* shared_memory();                                                           // the dynamic shared memory of this block
const void* exchange(unsigned mask, const void* value, size_t bytes, int line);  // one value per lane of the warp, all come back
void atomic_access(void* address, size_t bytes);                                 // for the checks
void count_multiply_adds(long count);                                            // of this thread, that no instruction shows (cost.h)
int lane();
void run(const char* name, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes, void (*call)(void*), void* kernel_call);
[[noreturn]] void refuse(const char* what, int line);

template <class T>
UNCHECKED T from_lane(unsigned mask, T value, int source, int width, int line) {
    static_assert(std::is_arithmetic_v<T>, "CUDA shuffles numbers, not structs");
    if (width != warpSize) refuse("a shuffle with a width other than 32", line);
    const T* values = static_cast<const T*>(exchange(mask, &value, sizeof(T), line));
    return values[source];
}

void land_copies(int groups);  // all but those of the thread's last `groups` groups

template <class T, class Change>
UNCHECKED T change(T* address, Change change) {
    const T old = *address;
    *address = change(old);
    return old;
}

}  // namespace cuda_cpu

template <class... Parameters, class... Arguments>
ALWAYS_INLINE void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t,
                          Arguments... arguments) {
    auto call = [&]() UNCHECKED { kernel(arguments...); };
    const void* address = reinterpret_cast<const void*>(kernel);
    cuda_cpu::run(name, address, grid, block, shared_bytes, [](void* c) UNCHECKED { (*static_cast<decltype(call)*>(c))(); }, &call);
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
ALWAYS_INLINE T atomicAdd(T* address, T value) {
    cuda_cpu::atomic_access(address, sizeof(T));
    return cuda_cpu::change(address, [value](T old) UNCHECKED { return old + value; });
}
template <class T>
ALWAYS_INLINE T atomicMax(T* address, T value) {
    cuda_cpu::atomic_access(address, sizeof(T));
    return cuda_cpu::change(address, [value](T old) UNCHECKED { return std::max(old, value); });
}
inline void __threadfence() {}

inline const float* as_one_address(const float* pointer) { return pointer; }
inline int kept(int number) { return number; }
template <class T> T& kept_in_shared(T& x) { return x; }

// cp.async, as common/device.h wraps it. The target is NaN until the thread waits for the copy: who reads too early gets that.
// No inline functions: what they return to is the line of the kernel that the errors name.
void copy_async(float* to, const float* from, bool inside);
void copy_pair_async(float* to, const float* from, bool inside);
void copy_quad_async(float* to, const float* from, bool inside);
void copy_quad_async_by_l1(float* to, const float* from, bool inside);
void end_of_copies();
template <int GROUPS>
UNCHECKED void wait_for_copies() {
    cuda_cpu::land_copies(GROUPS);
}

template <class T>
ALWAYS_INLINE T __ldg(const T* address) { return *address; }

using std::max;
using std::min;
UNCHECKED inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
UNCHECKED inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
ALWAYS_INLINE float __fdividef(float a, float b) { return a / b; }  // inline: else multiply-adds next to it are not counted
// <cmath> declares __expf and __logf as its own, so these are macros.
#define __expf expf
#define __logf logf
#define __exp2f exp2f
