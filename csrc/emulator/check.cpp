// What compute-sanitizer's memcheck, initcheck and racecheck do for a GPU, for the CPU build: every access of a kernel is
// looked at before it happens, and a wrong one ends the launch with an error that names the line, the thread and the block.
#include "emulator/check.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <vector>

// This module's own image in memory. Hidden: otherwise these names would mean the Python program's.
extern "C" {
extern char __ehdr_start __attribute__((visibility("hidden")));
extern char __bss_start __attribute__((visibility("hidden")));
extern char _end __attribute__((visibility("hidden")));
}

namespace cuda_cpu {

enum Kind { READ, WRITE, ATOMIC };

struct Access {
    Position position;  // launch 0: never
    void* code = nullptr;
};
struct Word {  // the recent history of 4 bytes
    Access write, read[2];
    bool write_was_atomic = false;
};
struct Region {
    uintptr_t begin = 0, end = 0;
    size_t element_size = 4;
    bool shared = false;
    std::vector<Word> words;
    bool contains(uintptr_t address) const { return address - begin < end - begin; }
    Word& word(uintptr_t address) {
        if (words.empty()) words.resize((end - begin) / 4 + 2);
        return words[(address - (begin & ~uintptr_t(3))) / 4];
    }
};

static bool checking = false;
static std::deque<Region> arrays;
static Region statics, dynamics;

bool set_checking(bool on) {
    const bool before = checking;
    checking = on;
    return before;
}

void allow(const void* data, size_t elements, size_t element_size) {
    if (!checking || !elements) return;
    Region region;
    region.begin = uintptr_t(data);
    region.end = region.begin + elements * element_size;
    region.element_size = element_size;
    for (const Region& known : arrays)
        if (known.begin == region.begin && known.end == region.end) return;
    arrays.push_back(region);
}

void forget_arrays() { arrays.clear(); }

void set_dynamic_shared(const void* data, size_t bytes) {
    dynamics = Region{uintptr_t(data), uintptr_t(data) + bytes, 4, true, {}};
    statics.begin = uintptr_t(&__bss_start);
    statics.end = uintptr_t(&_end);
    statics.shared = true;
}

// ---- messages ---------------------------------------------------------------------------------------------------------

// "conv2d/naive.cu:40" of an instruction, by addr2line; "?" where that is not installed.
static std::string line_of(void* code) {
    Dl_info module;
    if (!dladdr(code, &module)) return "?";
    char command[4096], line[1024] = "";
    const size_t offset = size_t(code) - size_t(module.dli_fbase) - 1;
    snprintf(command, sizeof command, "addr2line -e '%s' %zx 2>/dev/null", module.dli_fname, offset);
    if (FILE* pipe = popen(command, "r")) {
        if (!fgets(line, sizeof line, pipe)) line[0] = 0;
        pclose(pipe);
    }
    std::string text(line);
    text = text.substr(0, text.find_first_of(" \n"));
    if (text.empty()) return "?";
    const size_t file = text.rfind('/'), folder = file == 0 || file == std::string::npos ? file : text.rfind('/', file - 1);
    return text.substr(folder + 1);  // npos + 1 is 0
}

static std::string who(const Position& p) { return name_of(p.thread) + " of " + name_of_block(p.block_index); }

static std::string verb(Kind kind) { return kind == READ ? "reads" : kind == WRITE ? "writes" : "adds atomically"; }

static std::string distance_to_an_array(uintptr_t address) {
    for (const Region& region : arrays) {
        const std::string array = " an array of " + std::to_string((region.end - region.begin) / region.element_size) + " elements";
        const long before = long(region.begin - address) / long(region.element_size);
        const long after = long(address - region.end) / long(region.element_size) + 1;
        if (address < region.begin && before < 65536) return ", " + std::to_string(before) + " elements before" + array;
        if (address >= region.end && after < 65536) return ", element " + std::to_string(after) + " past the end of" + array;
    }
    return "";
}

static void race(const Region& region, const Access& a, Kind kind_a, Kind kind_b, void* code) {
    fail(std::string("data race in ") + (region.shared ? "shared" : "global") + " memory: " + who(a.position) +
         (kind_a == READ ? " read" : " wrote") + " at " + line_of(a.code) + " and " + who(position) + " " + verb(kind_b) + " at " +
         line_of(code) + " with no barrier between");
}

// ---- the checks -------------------------------------------------------------------------------------------------------

static bool unordered(const Position& a, bool shared) {
    const Position& b = position;
    if (a.launch != b.launch) return false;
    if (a.block != b.block) return !shared;
    if (a.thread == b.thread || a.block_phase != b.block_phase) return false;
    return a.thread / warpSize != b.thread / warpSize || a.warp_phase == b.warp_phase;
}

static void check_word(Region& region, uintptr_t address, Kind kind, void* code) {
    Word& word = region.word(address);
    if (region.shared && kind != WRITE && word.write.position.block != position.block)
        fail("shared memory that nobody has written: " + who(position) + " reads at " + line_of(code));
    const bool both_atomic = kind == ATOMIC && word.write_was_atomic;
    if (!both_atomic && unordered(word.write.position, region.shared)) race(region, word.write, WRITE, kind, code);
    if (kind == READ) {
        Access& slot = word.read[0].position.thread == position.thread ? word.read[0] : word.read[1];
        if (word.read[0].position.block_phase != position.block_phase) word.read[0] = Access{position, code};
        else slot = Access{position, code};
        return;
    }
    for (const Access& read : word.read)
        if (unordered(read.position, region.shared)) race(region, read, READ, kind, code);
    word.write = Access{position, code};
    word.write_was_atomic = kind == ATOMIC;
}

static Region* find(uintptr_t address) {
    if (statics.contains(address)) return &statics;
    if (dynamics.contains(address)) return &dynamics;
    static size_t last = 0;  // arrays are used in runs
    if (last < arrays.size() && arrays[last].contains(address)) return &arrays[last];
    for (size_t i = 0; i < arrays.size(); i++)
        if (arrays[i].contains(address)) return &arrays[last = i];
    return nullptr;
}

static void access(uintptr_t address, size_t bytes, Kind kind, void* code) {
    if (position.thread < 0 || on_a_stack(address)) return;
    Region* region = find(address);
    const bool own_image = address >= uintptr_t(&__ehdr_start) && address < uintptr_t(&__bss_start);  // constants and emulator state
    if (!region && own_image) return;
    if (!region || address + bytes > region->end)
        fail("out of bounds: " + who(position) + " " + verb(kind) + " at " + line_of(code) +
             distance_to_an_array(region ? region->end : address));
    for (uintptr_t word = address & ~uintptr_t(3); word < address + bytes; word += 4) check_word(*region, word, kind, code);
}

void atomic_access(void* address, size_t bytes) {
    if (checking) access(uintptr_t(address), bytes, ATOMIC, __builtin_return_address(0));
}

void copy_access(const void* address, size_t bytes, bool write, void* code) {
    if (!checking) return;
    if (uintptr_t(address) % bytes)
        fail("an address that is no multiple of " + std::to_string(bytes) + " bytes: " + who(position) + " copies at " + line_of(code));
    access(uintptr_t(address), bytes, write ? WRITE : READ, code);
}

}  // namespace cuda_cpu

