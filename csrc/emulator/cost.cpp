#include "emulator/cost.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "emulator/symbols.h"
#include "emulator/wgmma.h"

namespace cuda_cpu {

bool counting = false;

enum What : unsigned char { BRANCH, GLOBAL, SHARED };

struct Note {  // of one thread
    uintptr_t code, stack, address;
    unsigned bytes;
    What what;
    Kind kind;
    bool at_once;
};
struct Frame {  // a function that a thread is in: how deep its stack is, and the last place in its code, times 4, + the kind of access
    uintptr_t stack, code;
    bool operator<(const Frame& other) const { return code < other.code; }
    bool operator==(const Frame& other) const { return code == other.code; }
};
struct Lane {
    std::vector<Note> notes;
    size_t next = 0;
    std::vector<Frame> place;  // of the next note, from the kernel inwards
};

static std::vector<Cost> costs;
static std::vector<Lane> lanes;  // of the running block
static std::vector<std::unordered_map<uintptr_t, long>> steps_of_launch;  // of each launch: how often lanes came to a piece of code

void start_count(const char* kernel, dim3 grid, dim3 block) {
    costs.emplace_back();
    costs.back().kernel = kernel, costs.back().grid = grid, costs.back().block = block;
    steps_of_launch.emplace_back();
}

void start_block(int threads) { lanes.assign(size_t(threads), Lane()); }

static bool in_a_kernel() { return position.thread >= 0 && size_t(position.thread) < lanes.size(); }

void count_branch(void* code, uintptr_t stack) {
    if (!in_a_kernel() || !enter_check()) return;
    lanes[size_t(position.thread)].notes.push_back({uintptr_t(code), stack, 0, 0, BRANCH, READ, true});
    leave_check();
}

void count_access(uintptr_t address, size_t bytes, Kind kind, bool shared, bool at_once, void* code, uintptr_t stack) {
    lanes[size_t(position.thread)].notes.push_back(
        {uintptr_t(code), stack, address, unsigned(bytes), shared ? SHARED : GLOBAL, kind, at_once});
}

void count_multiply_adds(long count) {
    if (!counting || !in_a_kernel()) return;
    costs.back().multiply_adds += count;
    costs.back().multiplications += count;
    costs.back().additions += count;
}

void count_product(int columns) {
    count_multiply_adds(64L * 8 * columns);
    if (!counting) return;
    costs.back().shared_read += 32 * columns;
    costs.back().wavefronts += 32 * columns / 128;
}

void count_barrier() { costs.back().barriers++; }

// ---- a warp's access --------------------------------------------------------------------------------------------------

using Lanes = std::vector<const Note*>;  // 32, null where a lane does not take part

static void count_global(const Lanes& group, unsigned skip, unsigned bytes) {
    Cost& cost = costs.back();
    std::vector<uintptr_t> sectors;
    bool reads = false, writes = false;
    for (const Note* note : group) {
        if (!note) continue;
        const uintptr_t begin = note->address + skip;
        for (uintptr_t sector = begin / 32; sector <= (begin + bytes - 1) / 32; sector++) sectors.push_back(sector);
        reads |= note->kind == READ || note->kind == ATOMIC, writes |= note->kind != READ;
        if (note->kind == READ || note->kind == ATOMIC) cost.global_read += bytes;
        if (note->kind != READ) cost.global_written += bytes;
    }
    std::sort(sectors.begin(), sectors.end());
    const long count = std::unique(sectors.begin(), sectors.end()) - sectors.begin();
    if (reads) cost.sectors_read += 32 * count;
    if (writes) cost.sectors_written += 32 * count;
}

static bool in_pairs(const Lanes& group, int distance) {
    for (int l = 0; l < warpSize; l++) {
        const Note *a = group[size_t(l)], *b = group[size_t(l ^ distance)];
        if (a && b && a->address != b->address) return false;
    }
    return true;
}

static void count_shared(const Lanes& group, unsigned skip, unsigned bytes) {
    Cost& cost = costs.back();
    int lanes_at_a_time = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
    if (bytes > 4 && (in_pairs(group, 1) || in_pairs(group, 2))) lanes_at_a_time *= 2;
    for (int first = 0; first < warpSize; first += lanes_at_a_time) {
        std::vector<uintptr_t> words;
        for (int l = first; l < first + lanes_at_a_time; l++) {
            const Note* note = group[size_t(l)];
            if (!note) continue;
            const uintptr_t begin = note->address + skip;
            for (uintptr_t word = begin / 4; word <= (begin + bytes - 1) / 4; word++) words.push_back(word);
            if (note->kind == READ || note->kind == ATOMIC) cost.shared_read += bytes;
            if (note->kind != READ) cost.shared_written += bytes;
        }
        if (words.empty()) continue;
        std::sort(words.begin(), words.end());
        words.erase(std::unique(words.begin(), words.end()), words.end());
        long in_bank[32] = {}, wavefronts = 0;
        for (const uintptr_t word : words) wavefronts = std::max(wavefronts, ++in_bank[word % 32]);
        cost.wavefronts += wavefronts;
        cost.bank_conflicts += wavefronts - 1;
    }
}

static void count_step(const Lanes& group) {
    const Note& any = **std::find_if(group.begin(), group.end(), [](const Note* note) { return note != nullptr; });
    if (any.what == BRANCH) {
        const long active = std::count_if(group.begin(), group.end(), [](const Note* note) { return note != nullptr; });
        costs.back().warp_steps++;
        costs.back().lane_steps += active;
        steps_of_launch.back()[any.code] += active;
        return;
    }
    const auto count = any.what == SHARED ? count_shared : count_global;
    if (any.at_once) return count(group, 0, any.bytes);
    for (unsigned skip = 0; skip < any.bytes; skip += 4) count(group, skip, std::min(4u, any.bytes - skip));  // in pieces
}

// ---- the lanes of a warp in step --------------------------------------------------------------------------------------

// The stack grows downwards: a note with a lower stack was made in a function that was called from the place of the note before.
static void look_ahead(Lane& lane) {
    if (lane.next == lane.notes.size()) return;
    const Note& note = lane.notes[lane.next];
    while (!lane.place.empty() && lane.place.back().stack < note.stack) lane.place.pop_back();
    const Frame frame = {note.stack, note.code * 4 + note.kind};  // a copy reads and writes at one place
    if (!lane.place.empty() && lane.place.back().stack == note.stack) lane.place.back() = frame;
    else lane.place.push_back(frame);
}

void replay_warp(int first, int last) {
    for (int l = first; l < last; l++) look_ahead(lanes[size_t(l)]);
    Lanes group(warpSize);
    for (;;) {
        const std::vector<Frame>* furthest_back = nullptr;
        for (int l = first; l < last; l++) {
            const Lane& lane = lanes[size_t(l)];
            if (lane.next < lane.notes.size() && (!furthest_back || lane.place < *furthest_back)) furthest_back = &lane.place;
        }
        if (!furthest_back) break;
        const std::vector<Frame> place = *furthest_back;
        std::fill(group.begin(), group.end(), nullptr);
        for (int l = first; l < last; l++) {
            const Lane& lane = lanes[size_t(l)];
            if (lane.next < lane.notes.size() && lane.place == place) group[size_t(l - first)] = &lane.notes[lane.next];
        }
        count_step(group);
        for (int l = first; l < last; l++) {
            if (!group[size_t(l - first)]) continue;
            lanes[size_t(l)].next++;
            look_ahead(lanes[size_t(l)]);
        }
    }
    for (int l = first; l < last; l++) lanes[size_t(l)].notes.clear(), lanes[size_t(l)].next = 0;
}

// ---- multiply-adds ----------------------------------------------------------------------------------------------------

std::vector<Cost> take_costs() {
    std::map<uintptr_t, long> all;
    for (const auto& steps : steps_of_launch)
        for (const auto& [piece, count] : steps) all[piece] += count;
    std::vector<uintptr_t> pieces;
    for (const auto& [piece, count] : all) pieces.push_back(piece);
    std::map<uintptr_t, Arithmetic> arithmetic = arithmetic_of(pieces);
    for (size_t n = 0; n < costs.size(); n++)
        for (const auto& [piece, count] : steps_of_launch[n]) {
            const Arithmetic& of_piece = arithmetic[piece];
            costs[n].multiplications += count * of_piece.multiplications;
            costs[n].additions += count * of_piece.additions;
            costs[n].multiply_adds += count * std::min(of_piece.multiplications, of_piece.additions);
        }
    std::vector<Cost> result;
    result.swap(costs);
    steps_of_launch.clear();
    return result;
}

}  // namespace cuda_cpu
