// What a rung needs to run alone: `make -C csrc run KERNEL=conv2d/03` compiles it with one of run_*.cpp, by nvcc for the GPU that is here,
// else by g++ through the emulator. On a GPU it is timed; emulated, its accesses are checked and counted.
#pragma once

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "ladder/rung.h"
#ifndef __CUDACC__
#include "emulator/check.h"
#include "emulator/cost.h"
#endif

// Numbers that the host and the kernels use. They begin as `start(i)`.
struct Numbers {
    float* data = nullptr;
    size_t size;

    template <class Start>
    Numbers(size_t size, Start start) : size(size) {
#ifdef __CUDACC__
        if (cudaMallocManaged(&data, size * sizeof(float)) != cudaSuccess) throw std::runtime_error("no memory on the GPU");
#else
        data = static_cast<float*>(std::aligned_alloc(256, (size * sizeof(float) + 255) / 256 * 256));
        cuda_cpu::allow(data, size, sizeof(float));
#endif
        for (size_t i = 0; i < size; i++) data[i] = start(i);
    }
    Numbers(const Numbers&) = delete;
    ~Numbers() {
#ifdef __CUDACC__
        cudaFree(data);
#else
        cuda_cpu::forget(data, size, sizeof(float));
        std::free(data);
#endif
    }
};

// The same numbers in every run, from -1 to 1, without a pattern.
inline float mixed(size_t i) {
    const uint64_t bits = (uint64_t(i) + 1) * 0x9e3779b97f4a7c15u;
    return float((bits ^ bits >> 29) >> 40 & 0xffff) / 32768 - 1;
}
inline float zero(size_t) { return 0; }

// Launches once, and prints what it took: on a GPU the median of 9 runs, else the counter's figures.
template <class Launch>
void measure(const char* name, Launch launch) {
#ifdef __CUDACC__
    std::vector<float> milliseconds(9);
    cudaEvent_t begin, end;
    cudaEventCreate(&begin), cudaEventCreate(&end);
    launch();
    for (float& time : milliseconds) {
        cudaEventRecord(begin);
        launch();
        cudaEventRecord(end);
        if (cudaEventSynchronize(end) != cudaSuccess) throw std::runtime_error(cudaGetErrorString(cudaGetLastError()));
        cudaEventElapsedTime(&time, begin, end);
    }
    std::sort(milliseconds.begin(), milliseconds.end());
    std::printf("%-28s %10.1f microseconds\n", name, double(milliseconds[4]) * 1e3);
#else
    cuda_cpu::set_checking(!std::getenv("UNCHECKED"));
    cuda_cpu::set_counting(true);
    launch();
    cuda_cpu::set_counting(false);
    for (const cuda_cpu::Cost& c : cuda_cpu::take_costs()) {
        std::printf("%s\n", name);
        std::printf("  grid %u x %u x %u, block %u x %u x %u\n", c.grid.x, c.grid.y, c.grid.z, c.block.x, c.block.y, c.block.z);
        std::printf("  global memory   %12ld bytes asked for, %ld moved (%ld of them written)\n", c.global_read + c.global_written,
                    c.sectors_read + c.sectors_written, c.sectors_written);
        std::printf("  shared memory   %12ld bytes, %ld turns of the banks, %ld of them by conflicts\n", c.shared_read + c.shared_written,
                    c.wavefronts, c.bank_conflicts);
        std::printf("  multiply-adds   %12ld      barriers %ld      busy lanes %.0f %%\n", c.multiply_adds, c.barriers,
                    c.warp_steps ? 100.0 * double(c.lane_steps) / (32.0 * double(c.warp_steps)) : 100.0);
    }
#endif
}

// Prints the largest error against the definition, in units of its largest result.    -> the program's exit status
inline int compare(const Numbers& result, const std::vector<double>& wanted) {
    double largest = 1e-30, error = 0;
    for (const double number : wanted) largest = std::fmax(largest, std::fabs(number));
    for (size_t i = 0; i < wanted.size(); i++) {
        const double difference = std::fabs(double(result.data[i]) - wanted[i]);
        if (!(difference <= error)) error = difference;  // a NaN stays
    }
    const bool right = error <= 1e-5 * largest;
    std::printf("error against the definition %.1e of the largest result: %s\n", error / largest, right ? "right" : "WRONG");
    return right ? 0 : 1;
}

// `run` of a run_*.cpp or of a small program, with its errors in one line.
template <class Run>
int guarded(Run run) {
    try {
        return run();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s\n", problem.what());
        return 1;
    }
}
