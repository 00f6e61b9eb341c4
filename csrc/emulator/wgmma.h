// Products of warpgroups that are on their way, as the scheduler and the checks see them.
#pragma once

#include <functional>

#include "emulator/check.h"

namespace cuda_cpu {

constexpr int WARPGROUP = 128;
extern long products_in_flight;  // of the running block

// Of wgmma.cpp.
void forget_products(int threads);  // a new block begins
void require_no_products();         // the running thread returns
int fences_of(int thread);          // how often it has called fence_for_wgmma
bool fenced(const Position& write);  // has the thread called it after its write, and before the barrier?
void check_registers(uintptr_t address, size_t bytes, Kind kind, void* code);  // the running thread touches its stack
void enter_function(uintptr_t end_of_frame);  // what lies below belongs to functions that have returned

// Of the scheduler. All threads of the running one's warpgroup meet; the last one to come calls `act` with the first one's number.
void meet_warpgroup(const char* call, void* code, const std::function<void(int)>& act);
uintptr_t end_of_stack(int thread);

// Of the checks: the operand b of a product is read by the tensor cores, at any time from its start to its end.
void start_reading(const void* b, size_t bytes, int first_thread, void* code);
void end_reading(const void* b, size_t bytes, int first_thread, void* code);
void forget_operands();

// Of the cost counter.
void count_product(int columns);

}  // namespace cuda_cpu
