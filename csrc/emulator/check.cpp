// What compute-sanitizer's memcheck, initcheck and racecheck do for a GPU, for the CPU build: every access of a kernel is
// looked at before it happens, and a wrong one ends the launch with an error that names the line, the thread and the block.
#include "emulator/check.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "emulator/cost.h"
#include "emulator/symbols.h"
#include "emulator/wgmma.h"

// This module's own image in memory. Hidden: otherwise these names would mean the Python program's.
extern "C" {
extern char __ehdr_start __attribute__((visibility("hidden")));
extern char __bss_start __attribute__((visibility("hidden")));
extern char _end __attribute__((visibility("hidden")));
}

namespace cuda_cpu {

struct Access {
    Position position;  // launch 0: never
    void* code = nullptr;
};
struct Word {  // the recent history of 4 bytes
    Access write, read[2];
    bool write_was_atomic = false, on_its_way = false;
};
struct Region {
    static constexpr size_t PAGE = 256;  // words whose history is kept in one piece, from the first access on
    uintptr_t begin = 0, end = 0;
    size_t element_size = 4;
    uintptr_t allocation = 0;  // a multiple of 256 on a GPU
    bool shared = false;
    int users = 1;
    std::vector<std::unique_ptr<Word[]>> pages;
    bool contains(uintptr_t address) const { return address - begin < end - begin; }
    Word& word(uintptr_t address) {
        if (pages.empty()) pages.resize((end - begin) / 4 / PAGE + 2);
        const size_t number = (address - (begin & ~uintptr_t(3))) / 4;
        auto& page = pages[number / PAGE];
        if (!page) page = std::make_unique<Word[]>(PAGE);
        return page[number % PAGE];
    }
};

bool watching = false;
static bool checking = false, inside_a_check = false;
static std::deque<Region> arrays;
static Region statics, dynamics;

bool set_checking(bool on) {
    const bool before = checking;
    checking = on;
    watching = checking || counting;
    return before;
}

bool set_counting(bool on) {
    const bool before = counting;
    counting = on;
    watching = checking || counting;
    return before;
}

// The linker may give the checks a copy of a function of the C++ library that is itself checked: it must not come back here.
bool enter_check() { return !std::exchange(inside_a_check, true); }
void leave_check() { inside_a_check = false; }

static Region* known(const void* data, size_t bytes) {
    for (Region& region : arrays)
        if (region.begin == uintptr_t(data) && region.end == region.begin + bytes) return &region;
    return nullptr;
}

void allow(const void* data, size_t elements, size_t element_size, const void* allocation) {
    if (!elements) return;
    if (Region* region = known(data, elements * element_size)) {
        region->users++;
        return;
    }
    Region region;
    region.begin = uintptr_t(data);
    region.end = region.begin + elements * element_size;
    region.element_size = element_size;
    region.allocation = uintptr_t(allocation ? allocation : data);
    arrays.push_back(std::move(region));
}

void forget(const void* data, size_t elements, size_t element_size) {
    if (!elements) return;
    const auto found = std::find_if(arrays.begin(), arrays.end(), [&](const Region& region) {
        return region.begin == uintptr_t(data) && region.end == region.begin + elements * element_size;
    });
    if (found != arrays.end() && --found->users == 0) arrays.erase(found);
}

void forget_arrays() { arrays.clear(); }
size_t allowed_arrays() { return arrays.size(); }

void set_dynamic_shared(const void* data, size_t bytes) {
    dynamics = Region();
    dynamics.begin = uintptr_t(data);
    dynamics.end = dynamics.begin + bytes;
    dynamics.shared = true;
    statics.begin = uintptr_t(&__bss_start);
    statics.end = uintptr_t(&_end);
    statics.shared = true;
}

// ---- messages ---------------------------------------------------------------------------------------------------------

std::string who(const Position& p) { return name_of(p.thread) + " of " + name_of_block(p.block_index); }

static std::string verb(Kind kind) { return kind == READ || kind == PRODUCT ? "reads" : kind == WRITE ? "writes" : kind == ATOMIC ? "adds atomically" : "copies"; }

static std::string distance_to_an_array(uintptr_t address) {  // the nearest one
    std::string text;
    long nearest = 65536;
    for (const Region& region : arrays) {
        const auto size = long(region.element_size);
        const long before = (long(region.begin - address) + size - 1) / size, after = long(address - region.end) / size + 1;
        const long distance = address < region.begin ? before : after;
        if (distance >= nearest) continue;
        nearest = distance;
        text = (address < region.begin ? ", " + std::to_string(before) + " elements before"
                                       : ", element " + std::to_string(after) + " past the end of") +
               " an array of " + std::to_string((region.end - region.begin) / region.element_size) + " elements";
    }
    return text;
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

// What tensor cores read now, or soon.
struct Operand {
    uintptr_t begin, end;
    Position position;
    void* code;
};
static std::vector<Operand> operands;

static void check_operands(uintptr_t address, Kind kind, void* code) {
    for (const Operand& operand : operands)
        if (address - operand.begin < operand.end - operand.begin)
            fail("an operand that wgmma still reads: " + who(operand.position) + " started the product at " + line_of(operand.code) +
                 " and " + who(position) + " " + verb(kind) + " at " + line_of(code) + " before the wait");
}

static void check_word(Region& region, uintptr_t address, Kind kind, void* code) {
    Word& word = region.word(address);
    const bool reads = kind == READ || kind == ATOMIC || kind == PRODUCT;
    if (!operands.empty() && kind != READ && kind != PRODUCT) check_operands(address, kind, code);
    if (word.on_its_way && kind != LAND && word.write.position.block == position.block)
        fail("a copy that is on its way: " + who(word.write.position) + " started it at " + line_of(word.write.code) + " and " +
             who(position) + " " + verb(kind) + " at " + line_of(code) + " before it has waited");
    if (region.shared && reads && word.write.position.block != position.block)
        fail("shared memory that nobody has written: " + who(position) + " reads at " + line_of(code));
    const bool both_atomic = kind == ATOMIC && word.write_was_atomic;
    if (!both_atomic && unordered(word.write.position, region.shared)) race(region, word.write, WRITE, kind, code);
    if (kind == PRODUCT && !fenced(word.write.position))
        fail("shared memory without fence_for_wgmma(): " + who(word.write.position) + " wrote at " + line_of(word.write.code) + " and " +
             who(position) + " multiplies at " + line_of(code) + ": the one who writes must call it, between the write and a barrier");
    if (kind == READ || kind == PRODUCT) {
        Access& slot = word.read[0].position.thread == position.thread ? word.read[0] : word.read[1];
        Access& read = word.read[0].position.block_phase != position.block_phase ? word.read[0] : slot;
        read = Access{position, code};
        if (kind == PRODUCT) read.position.warp_phase = -1;  // its own warp waits for it
        return;
    }
    for (const Access& read : word.read)
        if (unordered(read.position, region.shared)) race(region, read, READ, kind, code);
    word.write = Access{position, code};
    word.write_was_atomic = kind == ATOMIC;
    word.on_its_way = kind == COPY;
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

// The __shared__ arrays that a launch has used so far must fit into a block, with the dynamic ones.
static void check_shared_size(uintptr_t address, void* code) {
    constexpr size_t LARGEST_STATIC = 48 * 1024;
    static std::vector<StaticArray> all = static_arrays();
    static std::vector<const StaticArray*> used;  // by this launch
    static long launch = 0;
    if (launch != position.launch) used.clear();
    launch = position.launch;
    for (const StaticArray* array : used)
        if (address - array->begin < array->end - array->begin) return;
    const auto after = std::upper_bound(all.begin(), all.end(), address, [](uintptr_t a, const StaticArray& b) { return a < b.begin; });
    if (after == all.begin() || address >= (after - 1)->end) return;
    used.push_back(&*(after - 1));
    size_t sum = 0;
    for (const StaticArray* array : used) sum += array->end - array->begin;
    const size_t dynamic = dynamics.end - dynamics.begin;
    const std::string sizes = who(position) + " uses " + std::to_string(sum) + " bytes of static and " + std::to_string(dynamic) +
                              " of dynamic shared memory at " + line_of(code) + ", ";
    if (sum > LARGEST_STATIC) fail(sizes + "of static may be " + std::to_string(LARGEST_STATIC));
    if (sum + dynamic > gpu.shared_bytes) fail(sizes + "a block of this GPU has " + std::to_string(gpu.shared_bytes));
}

static void check_alignment(uintptr_t address, size_t bytes, Kind kind, void* code) {
    if ((address & (bytes - 1)) == 0) return;  // bytes is a power of two
    fail("misaligned: " + who(position) + " " + verb(kind) + " " + std::to_string(bytes) + " bytes at once at " + line_of(code) +
         ", at an address that is a multiple of " + std::to_string(address & -address) + " only");
}

static void access_inside(uintptr_t address, size_t bytes, Kind kind, bool at_once, void* code, uintptr_t stack) {
    Region* region = find(address);
    const bool own_image = address >= uintptr_t(&__ehdr_start) && address < uintptr_t(&__bss_start);  // constants and emulator state
    if (!region && own_image) return;
    if (!region || address + bytes > region->end)
        fail("out of bounds: " + who(position) + " " + verb(kind) + " at " + line_of(code) +
             distance_to_an_array(region ? region->end : address));
    if (at_once) check_alignment(address, bytes, kind, code);
    if (region == &statics) check_shared_size(address, code);
    if (checking)
        for (uintptr_t word = address & ~uintptr_t(3); word < address + bytes; word += 4) check_word(*region, word, kind, code);
    if (!counting || !stack) return;
    // CuPy's arrays begin at multiples of 256
    const uintptr_t on_gpu = region->shared ? address : address - region->allocation + 256 * (1 + (region->allocation >> 8));
    count_access(on_gpu, bytes, kind, region->shared, at_once, code, stack);
}

void access(uintptr_t address, size_t bytes, Kind kind, bool at_once, void* code, uintptr_t stack) {
    if (position.thread < 0 || (on_a_stack(address) && !(products_in_flight && checking)) || !enter_check()) return;
    if (on_a_stack(address)) {
        check_registers(address, bytes, kind, code);
        return leave_check();
    }
    access_inside(address, bytes, kind, at_once, code, stack);
    leave_check();
}

// ---- operands of wgmma ------------------------------------------------------------------------------------------------

static void read_operand(const void* b, size_t bytes, int first_thread, void* code) {
    if (!watching || !enter_check()) return;
    for (position.thread = first_thread; position.thread < first_thread + WARPGROUP; position.thread += warpSize)  // each warp for itself
        for (size_t begin = 0; begin < bytes; begin += 16) access_inside(uintptr_t(b) + begin, 16, PRODUCT, true, code, 0);
    leave_check();
}

void start_reading(const void* b, size_t bytes, int first_thread, void* code) {
    position.thread = first_thread;
    if (const Region* region = find(uintptr_t(b)); region && !region->shared)
        fail("wgmma reads b from shared memory only: " + who(position) + " multiplies at " + line_of(code));
    read_operand(b, bytes, first_thread, code);
    position.thread = first_thread;
    operands.push_back({uintptr_t(b), uintptr_t(b) + bytes, position, code});
}

void end_reading(const void* b, size_t bytes, int first_thread, void* code) {
    read_operand(b, bytes, first_thread, code);
    operands.erase(std::find_if(operands.begin(), operands.end(), [&](const Operand& operand) {
        return operand.begin == uintptr_t(b) && operand.code == code && operand.position.thread == first_thread;
    }));
}

void forget_operands() { operands.clear(); }

}  // namespace cuda_cpu
