// Division by a number that is known before the launch. A GPU has no instruction to divide integers: a division is some 20 others.
#pragma once

#include "common/device.h"

// floor(a / divisor) by a multiplication, for 0 <= a < 2^31.
struct Divider {
    unsigned divisor = 1, multiplier = 0, shift = 0;

    Divider() = default;
    explicit Divider(unsigned d) : divisor(d) {
        if (d == 1) return;
        while ((1ull << shift) < d) shift++;  // 2^shift >= d > 2^(shift - 1)
        multiplier = unsigned(((1ull << (31 + shift)) + d - 1) / d);
        shift -= 1;
    }
    __device__ int divide(int a) const { return divisor == 1 ? a : int(__umulhi(unsigned(a), multiplier) >> shift); }
};

// The same for a hot loop: it need not ask whether the divisor is 1, which takes three instructions.
struct LoopDivider {
    unsigned multiplier, shift = 31;

    explicit LoopDivider(unsigned d) {
        while ((1ull << (shift - 31)) < d) shift++;
        multiplier = unsigned(((1ull << shift) + d - 1) / d);  // less than 2^32, and 2^31 for d = 1
    }
    __device__ int divide(int a) const { return int(1ull * unsigned(a) * multiplier >> shift); }
};
