// Tensor cores for the emulator: the instruction mma.sync.m16n8k8 for TF32, with the places that PTX gives a lane's operands.
#pragma once

#include "emulator/cuda_cpu.h"

UNCHECKED inline float cut_to_tf32(float value) {  // 10 bits of mantissa are left
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits &= ~uint32_t(0x1fff);
    std::memcpy(&value, &bits, 4);
    return value;
}

UNCHECKED inline float round_to_tf32(float value) {  // to the nearest, halves away from 0
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if ((bits & 0x7f800000) != 0x7f800000) bits = (bits + 0x1000) & ~uint32_t(0x1fff);  // infinity and NaN stay what they are
    std::memcpy(&value, &bits, 4);
    return value;
}

// d += a b. Lane 4 g + t holds of a: (row g, k t), (g + 8, t), (g, t + 4), (g + 8, t + 4); of b: (k t, column g), (t + 4, g);
// of d: (row g, column 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1). The lower 13 bits of a and b are ignored.
UNCHECKED inline void mma_tf32(float (&d)[4], const float (&a)[4], const float (&b)[2], int line = __builtin_LINE()) {
    struct Both {
        float a[4], b[2];
    } mine;
    for (int e = 0; e < 4; e++) mine.a[e] = cut_to_tf32(a[e]);
    for (int e = 0; e < 2; e++) mine.b[e] = cut_to_tf32(b[e]);
    const Both* all = static_cast<const Both*>(cuda_cpu::exchange(0xffffffff, &mine, sizeof mine, line));
    cuda_cpu::count_multiply_adds(16 * 8 * 8 / warpSize);
    const int g = cuda_cpu::lane() / 4, t = cuda_cpu::lane() % 4;
    for (int e = 0; e < 4; e++)
        for (int k = 0; k < 8; k++) {
            const Both &row = all[g * 4 + k % 4], &column = all[(2 * t + e % 2) * 4 + k % 4];
            d[e] += row.a[e / 2 + k / 4 * 2] * column.b[k / 4];
        }
}
