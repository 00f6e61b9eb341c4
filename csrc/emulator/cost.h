// What a launch costs, by the accesses of its threads. The threads of a warp run one after another here; on a GPU they run in step. So
// the accesses of each thread are noted, and then the notes of a warp's lanes are played in step: lanes that stand at the same place of
// the code go on together, and the lanes that are furthest back go first, so that lanes meet again behind a branch.
//
//     global memory     a warp's access moves each sector of 32 bytes that it touches, once
//     shared memory     32 banks, each gives 4 bytes per wavefront: lanes that want different words of one bank take turns. 8 (16) bytes
//                       a lane are served to 16 (8) lanes at a time, or to twice as many if lanes l and l ^ 1 want the same address for
//                       each l, or if lanes l and l ^ 2 do
//     caches            there are none: what is read twice counts twice
//     wgmma             64 x 8 x N multiply-adds; b is read once for the four warps, 128 bytes per wavefront
//     multiply-adds     of the code that g++ made of the kernel: in each piece without branches, pairs of a multiplication and an
//                       addition of floats. nvcc makes one instruction of such a pair
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "emulator/check.h"

namespace cuda_cpu {

extern bool counting;

struct Cost {
    std::string kernel;
    dim3 grid, block;
    // bytes that the threads asked for; that moved, in whole sectors
    long global_read = 0, global_written = 0, sectors_read = 0, sectors_written = 0;
    long shared_read = 0, shared_written = 0;          // bytes that the threads asked for
    long wavefronts = 0, bank_conflicts = 0;           // conflicts: the wavefronts that would not be, if each lane had its own bank
    long multiply_adds = 0, multiplications = 0, additions = 0;  // the first are also in the others
    long barriers = 0;                                 // __syncthreads(), of all blocks
    long warp_steps = 0, lane_steps = 0;               // pieces of code without branches, by warps and by lanes: 32 to 1 if none diverges
};

void start_count(const char* kernel, dim3 grid, dim3 block);
void start_block(int threads);
void count_branch(void* code, uintptr_t stack);
void count_access(uintptr_t address, size_t bytes, Kind kind, bool shared, bool at_once, void* code, uintptr_t stack);
void replay_warp(int first, int last);  // when its lanes have met
void count_barrier();
std::vector<Cost> take_costs();  // of the launches since the last call

}  // namespace cuda_cpu
