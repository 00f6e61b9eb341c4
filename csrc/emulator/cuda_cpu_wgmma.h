// Hopper's wgmma for the emulator (wgmma.cpp): the functions of common/wgmma.h, which says what they mean.
// A product is carried out at the wait. Until then its sum is NaN, and the checks find who touches sum, a or b. For what is a register on
// a GPU they take a variable: each product in flight wants an array a of its own, also where nvcc would make several of one by unrolling.
#pragma once

#include "emulator/cuda_cpu.h"

namespace cuda_cpu {
void start_product(float* sum, const float* a, const void* b, int columns, bool add);
void wait_for_products(int groups);
void fence_registers();
}  // namespace cuda_cpu

void fence_for_wgmma();
void wgmma_commit();

template <int N>
ALWAYS_INLINE void wgmma_tf32(float (&sum)[N / 2], const float (&a)[4], const WgmmaColumns<N>& b, bool add = true) {
    cuda_cpu::start_product(sum, a, &b, N, add);
}
template <class... Registers>
ALWAYS_INLINE void wgmma_fence(Registers&...) {
    cuda_cpu::fence_registers();
}
template <int GROUPS, class... Registers>
ALWAYS_INLINE void wgmma_wait(Registers&...) {
    cuda_cpu::wait_for_products(GROUPS);
}
