// What g++ -fsanitize=... calls: before each access, for a wrong index, for a division by 0, at each branch.
#include <cstring>

#include "emulator/check.h"
#include "emulator/cost.h"
#include "emulator/wgmma.h"

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
// The return address lies where the function's part of the stack ends.
HIDDEN void __tsan_func_entry(void* return_address) {
    if (!products_in_flight || position.thread < 0 || !on_a_stack(STACK)) return;
    void** place = reinterpret_cast<void**>(STACK);
    while (uintptr_t(place) < end_of_stack(position.thread) && *place != return_address) place++;
    if (uintptr_t(place) < end_of_stack(position.thread)) enter_function(uintptr_t(place));
}
HIDDEN void __tsan_func_exit() {}
HIDDEN void __tsan_init() {}

HIDDEN void __sanitizer_cov_trace_pc() {
    if (counting) count_branch(CODE, STACK);
}

struct Place {  // as g++ lays it out
    const char* file;
    unsigned line, column;
};
static void fail_at(const Place& place, const std::string& what) {
    if (!watching || position.thread < 0 || !enter_check()) return;
    const std::string file(place.file);
    const size_t slash = file.rfind('/'), folder = slash == std::string::npos || slash == 0 ? slash : file.rfind('/', slash - 1);
    fail(what + " at " + file.substr(folder + 1) + ":" + std::to_string(place.line) + " in " + who(position));
}
HIDDEN void __ubsan_handle_out_of_bounds(Place* place, uintptr_t index) {
    fail_at(*place, "index " + std::to_string(long(index)) + " is out of range");
}
HIDDEN void __ubsan_handle_divrem_overflow(Place* place, uintptr_t, uintptr_t) {  // a GPU goes on with a wrong number
    fail_at(*place, "division by 0");
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
