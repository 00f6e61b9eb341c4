// What g++ -fsanitize=thread,bounds-strict -fsanitize-coverage=trace-pc calls: before each access, for a wrong index, at each branch.
#include <cstring>

#include "emulator/check.h"
#include "emulator/cost.h"

using namespace cuda_cpu;

#define HIDDEN __attribute__((visibility("hidden")))
#define CODE __builtin_return_address(0)                  // where in the kernel
#define STACK uintptr_t(__builtin_frame_address(0))       // how deep in its functions: cost.cpp
#define ACCESS(address, bytes, kind, at_once) \
    if (watching) access(uintptr_t(address), bytes, kind, at_once, CODE, STACK)

// An access of `bytes` bytes is one instruction, and its address must be a multiple of them; where g++ itself cannot rely on that
// ("unaligned"), nvcc reads and writes in pieces.
#define HOOK(name, bytes, kind, at_once) \
    HIDDEN void __tsan_##name(void* a) { ACCESS(a, bytes, kind, at_once); }
#define HOOKS(prefix, bytes, at_once) HOOK(prefix##read##bytes, bytes, READ, at_once) HOOK(prefix##write##bytes, bytes, WRITE, at_once)

extern "C" {
HOOKS(, 1, true) HOOKS(, 2, true) HOOKS(, 4, true) HOOKS(, 8, true) HOOKS(, 16, true)
HOOKS(volatile_, 1, true) HOOKS(volatile_, 2, true) HOOKS(volatile_, 4, true) HOOKS(volatile_, 8, true) HOOKS(volatile_, 16, true)
HOOKS(unaligned_, 2, false) HOOKS(unaligned_, 4, false) HOOKS(unaligned_, 8, false) HOOKS(unaligned_, 16, false)

HIDDEN void __tsan_read_range(void* a, size_t bytes) { ACCESS(a, bytes, READ, false); }
HIDDEN void __tsan_write_range(void* a, size_t bytes) { ACCESS(a, bytes, WRITE, false); }
HIDDEN void __tsan_func_entry(void*) {}
HIDDEN void __tsan_func_exit() {}
HIDDEN void __tsan_init() {}

HIDDEN void __sanitizer_cov_trace_pc() {
    if (counting) count_branch(CODE, STACK);
}

struct OutOfBounds {  // as g++ lays it out
    const char* file;
    unsigned line, column;
};
HIDDEN void __ubsan_handle_out_of_bounds(OutOfBounds* where, uintptr_t index) {
    if (!watching || position.thread < 0 || !enter_check()) return;
    const std::string file(where->file);
    const size_t slash = file.rfind('/'), folder = slash == std::string::npos || slash == 0 ? slash : file.rfind('/', slash - 1);
    fail("index " + std::to_string(long(index)) + " is out of range at " + file.substr(folder + 1) + ":" +
         std::to_string(where->line) + " in " + who(position));
}
}

namespace cuda_cpu {

void copy(void* to, const void* from, size_t bytes) {
    ACCESS(from, bytes, READ, true);
    ACCESS(to, bytes, WRITE, true);
    std::memmove(to, from, bytes);
}

void atomic_access(void* address, size_t bytes) { ACCESS(address, bytes, ATOMIC, true); }

}  // namespace cuda_cpu
