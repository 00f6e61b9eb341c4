#include "emulator/symbols.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <set>

// One entry for each function with __launch_bounds__: the address of the first no-operation before it. Made by the linker.
extern "C" {
extern const unsigned char* __start___patchable_function_entries[] __attribute__((visibility("hidden"), weak));
extern const unsigned char* __stop___patchable_function_entries[] __attribute__((visibility("hidden"), weak));
}

namespace cuda_cpu {

static void for_each_line(const std::string& command, const std::function<void(const char*)>& use) {
    FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r");
    if (!pipe) return;
    char line[4096];
    while (fgets(line, sizeof line, pipe)) use(line);
    pclose(pipe);
}

static const Dl_info& this_module() {
    static Dl_info module;
    if (!module.dli_fname) dladdr(reinterpret_cast<void*>(&line_of), &module);
    return module;
}
static uintptr_t base() { return uintptr_t(this_module().dli_fbase); }
static std::string file() { return std::string("'") + this_module().dli_fname + "'"; }

// The innermost line that is not the emulator's: what it has in headers is inlined into the kernels.
std::string line_of(void* code) {
    char offset[32];
    snprintf(offset, sizeof offset, " %zx", size_t(uintptr_t(code) - base() - 1));
    std::string found, innermost;
    for_each_line("addr2line -i -e " + file() + offset, [&](const char* line) {
        std::string text(line);
        text = text.substr(0, text.find_first_of(" \n"));
        if (innermost.empty()) innermost = text;
        if (found.empty() && text.find("emulator/cuda_cpu") == std::string::npos) found = text;
    });
    if (found.empty()) found = innermost;
    if (found.empty() || found[0] == '?') return "?";
    const size_t slash = found.rfind('/');
    const size_t folder = slash == 0 || slash == std::string::npos ? slash : found.rfind('/', slash - 1);
    return found.substr(folder + 1);  // npos + 1 is 0
}

int launch_bound(const void* kernel) {
    const auto* first_instruction = static_cast<const unsigned char*>(kernel);
    for (auto* entry = __start___patchable_function_entries; entry < __stop___patchable_function_entries; entry++) {
        const auto distance = first_instruction - *entry;
        constexpr unsigned char NO_OPERATION = 0x90;
        if (distance <= 0 || distance > 1024) continue;
        if (std::all_of(*entry, first_instruction, [](unsigned char byte) { return byte == NO_OPERATION; })) return int(distance);
    }
    return 0;
}

std::vector<StaticArray> static_arrays() {
    std::vector<StaticArray> arrays;
    for_each_line("nm -S --defined-only " + file(), [&](const char* line) {
        size_t offset, size;
        char type;
        if (sscanf(line, "%zx %zx %c", &offset, &size, &type) == 3 && strchr("bBuV", type))
            arrays.push_back({base() + offset, base() + offset + size});
    });
    std::sort(arrays.begin(), arrays.end(), [](const StaticArray& a, const StaticArray& b) { return a.begin < b.begin; });
    return arrays;
}

// ---- multiplications --------------------------------------------------------------------------------------------------

struct Instruction {
    std::string name;
    uintptr_t target = 0;  // of a jump
    bool begins_piece = false;
};
using Code = std::map<uintptr_t, Instruction>;

static Code disassembled() {
    Code code;
    for_each_line("objdump -d --no-show-raw-insn " + file(), [&](const char* line) {
        size_t offset, target = 0;
        char name[32];
        const int found = sscanf(line, " %zx: %31s %zx", &offset, name, &target);
        if (found < 2) return;
        Instruction instruction{name, 0, false};
        if (name[0] == 'j' && found == 3) instruction.target = base() + target;
        instruction.begins_piece = !strncmp(name, "call", 4) && strstr(line, "<__sanitizer_cov_trace_pc>");
        code[base() + offset] = instruction;
    });
    return code;
}

static void add_instruction(Arithmetic& sum, const std::string& full_name) {
    const std::string name = full_name[0] == 'v' ? full_name.substr(1) : full_name;
    const bool fused = name.rfind("fmadd", 0) == 0 || name.rfind("fnmadd", 0) == 0 || name.rfind("fmsub", 0) == 0;
    sum.multiplications += fused || name == "mulss" || name == "mulsd";
    sum.additions += fused || name == "addss" || name == "addsd" || name == "subss" || name == "subsd";
}

// The compiler's own checks of indices cut a piece into parts that lie anywhere: follow the jumps.
static Arithmetic arithmetic_of(const Code& code, uintptr_t piece) {
    Arithmetic sum;
    std::set<uintptr_t> seen;
    std::vector<uintptr_t> open = {piece};
    while (!open.empty()) {
        auto at = code.find(open.back());
        open.pop_back();
        for (; at != code.end() && !at->second.begins_piece && seen.insert(at->first).second; ++at) {
            const Instruction& instruction = at->second;
            add_instruction(sum, instruction.name);
            if (instruction.target) open.push_back(instruction.target);
            if (instruction.name == "jmp" || instruction.name.rfind("ret", 0) == 0) break;
        }
    }
    return sum;
}

std::map<uintptr_t, Arithmetic> arithmetic_of(const std::vector<uintptr_t>& pieces) {
    std::map<uintptr_t, Arithmetic> result;
    if (pieces.empty()) return result;
    static const Code code = disassembled();
    for (const uintptr_t piece : pieces) result[piece] = arithmetic_of(code, piece);
    return result;
}

}  // namespace cuda_cpu
