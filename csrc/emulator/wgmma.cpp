#include "emulator/wgmma.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "emulator/cost.h"
#include "emulator/cuda_cpu_mma.h"
#include "emulator/symbols.h"

namespace cuda_cpu {

struct Operands {  // of one thread
    float* sum;
    const float* a;
    float numbers[4];  // a, when the product started
    const void* b;
    int columns;
    bool add;
};
struct Product {
    std::array<Operands, WARPGROUP> of;
    void* code;
    long group;
};
struct Sum {  // of a thread, in registers that belong to the products now
    float* at;
    std::vector<float> numbers;
    int products;
    bool contains(uintptr_t address, size_t bytes) const {
        return address < uintptr_t(at + numbers.size()) && uintptr_t(at) < address + bytes;
    }
};
struct Registers {  // of a thread
    Operands operands{};
    std::vector<Sum> sums;
    std::vector<std::pair<const float*, const Product*>> a;  // in use by products, if the function whose variable it is has not returned
    bool fenced = false;
    std::vector<char> at_the_fence;   // its whole stack
    std::vector<long> shared_fences;  // the phase of each fence_for_wgmma
};
struct Warpgroup {
    std::deque<Product> products;
    long group = 0;
};

long products_in_flight = 0;
static std::vector<Registers> registers;
static std::vector<Warpgroup> warpgroups;

static bool used = false;

void forget_products(int threads) {
    if (!used && registers.size() == size_t(threads)) return;
    used = false;
    registers.assign(size_t(threads), Registers());
    warpgroups.assign(size_t(threads) / WARPGROUP, Warpgroup());
    products_in_flight = 0;
    forget_operands();
}

static Registers& mine() { return registers[size_t(position.thread)]; }
static Warpgroup& group_of(int thread) { return warpgroups[size_t(thread / WARPGROUP)]; }
static std::string here(void* code) { return who(position) + " at " + line_of(code); }

// ---- registers --------------------------------------------------------------------------------------------------------

[[noreturn]] static void fail_on_its_way(const Product& product, const std::string& what) {
    const bool committed = product.group < group_of(position.thread).group;
    fail("a product that is on its way: " + who(position) + " started it at " + line_of(product.code) + " and " + what + " before " +
         (committed ? "it has waited" : "wgmma_commit() and a wait"));
}

static const Product& product_of(const Sum& sum) {  // the last one that adds to it
    const auto& products = group_of(position.thread).products;
    const size_t thread = size_t(position.thread % WARPGROUP);
    return *std::find_if(products.rbegin(), products.rend(), [&](const Product& product) { return product.of[thread].sum == sum.at; });
}

void check_registers(uintptr_t address, size_t bytes, Kind kind, void* code) {
    for (const Sum& sum : mine().sums)
        if (sum.contains(address, bytes))
            fail_on_its_way(product_of(sum), std::string(kind == READ ? "reads" : "writes") + " its sum at " + line_of(code));
    if (kind == READ) return;
    for (const auto& [a, product] : mine().a)
        if (address < uintptr_t(a + 4) && uintptr_t(a) < address + bytes) fail_on_its_way(*product, "writes its a at " + line_of(code));
}

void enter_function(uintptr_t end_of_frame) {
    auto& a = mine().a;
    a.erase(std::remove_if(a.begin(), a.end(), [=](const auto& used) { return uintptr_t(used.first) < end_of_frame; }), a.end());
    for (const Sum& sum : mine().sums)
        if (uintptr_t(sum.at) < end_of_frame) fail_on_its_way(product_of(sum), "leaves the function that has its sum");
}

void require_no_products() {
    if (!mine().sums.empty()) fail_on_its_way(product_of(mine().sums.back()), "returns");
}

// Are these registers as they were at the last fence, or as a product left them?
static void require_fence(const float* numbers, size_t count, const char* name, void* code) {
    const auto refuse = [&](const std::string& why) {
        fail("registers without wgmma_fence(): " + who(position) + " multiplies at " + line_of(code) + ", and " + why);
    };
    if (!mine().fenced) refuse("never called it");
    if (!watching) return;
    const auto& before = mine().at_the_fence;
    const size_t from_end = end_of_stack(position.thread) - uintptr_t(numbers);
    if (from_end > before.size() || std::memcmp(numbers, &*(before.end() - long(from_end)), count * sizeof(float)) != 0)
        refuse(std::string(name) + " has changed since the last one");
}

// What the emulator itself does to a sum.
static void set(Registers& thread, int number, const Sum& sum, bool known) {
    const size_t bytes = sum.numbers.size() * sizeof(float);
    if (known) std::memcpy(sum.at, sum.numbers.data(), bytes);
    else std::fill(sum.at, sum.at + sum.numbers.size(), NAN);
    const size_t from_end = end_of_stack(number) - uintptr_t(sum.at);
    if (from_end <= thread.at_the_fence.size()) std::memcpy(&*(thread.at_the_fence.end() - long(from_end)), sum.at, bytes);
}

// ---- shared memory ----------------------------------------------------------------------------------------------------

int fences_of(int thread) { return registers.empty() ? 0 : int(registers[size_t(thread)].shared_fences.size()); }

bool fenced(const Position& write) {
    const std::vector<long>& phases = registers[size_t(write.thread)].shared_fences;
    if (size_t(write.fences) >= phases.size()) return false;
    return phases[size_t(write.fences)] < position.block_phase || write.thread / warpSize == position.thread / warpSize;
}

// ---- products ---------------------------------------------------------------------------------------------------------

static void require_hopper(const char* call, void* code) {
    used = true;
    if (gpu.capability != 90)
        fail(std::string(call) + " needs compute capability 9.0, and this GPU has " + std::to_string(gpu.capability / 10) + "." +
             std::to_string(gpu.capability % 10) + ": " + here(code));
}

static void start(int first, void* code) {
    Warpgroup& group = group_of(first);
    group.products.push_back({{}, code, group.group});
    Product& product = group.products.back();
    products_in_flight++;
    const Operands& common = registers[size_t(first)].operands;
    for (int i = 0; i < WARPGROUP; i++) {
        position.thread = first + i;
        const Operands& operands = product.of[size_t(i)] = mine().operands;
        if (operands.b != common.b || operands.add != common.add)
            fail("wgmma of different operands: " + name_of(first) + " has another b or `add` than " + here(code));
    }
    start_reading(common.b, size_t(32 * common.columns), first, code);
    for (int i = 0; i < WARPGROUP; i++) {
        position.thread = first + i;
        const Operands& operands = product.of[size_t(i)];
        auto& sums = mine().sums;
        auto sum = std::find_if(sums.begin(), sums.end(), [&](const Sum& sum) { return sum.at == operands.sum; });
        if (sum == sums.end()) {
            sums.push_back({operands.sum, {operands.sum, operands.sum + operands.columns / 2}, 0});
            sum = sums.end() - 1;
        }
        sum->products++;
        set(mine(), position.thread, *sum, false);
        mine().a.push_back({operands.a, &product});
    }
    count_product(common.columns);
}

void start_product(float* sum, const float* a, const void* b, int columns, bool add) {
    void* code = __builtin_return_address(0);
    require_hopper("wgmma_tf32()", code);
    enter_function(uintptr_t(__builtin_frame_address(0)));
    if (!on_a_stack(uintptr_t(sum)) || !on_a_stack(uintptr_t(a)))
        fail("sum and a of wgmma_tf32() must be variables of a thread, which can be registers: " + here(code));
    if (on_a_stack(uintptr_t(b))) fail("wgmma reads b from shared memory only: " + who(position) + " multiplies at " + line_of(code));
    for (const Sum& other : mine().sums)  // more products may add to the same one
        if (other.contains(uintptr_t(sum), size_t(columns) * 2) && (other.at != sum || int(other.numbers.size()) != columns / 2))
            fail_on_its_way(product_of(other), "begins another with a part of its sum at " + line_of(code));
    check_registers(uintptr_t(a), 16, READ, code);
    require_fence(sum, size_t(columns / 2), "sum", code);
    require_fence(a, 4, "a", code);
    mine().operands = {sum, a, {a[0], a[1], a[2], a[3]}, b, columns, add};
    meet_warpgroup("wgmma_tf32()", code, [=](int first) { start(first, code); });
}

// One thread's share: rows g and g + 8 of its warp's 16, and 2 of each 8 columns.
static void multiply(const Product& product, int thread, const float (*b)[4], float* sum) {
    const int lane = thread % warpSize, g = lane / 4, t = lane % 4;
    const Operands* row = &product.of[size_t(thread - lane + 4 * g)];
    const int columns = row->columns;
    for (int i = 0; i < columns / 2; i++) {
        const int half = i % 4 / 2, n = i / 4 * 8 + 2 * t + i % 2;
        float result = row->add ? sum[i] : 0;
        for (int k = 0; k < 8; k++) result += cut_to_tf32(row[k % 4].numbers[half + k / 4 * 2]) * b[k / 4 * columns + n][k % 4];
        sum[i] = result;
    }
}

static void complete(const Product& product, int first) {
    const Operands& common = product.of[0];
    end_reading(common.b, size_t(32 * common.columns), first, product.code);
    std::vector<std::array<float, 4>> b(size_t(2 * common.columns));
    std::memcpy(b.data(), common.b, size_t(32 * common.columns));
    for (auto& quad : b)
        for (float& number : quad) number = cut_to_tf32(number);
    for (int i = 0; i < WARPGROUP; i++) {
        position.thread = first + i;
        const Operands& operands = product.of[size_t(i)];
        auto& a = mine().a;
        const auto used = std::find_if(a.begin(), a.end(), [&](const auto& used) { return used.second == &product; });
        if (used != a.end()) {
            if (std::memcmp(operands.a, operands.numbers, sizeof operands.numbers) != 0) fail_on_its_way(product, "changes its a");
            a.erase(used);
        }
        auto& sums = mine().sums;
        const auto sum = std::find_if(sums.begin(), sums.end(), [&](const Sum& sum) { return sum.at == operands.sum; });
        multiply(product, i, reinterpret_cast<const float(*)[4]>(b.data()), sum->numbers.data());
        if (--sum->products > 0) continue;
        set(mine(), position.thread, *sum, true);
        sums.erase(sum);
    }
}

void wait_for_products(int groups) {
    void* code = __builtin_return_address(0);
    require_hopper("wgmma_wait()", code);
    enter_function(uintptr_t(__builtin_frame_address(0)));
    meet_warpgroup("wgmma_wait()", code, [=](int first) {
        Warpgroup& group = group_of(first);
        while (!group.products.empty() && group.products.front().group < group.group - groups) {
            complete(group.products.front(), first);
            group.products.pop_front();
            products_in_flight--;
        }
    });
}

void fence_registers() {
    void* code = __builtin_return_address(0);
    require_hopper("wgmma_fence()", code);
    mine().fenced = true;
    const char* stack = static_cast<const char*>(__builtin_frame_address(0));
    if (watching) mine().at_the_fence.assign(stack, reinterpret_cast<const char*>(end_of_stack(position.thread)));
    meet_warpgroup("wgmma_fence()", code, [](int) {});
}

}  // namespace cuda_cpu

void wgmma_commit() {
    void* code = __builtin_return_address(0);
    cuda_cpu::require_hopper("wgmma_commit()", code);
    cuda_cpu::meet_warpgroup("wgmma_commit()", code, [](int first) { cuda_cpu::group_of(first).group++; });
}

void fence_for_wgmma() {
    cuda_cpu::require_hopper("fence_for_wgmma()", __builtin_return_address(0));
    cuda_cpu::mine().shared_fences.push_back(cuda_cpu::position.block_phase);
    cuda_cpu::position.fences++;
}
