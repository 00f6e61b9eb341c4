// The checks of the CPU build. g++ -fsanitize=thread,bounds calls a function before each memory access of a kernel; check.cpp
// defines those functions itself (no sanitizer library is linked) and knows which thread runs and how many barriers it passed.
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
    long block_phase = 0;        // __syncthreads() passed so far
    long warp_phase = 0;         // __syncwarp() passed so far
    uint3 block_index = {0, 0, 0};
};
extern Position position;

bool set_checking(bool on);                     // returns what it was
void allow(const void* data, size_t elements, size_t element_size);  // an array that kernels may use ...
void forget_arrays();                           // ... until here
void set_dynamic_shared(const void* data, size_t bytes);

void copy_access(const void* address, size_t bytes, bool write, void* code);  // of a copy_async at `code`

// From the scheduler, for the messages.
std::string name_of(int thread);
std::string name_of_block(uint3 block);
bool on_a_stack(uintptr_t address);
[[noreturn]] void fail(const std::string& message);

}  // namespace cuda_cpu
