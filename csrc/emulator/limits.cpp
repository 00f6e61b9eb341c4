// What the GPU takes that is emulated.
#include <string>

#include "emulator/check.h"
#include "emulator/symbols.h"

namespace cuda_cpu {

Gpu gpu = {90, 227 * 1024, 132};

bool set_gpu(int capability) {
    constexpr Gpu KNOWN[] = {{75, 64 * 1024, 40},   {80, 163 * 1024, 108}, {86, 99 * 1024, 84},   {89, 99 * 1024, 142},
                             {90, 227 * 1024, 132}, {100, 227 * 1024, 148}, {120, 99 * 1024, 188}};
    for (const Gpu& known : KNOWN)
        if (known.capability == capability) {
            gpu = known;
            return true;
        }
    return false;
}

std::string beyond_a_limit(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes) {
    const auto too_many = [](const char* what, size_t count, size_t most) {
        return std::string(what) + " " + std::to_string(count) + ", a GPU takes " + std::to_string(most) + " at most";
    };
    const size_t count = size_t(block.x) * block.y * block.z;
    if (count == 0) return "a block of 0 threads";
    if (count > 1024) return too_many("a block of threads:", count, 1024);
    if (block.z > 64) return too_many("block.z is", block.z, 64);
    if (grid.x > 0x7fffffff) return too_many("grid.x is", grid.x, 0x7fffffff);
    if (grid.y > 65535) return too_many("grid.y is", grid.y, 65535);
    if (grid.z > 65535) return too_many("grid.z is", grid.z, 65535);
    if (shared_bytes > gpu.shared_bytes) return too_many("bytes of dynamic shared memory:", shared_bytes, gpu.shared_bytes);
    const size_t bound = size_t(launch_bound(kernel));
    if (bound && count > bound)
        return "a block of " + std::to_string(count) + " threads, but the kernel's __launch_bounds__ is " + std::to_string(bound);
    return "";
}

}  // namespace cuda_cpu
