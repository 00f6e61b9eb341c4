// Vectors of floats, and exp on them. The type is the compiler's own (GCC, Clang): it becomes AVX-512, AVX2, SSE or NEON
// instructions. setup.py compiles these sources once for each kind of processor; LANES is what fits into its registers, and
// VARIANT is the namespace of that copy: functions of one name that were compiled for different processors must not meet.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace VARIANT {

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t IntLanes __attribute__((vector_size(4 * LANES)));

inline Lanes all(float value) { return value - Lanes{}; }  // value in each lane

inline Lanes load(const float* from) {
    Lanes lanes;
    std::memcpy(&lanes, from, sizeof(lanes));  // the address need not be aligned
    return lanes;
}
inline void store(float* to, Lanes lanes) { std::memcpy(to, &lanes, sizeof(lanes)); }

// The first `count` lanes; the others are 0.
inline Lanes load(const float* from, int64_t count) {
    Lanes lanes{};
    std::memcpy(&lanes, from, sizeof(float) * count);
    return lanes;
}
inline void store(float* to, Lanes lanes, int64_t count) { std::memcpy(to, &lanes, sizeof(float) * count); }

// Memory for the time of a call.
struct Scratch {
    float* data;
    explicit Scratch(int64_t count) : data(new float[count]) {}
    ~Scratch() { delete[] data; }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
};

inline float sum_of(Lanes lanes) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += lanes[i];
    return sum;
}

// e^x = 2^n e^r  with  n = round(x / ln 2)  and  r = x - n ln 2 in +-0.35, where a polynomial of degree 6 is right to 1 ulp or so.
// n is found by adding 1.5 * 2^23: a float that large has no places after the point left, and its last bits are n.
// Above 88.7 it is inf and below -87.3 it is 0 or nearly so; NaN stays NaN, since no comparison with it is true.
inline Lanes exp(Lanes x) {
    const float LIMIT = 89, ROUND = 12582912, LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;
    x = x > LIMIT ? all(LIMIT) : x;
    x = x < -LIMIT ? all(-LIMIT) : x;
    const Lanes shifted = x * 1.44269504f + ROUND;
    const Lanes n = shifted - ROUND;
    const Lanes r = x - n * LN2_HIGH - n * LN2_LOW;
    Lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1;
    const IntLanes exponent = ((IntLanes)shifted << 23) + (127 << 23);  // the bits of 2^n: n = 128 gives inf
    return p * (Lanes)(exponent > 0 ? exponent : IntLanes{});           // n = -127 or less: 0
}

inline Lanes sigmoid(Lanes x) { return 1 / (1 + exp(-x)); }

}  // namespace VARIANT
