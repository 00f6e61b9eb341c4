// Coalescing: what a warp reads in one instruction moves in sectors of 32 bytes, whatever the warp wants of them.
//
//     stride 1    lanes read side by side       [l0 l1 ... l7][l8 ... ]    32 lanes, 4 sectors, all of it wanted
//     stride 8    every lane its own sector     [l0 .........][l1 ......   32 lanes, 32 sectors, an eighth wanted
//     from 1      the same as stride 1, begun 4 bytes later: 5 sectors
//
// On a GPU the times follow the bytes that move, until the caches hold all of the array.
#include "ladder/run.h"

constexpr int COUNT = 1 << 14;

__global__ void copy(const float* x, float* y, int stride, int from) {
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < COUNT) y[i] = x[(i * stride + from) % (32 * COUNT)];
}

int main() {
    return guarded([] {
        Numbers x(32 * COUNT, mixed), y(COUNT, zero);
        for (const auto& way : {std::pair(1, 0), {1, 1}, {2, 0}, {8, 0}, {32, 0}}) {
            const int stride = way.first, from = way.second;
            const std::string name = "stride " + std::to_string(stride) + " from " + std::to_string(from);
            measure(name.c_str(), [&] { launch("copy", copy, COUNT / 256, 256, 0, nullptr, x.data, y.data, stride, from); });
            for (int i = 0; i < COUNT; i++)
                if (y.data[i] != x.data[(i * stride + from) % (32 * COUNT)]) throw std::runtime_error("a wrong number was copied");
        }
        return 0;
    });
}
