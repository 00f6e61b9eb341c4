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
#include "emulator/cost.h"
#include "emulator/symbols.h"
#include "emulator/wgmma.h"

// Kernels read these: non-zero initial values keep them out of .bss, where the checks look for __shared__ arrays.
uint3 threadIdx = {~0u, ~0u, ~0u}, blockIdx = {~0u, ~0u, ~0u};
dim3 blockDim(~0u), gridDim(~0u);

namespace cuda_cpu {

enum State { READY, AT_EXCHANGE, AT_WARP_BARRIER, AT_WARPGROUP, AT_BLOCK_BARRIER, RETURNED, FAILED };

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
    const char* call;    // the same for a warpgroup: for what, ...
    void* code;          // ... and where
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
size_t stack_bytes;
std::string failure;
jmp_buf scheduler;
std::vector<char> dynamic_memory;
char* dynamic_start;  // a multiple of 16 and, to find out who relies on more, of no more
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
        case AT_WARPGROUP: return who + " waits for its warpgroup in " + thread.call + " at " + line_of(thread.code);
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
    leave_check();
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
        if (products_in_flight) require_no_products();
    }
}

int lane() { return position.thread % warpSize; }

void* shared_memory() { return dynamic_start; }

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

static bool at_one_call(const Thread& a, const Thread& b) {
    if (a.state != b.state || a.state != AT_WARPGROUP) return false;
    return a.call == b.call && (a.code == b.code || line_of(a.code) == line_of(b.code));  // g++ may double a piece of code
}

void meet_warpgroup(const char* call, void* code, const std::function<void(int)>& act) {
    const int thread = position.thread, first = thread / WARPGROUP * WARPGROUP;
    if (size_t(first) + WARPGROUP > threads.size())
        fail(std::string(call) + " wants warpgroups of 128 threads, and the block has " + std::to_string(threads.size()) + ": " +
             name_of(thread) + " of " + name_of_block(blockIdx) + " at " + line_of(code));
    running->state = AT_WARPGROUP;
    running->call = call, running->code = code;
    const auto is_here = [](const Thread& other) { return at_one_call(other, *running); };
    if (thread == first + WARPGROUP - 1 && std::all_of(&threads[first], running + 1, is_here)) {
        act(first);
        position.thread = thread;
    }
    stop(AT_WARPGROUP, 0);
}

uintptr_t end_of_stack(int thread) { return uintptr_t(stacks) + size_t(thread + 1) * STACK; }

static void start_copy(float* to, const float* from, int count, bool inside, void* code, uintptr_t stack) {
    Copy copy{to, {}, count * sizeof(float), running->group, code};
    if (inside) {
        if (watching) access(uintptr_t(from), copy.bytes, READ, true, code, stack);
        std::memcpy(copy.numbers, from, copy.bytes);
    }
    if (watching) access(uintptr_t(to), copy.bytes, COPY, true, code, stack);
    std::fill(to, to + count, NAN);
    running->copies.push_back(copy);
}

void land_copies(int groups) {
    std::vector<Copy>& copies = running->copies;
    size_t landed = 0;  // they are in the order of their groups
    for (; landed < copies.size() && copies[landed].group < running->group - groups; landed++) {
        const Copy& copy = copies[landed];
        if (watching) access(uintptr_t(copy.to), copy.bytes, LAND, true, copy.code, 0);
        std::memcpy(copy.to, copy.numbers, copy.bytes);
    }
    copies.erase(copies.begin(), copies.begin() + long(landed));
}

// ---- in the scheduler -------------------------------------------------------------------------------------------------

static void resume(Thread& thread) {
    running = &thread;
    threadIdx = thread.index;
    position.thread = int(&thread - threads.data());
    position.fences = fences_of(position.thread);
    if (!_setjmp(scheduler)) _longjmp(thread.registers, 1);
    position.thread = -1;
    if (thread.state == FAILED) throw std::runtime_error(failure);
}

