// Hopper's matrix instruction: four warps, a warpgroup, multiply 64 x 8 numbers of a by 8 x N of b (wgmma.mma_async.m64nNk8), both TF32
// as in tile_tf32.h. There are three differences to mma.sync:
//     b is read from shared memory by the tensor cores themselves, once for the four warps: no thread holds it in registers;
//     the instruction is asynchronous: it starts the product, and the threads go on;
//     only compute capability 9.0 has it, and only code for "90a" may use it (setup.py). Elsewhere these functions trap: ask has_wgmma().
//
// The order of the calls, all of them by whole warpgroups:
//     write b to shared memory;  fence_for_wgmma();  __syncthreads();        the tensor cores see what the threads have written
//     fill sum and a;  wgmma_fence(sum, a);                                  ... and the registers
//     wgmma_tf32(sum, a, b);  ...;  wgmma_commit();                          the products since the last commit are one group
//     wgmma_wait<0>(sum);                                                    all groups are complete
//     __syncthreads();  overwrite b
// From the product to the wait nobody touches sum, a or b. Products that add to the same sum may follow each other at once.
//
// Where a product is still on its way when the next round of a loop begins (wgmma_wait<1>), ptxas must know that no move is left to fill
// the sums: call wgmma_fence(sum) before the loop, too, and give each product in flight an array a of its own. Otherwise it makes every
// product wait for the one before it, and says so: "wgmma.mma_async instructions are serialized" (C7510 to C7515).
#pragma once

#include "common/device.h"

// Is there a current device that has wgmma, and code for it in this module?    bindings/has_wgmma.cu
bool has_wgmma();

// The operand b: 8 k and N columns, element (k, n) at numbers[k / 4][n][k % 4]. The tensor cores read it in pieces of 8 columns x 4 k,
// 128 bytes without a gap.
template <int N>
struct alignas(16) WgmmaColumns {
    static_assert(N == 32 || N == 64 || N == 96 || N == 128, "wgmma_tf32 is written for 32, 64, 96 and 128 columns");
    static constexpr int BYTES_TO_NEXT_K = 16 * N;        // from a piece to the one with the next 4 k: "leading byte offset"
    static constexpr int BYTES_TO_NEXT_COLUMNS = 8 * 16;  // ... with the next 8 columns: "stride byte offset"
    float numbers[2][N][4];
};

#ifdef __CUDACC__

// Tells the compiler that these registers change here: otherwise it may move what it does with them to the other side of a fence or a wait.
__device__ inline void registers_change(float& number) { asm volatile("" : "+f"(number)::"memory"); }
template <class T, int COUNT>
__device__ inline void registers_change(T (&numbers)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) registers_change(numbers[i]);
}

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define ONLY_WITH_WGMMA(...) __VA_ARGS__
#else
#define ONLY_WITH_WGMMA(...) __trap()
#endif

// What this thread has written to shared memory, by itself or by copies that it has waited for, is seen by wgmma after a barrier.
__device__ inline void fence_for_wgmma() { ONLY_WITH_WGMMA(asm volatile("fence.proxy.async.shared::cta;" ::: "memory")); }

// What was done with registers (sums and a) comes before the products that follow.
template <class... Registers>
__device__ inline void wgmma_fence(Registers&... registers) {
    (registers_change(registers), ...);
    ONLY_WITH_WGMMA(asm volatile("wgmma.fence.sync.aligned;" ::: "memory"));
}

// The products since the last commit are a group.
__device__ inline void wgmma_commit() { ONLY_WITH_WGMMA(asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory")); }

// All groups but the last GROUPS are complete. `registers` are the sums that are complete by it.
template <int GROUPS, class... Registers>
__device__ inline void wgmma_wait(Registers&... registers) {
    ONLY_WITH_WGMMA(asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(GROUPS) : "memory"));
    (registers_change(registers), ...);
}

// Address and the two distances, in units of 16 bytes; 0 elsewhere: no swizzle.
template <int N>
__device__ inline uint64_t descriptor_of(const WgmmaColumns<N>& b) {
    const auto sixteens = [](unsigned bytes) { return uint64_t(bytes >> 4 & 0x3fff); };
    return sixteens(unsigned(__cvta_generic_to_shared(&b))) | sixteens(WgmmaColumns<N>::BYTES_TO_NEXT_K) << 16 |
           sixteens(WgmmaColumns<N>::BYTES_TO_NEXT_COLUMNS) << 32;
}

// The instruction has N / 2 results, and the assembler wants each by its number. The numbers of a, of b and of `add` follow.
#define NUMBERS_0 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define NUMBERS_16 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NUMBERS_32 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define NUMBERS_48 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define SUM_4(i) "+f"(sum[i]), "+f"(sum[i + 1]), "+f"(sum[i + 2]), "+f"(sum[i + 3])
#define SUM_16(i) SUM_4(i), SUM_4(i + 4), SUM_4(i + 8), SUM_4(i + 12)
#define WGMMA(columns, results, a_numbers, b_number, add_number, ...)                                                              \
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, " add_number ", 0;\n"                                                       \
                 "wgmma.mma_async.sync.aligned.m64n" columns "k8.f32.tf32.tf32 {" results "}, {" a_numbers "}, " b_number ", add, 1, 1;\n}" \
                 : __VA_ARGS__                                                                                                     \
                 : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])), "r"(__float_as_uint(a[3])), \
                   "l"(descriptor_of(b)), "r"(int(add))                                                                            \
                 : "memory")

// sum += a b, or sum = a b. Warp w of the warpgroup has rows 16 w to 16 w + 15, and its lane 4 g + t, of these,
//     of a: (row g, k t), (g + 8, t), (g, t + 4), (g + 8, t + 4)
//     of the result, for each 8 columns j: sum[4 j ...] = (row g, column 8 j + 2 t), (g, 8 j + 2 t + 1), (g + 8, 8 j + 2 t), (g + 8, ...)
// The lower 13 bits of a and b are ignored. b and `add` are the same for all threads.
template <int N>
__device__ inline void wgmma_tf32(float (&sum)[N / 2], const float (&a)[4], const WgmmaColumns<N>& b, bool add = true) {
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
    if constexpr (N == 32)
        WGMMA("32", NUMBERS_0, "%16, %17, %18, %19", "%20", "%21", SUM_16(0));
    else if constexpr (N == 64)
        WGMMA("64", NUMBERS_0 ", " NUMBERS_16, "%32, %33, %34, %35", "%36", "%37", SUM_16(0), SUM_16(16));
    else if constexpr (N == 96)
        WGMMA("96", NUMBERS_0 ", " NUMBERS_16 ", " NUMBERS_32, "%48, %49, %50, %51", "%52", "%53", SUM_16(0), SUM_16(16), SUM_16(32));
    else
        WGMMA("128", NUMBERS_0 ", " NUMBERS_16 ", " NUMBERS_32 ", " NUMBERS_48, "%64, %65, %66, %67", "%68", "%69", SUM_16(0), SUM_16(16),
              SUM_16(32), SUM_16(48));
#else
    __trap();
#endif
}

#undef NUMBERS_0
#undef NUMBERS_16
#undef NUMBERS_32
#undef NUMBERS_48
#undef SUM_4
#undef SUM_16
#undef WGMMA
#undef ONLY_WITH_WGMMA

#elif !defined(MINIDIFF_CUDA)
#include "emulator/cuda_cpu_wgmma.h"
#endif
