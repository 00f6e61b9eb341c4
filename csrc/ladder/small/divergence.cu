// Divergence: the 32 lanes of a warp run in step. Where they take different branches, the warp runs both, one after the other, and the
// lanes of the other branch wait.
//
//     by warp     whole warps take one branch each              [ a a a a ... a ][ b b b b ... b ]
//     by lane     every second lane takes the other branch      [ a . a . a . a .] then [ . b . b . b . b]
//     by length   lane l makes l rounds of a loop               the warp makes 31
//
// The same sums are computed each time. On a GPU "by lane" takes about twice as long as "by warp".
#include "ladder/run.h"

constexpr int COUNT = 1 << 12, ROUNDS = 16;

__device__ float one_way(float x) {
    for (int i = 0; i < ROUNDS; i++) x = x * 1.5f + 0.25f;
    return x;
}
__device__ float the_other(float x) {
    for (int i = 0; i < ROUNDS; i++) x = x * 0.5f - 0.75f;
    return x;
}

__global__ void by_bit(const float* x, float* y, int bit) {  // bit 0: neighbours part; bit 5: neighbouring warps part
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= COUNT) return;
    if (i >> bit & 1) y[i] = one_way(x[i]);
    else y[i] = the_other(x[i]);
}

__global__ void by_length(const float* x, float* y) {
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= COUNT) return;
    float sum = x[i];
    for (int round = 0; round < i % 32; round++) sum = sum * 0.5f + 1;
    y[i] = sum;
}

int main() {
    return guarded([] {
        Numbers x(COUNT, mixed), y(COUNT, zero);
        measure("by warp", [&] { launch("by_warp", by_bit, COUNT / 256, 256, 0, nullptr, x.data, y.data, 5); });
        measure("by lane", [&] { launch("by_lane", by_bit, COUNT / 256, 256, 0, nullptr, x.data, y.data, 0); });
        measure("by length", [&] { launch("by_length", by_length, COUNT / 256, 256, 0, nullptr, x.data, y.data); });
        return 0;
    });
}
