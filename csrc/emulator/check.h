// The checks of the CPU build. g++ -fsanitize=... calls a function before each memory access of a kernel; hooks.cpp defines those
// functions itself (no sanitizer library is linked). check.cpp decides whether an access is right, cost.cpp counts what it costs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "emulator/cuda_cpu.h"

namespace cuda_cpu {

// Who touches memory, and when. The counters never go back.
struct Position {
    long launch = 0, block = 0;  // of all launches and blocks so far
    int thread = -1;             // in its block; -1 when no kernel runs
    int fences = 0;              // fence_for_wgmma() called so far
    long block_phase = 0;        // __syncthreads() passed so far
    long warp_phase = 0;         // __syncwarp() passed so far
    uint3 block_index = {0, 0, 0};
};
extern Position position;

// Of limits.cpp.
bool set_gpu(int capability);  // false if it is not known here
std::string beyond_a_limit(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes);  // why a GPU refuses this launch; empty if it does not

bool set_checking(bool on);  // returns what it was
bool set_counting(bool on);
extern bool watching;  // checking or counting

// An array that kernels may use until it is forgotten. allocation: where the memory begins that it is a part of.
void allow(const void* data, size_t elements, size_t element_size, const void* allocation = nullptr);
void forget(const void* data, size_t elements, size_t element_size);
void forget_arrays();
size_t allowed_arrays();
void set_dynamic_shared(const void* data, size_t bytes);

// What the compiler's calls come down to. stack: where the function's memory is, to be counted (cost.cpp); 0: not to be counted.
enum Kind { READ, WRITE, ATOMIC, COPY, LAND, PRODUCT };  // COPY, LAND: a copy_async writes, when it starts and when it has arrived;
                                                         // PRODUCT: tensor cores read, for a whole warp
void access(uintptr_t address, size_t bytes, Kind kind, bool at_once, void* code, uintptr_t stack);
bool enter_check();  // false inside of the checks themselves
void leave_check();

// From the scheduler.
std::string name_of(int thread);
std::string name_of_block(uint3 block);
std::string who(const Position& position);
extern char* stacks;
extern size_t stack_bytes;  // of all threads together
inline bool on_a_stack(uintptr_t address) { return address - uintptr_t(stacks) < stack_bytes; }
[[noreturn]] void fail(const std::string& message);

}  // namespace cuda_cpu
