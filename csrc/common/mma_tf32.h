// TF32: float32 with 10 instead of 23 bits of mantissa, and the instruction of a warp that multiplies such numbers. What a lane holds of
// them: tile_tf32.h.
#pragma once

#include "common/device.h"

#ifdef __CUDACC__
// d += a b. An operand's lower 13 bits are ignored.
__device__ inline void mma_tf32(float (&d)[4], const float (&a)[4], const float (&b)[2]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])), "r"(__float_as_uint(a[3])),
          "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}
__device__ inline float cut_to_tf32(float value) { return __uint_as_float(__float_as_uint(value) & 0xffffe000u); }
__device__ inline float round_to_tf32(float value) {
#if __CUDA_ARCH__ >= 800
    unsigned rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(value));
    return __uint_as_float(rounded);
#else
    return value;  // older GPUs have no tensor cores for TF32, so nobody asks
#endif
}
#else
#include "emulator/cuda_cpu_mma.h"
#endif
