// Occupancy: how many warps a multiprocessor holds at a time, of 64. A warp that waits for memory costs nothing while another can go on.
//
//     limits of a multiprocessor of an H100 or H200:   2048 threads   32 blocks   65536 registers   228 KB of shared memory
//
//                        blocks that fit  =  the least of   2048 / threads      65536 / (registers * threads)      228 KB / (bytes + 1 KB)
//
// The table is that arithmetic. Memory wants enough bytes on their way (Little's law): at 2713 GB/s, measured on an H200, and some 600 ns
// from question to answer, 1.6 MB, or 12 KB a multiprocessor: 64 warps of 4 bytes a lane have 8 KB on their way, 32 warps of 16 bytes a
// lane 16 KB. So few warps are enough where each asks for much at once. On a GPU the copy below is timed with blocks kept apart by shared
// memory that they don't use.
#include "ladder/run.h"

constexpr int COUNT = 1 << 14, THREADS = 256;

template <class Quad>
__global__ void copy(const Quad* x, Quad* y, int count) {
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < count) y[i] = x[i];
}

int blocks_that_fit(int threads, int registers, int bytes) {
    return std::min({2048 / threads, 32, 65536 / (registers * threads), 228 * 1024 / (bytes + 1024)});
}

int main() {
    return guarded([] {
        std::printf("threads  registers  shared bytes  blocks  warps of 64\n");
        for (const auto& [threads, registers, bytes] :
             {std::array{256, 32, 0}, {256, 64, 0}, {256, 128, 0}, {128, 168, 12800}, {256, 32, 50000}, {1024, 33, 8192},
              {1024, 64, 8192}}) {
            const int blocks = blocks_that_fit(threads, registers, bytes);
            std::printf("%7d  %9d  %12d  %6d  %5d\n", threads, registers, bytes, blocks, blocks * threads / 32);
        }
        Numbers x(4 * COUNT, mixed), y(4 * COUNT, zero);
        for (const int shared : {0, 40 * 1024, 100 * 1024}) {
            const std::string name = "4 bytes, " + std::to_string(blocks_that_fit(THREADS, 32, shared) * 8) + " warps";
            const int blocks = 4 * COUNT / THREADS;
            measure(name.c_str(), [&] { launch("copy", copy<float>, blocks, THREADS, shared, nullptr, x.data, y.data, 4 * COUNT); });
        }
        const auto *from = reinterpret_cast<const float4*>(x.data);
        auto* to = reinterpret_cast<float4*>(y.data);
        measure("16 bytes, 64 warps", [&] { launch("copy", copy<float4>, COUNT / THREADS, THREADS, 0, nullptr, from, to, COUNT); });
        for (int i = 0; i < 4 * COUNT; i++)
            if (y.data[i] != x.data[i]) throw std::runtime_error("a wrong number was copied");
        return 0;
    });
}
