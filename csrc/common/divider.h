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