// ---- what the compiler calls ------------------------------------------------------------------------------------------

#define HOOK(name, bytes, kind)                                                                            \
    __attribute__((visibility("hidden"))) void __tsan_##name(void* a) {                                    \
        if (cuda_cpu::checking) cuda_cpu::access(uintptr_t(a), bytes, kind, __builtin_return_address(0));  \
    }
#define HOOKS(prefix, bytes) HOOK(prefix##read##bytes, bytes, cuda_cpu::READ) HOOK(prefix##write##bytes, bytes, cuda_cpu::WRITE)

extern "C" {
HOOKS(, 1) HOOKS(, 2) HOOKS(, 4) HOOKS(, 8) HOOKS(, 16)
HOOKS(unaligned_, 2) HOOKS(unaligned_, 4) HOOKS(unaligned_, 8) HOOKS(unaligned_, 16)
HOOKS(volatile_, 1) HOOKS(volatile_, 2) HOOKS(volatile_, 4) HOOKS(volatile_, 8)

#define HIDDEN __attribute__((visibility("hidden")))
HIDDEN void __tsan_read_range(void* a, size_t bytes) {
    if (cuda_cpu::checking) cuda_cpu::access(uintptr_t(a), bytes, cuda_cpu::READ, __builtin_return_address(0));
}
HIDDEN void __tsan_write_range(void* a, size_t bytes) {
    if (cuda_cpu::checking) cuda_cpu::access(uintptr_t(a), bytes, cuda_cpu::WRITE, __builtin_return_address(0));
}
HIDDEN void __tsan_func_entry(void*) {}
HIDDEN void __tsan_func_exit() {}
HIDDEN void __tsan_init() {}

struct OutOfBounds {  // as g++ lays it out
    const char* file;
    unsigned line, column;
};
HIDDEN void __ubsan_handle_out_of_bounds(OutOfBounds* where, uintptr_t index) {
    if (!cuda_cpu::checking || cuda_cpu::position.thread < 0) return;
    const std::string file(where->file);
    cuda_cpu::fail("index " + std::to_string(long(index)) + " is out of range at " + file.substr(file.rfind('/') + 1) + ":" +
                   std::to_string(where->line) + " in " + cuda_cpu::who(cuda_cpu::position));
}
}
