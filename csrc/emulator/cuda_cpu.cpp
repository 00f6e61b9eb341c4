// The scheduler behind cuda_cpu.h: the threads of a block are fibers (stacks of their own, one CPU), run in turn until each of
// them waits at a barrier or returns. makecontext creates a fiber; _setjmp/_longjmp switch, 20 times faster than swapcontext.
#undef _FORTIFY_SOURCE  // its longjmp refuses to jump between stacks
#include "emulator/cuda_cpu.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "emulator/check.h"

// Kernels read these: non-zero initial values keep them out of .bss, where the checks look for __shared__ arrays.
uint3 threadIdx = {~0u, ~0u, ~0u}, blockIdx = {~0u, ~0u, ~0u};
dim3 blockDim(~0u), gridDim(~0u);

namespace cuda_cpu {

enum State { READY, AT_EXCHANGE, AT_WARP_BARRIER, AT_BLOCK_BARRIER, RETURNED, FAILED };

struct Copy {  // asynchronous, on its way
    float* to;
    float numbers[4];
    size_t bytes;
    long group;
    void* code;
};

struct Thread {
    uint3 index;
    State state;
    int line;            // where it waits
    unsigned exchanges;  // how many warp exchanges it took part in
    long group;          // of the copies that it starts
    std::vector<Copy> copies;
    jmp_buf registers;
};

constexpr size_t STACK = 128 * 1024, GUARD = 4096;  // a stack that overflows runs into its guard page

std::vector<Thread> threads;  // of the running block
Thread* running;
Position position;
char* stacks;
size_t stack_count;
std::string failure;
jmp_buf scheduler;
std::vector<float> dynamic_memory;
void (*call_kernel)(void*);
void* kernel_call;

static std::string triple(uint3 i) {
    return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}

static std::string describe(const Thread& thread) {
    const std::string at = " at line " + std::to_string(thread.line);
    const std::string who = "thread " + triple(thread.index);
    switch (thread.state) {
        case AT_EXCHANGE: return who + " waits for its warp" + at;
        case AT_WARP_BARRIER: return who + " waits in __syncwarp()" + at;
        case AT_BLOCK_BARRIER: return who + " waits in __syncthreads()" + at;
        default: return who + " has returned";
    }
}

std::string name_of(int thread) { return "thread " + triple(threads[thread].index); }
std::string name_of_block(uint3 block) { return "block " + triple(block); }

// ---- in a fiber -------------------------------------------------------------------------------------------------------

static void stop(State state, int line) {
    running->state = state;
    running->line = line;
    if (!_setjmp(running->registers)) _longjmp(scheduler, 1);
}

void fail(const std::string& message) {
    failure = message;
    running->state = FAILED;
    _longjmp(scheduler, 1);  // this fiber never runs again
}

void refuse(const char* what, int line) {
    fail(std::string("not emulated: ") + what + ", by " + name_of(position.thread) + " of " + name_of_block(blockIdx) + " at line " +
         std::to_string(line));
}

static void fiber() {  // a fiber's whole life: it serves the thread of the same number in block after block
    for (;;) {
        stop(RETURNED, 0);
        running->copies.clear();
        try {
            call_kernel(kernel_call);
        } catch (const std::exception& exception) {
            fail(exception.what());
        }
    }
}

int lane() { return position.thread % warpSize; }

void* shared_memory() { return dynamic_memory.data(); }

static void require_whole_warps(int line) {
    if (blockDim.x * blockDim.y * blockDim.z % warpSize) refuse("a warp function in a block that is no multiple of 32", line);
}

void wait(Scope scope, int line) {
    if (scope == WARP) require_whole_warps(line);
    stop(scope == BLOCK ? AT_BLOCK_BARRIER : AT_WARP_BARRIER, line);
}

// Each lane of the warp offers a value; all of them come back, in the order of the lanes.
const void* exchange(unsigned mask, const void* value, size_t bytes, int line) {
    if (mask != 0xffffffff) refuse("a warp function with a mask other than 0xffffffff", line);
    require_whole_warps(line);
    static char offers[2][32][warpSize * 64];  // two, as one lane may already be at the next exchange
    char* offer = offers[running->exchanges++ % 2][position.thread / warpSize];
    std::memcpy(offer + lane() * bytes, value, bytes);
    stop(AT_EXCHANGE, line);
    return offer;
}

static void start_copy(float* to, const float* from, int count, bool inside, void* code) {
    Copy copy{to, {}, count * sizeof(float), running->group, code};
    if (inside) {
        copy_access(from, copy.bytes, false, code);
        std::memcpy(copy.numbers, from, copy.bytes);
    }
    copy_access(to, copy.bytes, true, code);
    std::fill(to, to + count, NAN);
    running->copies.push_back(copy);
}

void land_copies(int groups) {
    std::vector<Copy>& copies = running->copies;
    size_t landed = 0;  // they are in the order of their groups
    for (; landed < copies.size() && copies[landed].group < running->group - groups; landed++) {
        const Copy& copy = copies[landed];
        copy_access(copy.to, copy.bytes, true, copy.code);
        std::memcpy(copy.to, copy.numbers, copy.bytes);
    }
    copies.erase(copies.begin(), copies.begin() + long(landed));
}

// ---- in the scheduler -------------------------------------------------------------------------------------------------

static void resume(Thread& thread) {
    running = &thread;
    threadIdx = thread.index;
    position.thread = int(&thread - threads.data());
    if (!_setjmp(scheduler)) _longjmp(thread.registers, 1);
    position.thread = -1;
    if (thread.state == FAILED) throw std::runtime_error(failure);
}

// Threads first to last - 1 must all have stopped at the same place.
static State meet(int first, int last) {
    const Thread& a = threads[first];
    for (int i = first + 1; i < last; i++) {
        const Thread& b = threads[i];
        if (a.state != b.state || a.line != b.line)
            throw std::runtime_error("barrier divergence in " + name_of_block(blockIdx) + ": " + describe(a) + ", but " + describe(b));
    }
    return a.state;
}

static void run_warp(int first, int last) {
    State state;
    do {
        for (int i = first; i < last; i++) resume(threads[i]);
        state = meet(first, last);
        if (state == AT_WARP_BARRIER) position.warp_phase++;  // a shuffle makes lanes wait, but orders no memory
    } while (state == AT_EXCHANGE || state == AT_WARP_BARRIER);
}

static void run_block() {
    const int count = int(threads.size());
    position.block++;
    position.block_index = blockIdx;
    do {
        for (int first = 0; first < count; first += warpSize) run_warp(first, std::min(first + warpSize, count));
        position.block_phase++;
    } while (meet(0, count) == AT_BLOCK_BARRIER);
}

static void make_fibers(unsigned count) {
    threads.assign(count, Thread{});
    if (count > stack_count) {
        if (stacks) munmap(stacks, stack_count * STACK);
        const int kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        stacks = static_cast<char*>(mmap(nullptr, count * STACK, PROT_READ | PROT_WRITE, kind, -1, 0));
        if (stacks == MAP_FAILED) {
            stacks = nullptr;
            stack_count = 0;
            throw std::runtime_error("no memory for the stacks of " + std::to_string(count) + " threads");
        }
        stack_count = count;
        for (size_t i = 0; i < count; i++) mprotect(stacks + i * STACK, GUARD, PROT_NONE);
    }
    for (unsigned i = 0; i < count; i++) {
        ucontext_t context, here;
        getcontext(&context);
        context.uc_stack.ss_sp = stacks + i * STACK;
        context.uc_stack.ss_size = STACK;
        context.uc_link = nullptr;
        makecontext(&context, fiber, 0);
        running = &threads[i];
        if (!_setjmp(scheduler)) swapcontext(&here, &context);  // up to its first stop()
    }
}

bool on_a_stack(uintptr_t address) { return address - uintptr_t(stacks) < stack_count * STACK; }

void run(const char* name, dim3 grid, dim3 block, size_t shared_bytes, void (*call)(void*), void* argument) {
    const unsigned count = block.x * block.y * block.z;
    if (count == 0 || count > 1024) throw std::runtime_error(std::string(name) + ": a block of " + std::to_string(count) + " threads");
    call_kernel = call;
    kernel_call = argument;
    blockDim = block;
    gridDim = grid;
    position.launch++;
    dynamic_memory.assign(shared_bytes / sizeof(float) + 4, NAN);
    set_dynamic_shared(dynamic_memory.data(), shared_bytes);
    if (threads.size() != count) make_fibers(count);
    for (unsigned i = 0; i < count; i++) threads[i].index = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
    try {
        for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
            for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
                for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) run_block();
    } catch (const std::exception& exception) {
        threads.clear();  // fibers that stopped half-way are not used again
        throw std::runtime_error(std::string(name) + ": " + exception.what());
    }
}

}  // namespace cuda_cpu

void copy_async(float* to, const float* from, bool inside) { cuda_cpu::start_copy(to, from, 1, inside, __builtin_return_address(0)); }
void copy_quad_async(float* to, const float* from, bool inside) { cuda_cpu::start_copy(to, from, 4, inside, __builtin_return_address(0)); }
void end_of_copies() { cuda_cpu::running->group++; }