// Threads first to last - 1 must all have stopped at the same place.
static State meet(int first, int last) {
    const Thread& a = threads[first];
    for (int i = first + 1; i < last; i++) {
        const Thread& b = threads[i];
        if (a.state == AT_WARPGROUP ? !at_one_call(a, b) : a.state != b.state || a.line != b.line)
            throw std::runtime_error("barrier divergence in " + name_of_block(blockIdx) + ": " + describe(a) + ", but " + describe(b));
    }
    return a.state;
}

static void run_warp(int first, int last) {
    State state;
    do {
        for (int i = first; i < last; i++) resume(threads[i]);
        state = meet(first, last);
        if (counting) replay_warp(first, last);
        if (state == AT_WARP_BARRIER) position.warp_phase++;  // a shuffle makes lanes wait, but orders no memory
    } while (state == AT_EXCHANGE || state == AT_WARP_BARRIER);
}

// Four warps, or fewer at the end of a block.
static void run_warpgroup(int first, int last) {
    bool together;
    do {
        for (int warp = first; warp < last; warp += warpSize) run_warp(warp, std::min(warp + warpSize, last));
        together = std::any_of(&threads[first], &threads[first] + (last - first), [](const Thread& t) { return t.state == AT_WARPGROUP; });
        if (together) meet(first, last);
    } while (together);
}

static void run_block() {
    const int count = int(threads.size());
    position.block++;
    position.block_index = blockIdx;
    if (counting) start_block(count);
    forget_products(count);
    for (;;) {
        for (int first = 0; first < count; first += WARPGROUP) run_warpgroup(first, std::min(first + WARPGROUP, count));
        position.block_phase++;
        if (meet(0, count) != AT_BLOCK_BARRIER) return;
        if (counting) count_barrier();
    }
}

static void make_fibers(unsigned count) {
    threads.assign(count, Thread{});
    if (count * STACK > stack_bytes) {
        if (stacks) munmap(stacks, stack_bytes);
        const int kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        stacks = static_cast<char*>(mmap(nullptr, count * STACK, PROT_READ | PROT_WRITE, kind, -1, 0));
        if (stacks == MAP_FAILED) {
            stacks = nullptr;
            stack_bytes = 0;
            throw std::runtime_error("no memory for the stacks of " + std::to_string(count) + " threads");
        }
        stack_bytes = count * STACK;
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

// ---- launches ---------------------------------------------------------------------------------------------------------

void run(const char* name, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes, void (*call)(void*), void* argument) {
    if (const std::string limit = beyond_a_limit(kernel, grid, block, shared_bytes); !limit.empty())
        throw std::runtime_error(std::string(name) + ": a launch that a GPU refuses, at " + line_of(__builtin_return_address(0)) + ": " +
                                 limit);
    const unsigned count = block.x * block.y * block.z;
    call_kernel = call;
    kernel_call = argument;
    blockDim = block, gridDim = grid;
    position.launch++;
    dynamic_memory.assign(shared_bytes + 64, '\xff');  // NaN
    dynamic_start = reinterpret_cast<char*>((uintptr_t(dynamic_memory.data()) + 31) / 32 * 32 + 16);
    set_dynamic_shared(dynamic_start, shared_bytes);
    if (counting) start_count(name, grid, block);
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

#define HERE __builtin_return_address(0), uintptr_t(__builtin_frame_address(0))
void copy_async(float* to, const float* from, bool inside) { cuda_cpu::start_copy(to, from, 1, inside, HERE); }
void copy_pair_async(float* to, const float* from, bool inside) { cuda_cpu::start_copy(to, from, 2, inside, HERE); }
void copy_quad_async(float* to, const float* from, bool inside) { cuda_cpu::start_copy(to, from, 4, inside, HERE); }
void copy_quad_async_by_l1(float* to, const float* from, bool inside) { cuda_cpu::start_copy(to, from, 4, inside, HERE); }
void end_of_copies() { cuda_cpu::running->group++; }
