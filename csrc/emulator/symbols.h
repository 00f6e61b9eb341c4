// What the module's own file says about its code: lines, sizes of __shared__ arrays, launch bounds, multiplications.
// Asked of addr2line, nm and objdump, which come with g++; without them the answers are "?" and 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cuda_cpu {

std::string line_of(void* code);  // "conv2d/naive.cu:40"

int launch_bound(const void* kernel);  // 0 if it has none

struct StaticArray {
    uintptr_t begin, end;
};
std::vector<StaticArray> static_arrays();  // those of the module that start as zeros, in the order of their addresses

struct Arithmetic {
    int multiplications = 0, additions = 0;
};
// Of float or double, in the piece of code that begins at each of these addresses and ends where the next piece begins.
std::map<uintptr_t, Arithmetic> arithmetic_of(const std::vector<uintptr_t>& pieces);

}  // namespace cuda_cpu
