"""Hopper's wgmma in the emulator: its results equal NumPy's, and its costs those counted by hand. What it finds: test_wgmma_bugs.py."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from support.planted import CSRC, Library, Program, possible

from minidiff import kernels
from minidiff.kernels.cuda.library import load

COLUMNS = (32, 64, 96, 128)

# 64 x N results, 32 k in 4 pieces of 8. FLIGHT products are on their way at a time.
KERNEL = """
template <int N, int FLIGHT, bool ADD>
__global__ void __launch_bounds__(128) kernel(const float* left, const float* right, float* product) {
    __shared__ WgmmaColumns<N> b[4];
    for (int i = threadIdx.x; i < 32 * N; i += 128) b[i / N / 8].numbers[i / N % 8 / 4][i % N][i / N % 4] = right[i / N * 128 + i % N];
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, row = threadIdx.x / 32 * 16 + g;
    float a[4][4], sum[N / 2];
    for (int s = 0; s < 4; s++)
        for (int e = 0; e < 4; e++) a[s][e] = left[(row + e % 2 * 8) * 32 + 8 * s + t + e / 2 * 4];
    for (int i = 0; i < N / 2; i++) sum[i] = 1;
    fence_for_wgmma();
    __syncthreads();
    wgmma_fence(sum, a);
    for (int s = 0; s < 4; s++) {
        wgmma_tf32(sum, a[s], b[s], ADD || s > 0);
        wgmma_commit();
        wgmma_wait<FLIGHT - 1>(sum);
    }
    wgmma_wait<0>(sum);
    for (int j = 0; j < N / 8; j++)
        for (int e = 0; e < 4; e++) product[(row + e / 2 * 8) * 128 + 8 * j + 2 * t + e % 2] = sum[4 * j + e];
}"""

# Two warpgroups, each with two sums of its own, of the same b, which is copied asynchronously and then overwritten.
TWO_GROUPS = """
__global__ void __launch_bounds__(256) kernel(const float* left, const float* right, float* product) {
    __shared__ WgmmaColumns<32> b;
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, row = threadIdx.x % 128 / 32 * 16 + g, half = threadIdx.x / 128;
    float sum[2][16] = {};
    for (int s = 0; s < 4; s++) {
        const int k = threadIdx.x / 32, n = threadIdx.x % 32;
        copy_async(&b.numbers[k / 4][n][k % 4], right + (8 * s + k) * 128 + n, true);
        end_of_copies();
        float a[2][4];
        for (int e = 0; e < 4; e++) {
            a[0][e] = left[(row + e % 2 * 8) * 32 + 8 * s + t + e / 2 * 4];
            a[1][e] = (2 + half) * a[0][e];
        }
        wait_for_copies<0>();
        fence_for_wgmma();
        __syncthreads();
        wgmma_fence(sum, a);
        for (int i = 0; i < 2; i++) wgmma_tf32(sum[i], a[i], b);
        wgmma_commit();
        wgmma_wait<0>(sum);
        __syncthreads();
    }
    for (int j = 0; j < 4; j++)
        for (int e = 0; e < 4; e++)
            product[(row + e / 2 * 8) * 128 + 32 * (1 + 2 * half) + 8 * j + 2 * t + e % 2] = sum[1][4 * j + e],
            product[(row + e / 2 * 8) * 128 + 32 * (2 * half) + 8 * j + 2 * t + e % 2] = sum[0][4 * j + e];
}"""

# The same results; the products of a slab are on their way while the next slab is copied and read.
PIPELINE = """
__device__ void copy(WgmmaColumns<64>& b, const float* right, int slab) {
    for (int i = threadIdx.x; i < 512; i += 128) copy_async(&b.numbers[i / 64 / 4][i % 64][i / 64 % 4], right + (8 * slab + i / 64) * 128 + i % 64, true);
    end_of_copies();
}
__device__ void read(float (&a)[4], const float* left, int slab) {
    const int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4;
#pragma unroll
    for (int e = 0; e < 4; e++) a[e] = left[(row + e % 2 * 8) * 32 + 8 * slab + threadIdx.x % 4 + e / 2 * 4];
}
__global__ void __launch_bounds__(128) kernel(const float* left, const float* right, float* product, int slabs) {
    __shared__ WgmmaColumns<64> b[4];
    float sum[32], a[2][4];
    for (int i = 0; i < 32; i++) sum[i] = 0;
    wgmma_fence(sum);
    copy(b[0], right, 0);
    for (int first = 0; first < slabs; first += 2) {
#pragma unroll
        for (int half = 0; half < 2; half++) {  // the registers need indices that nvcc knows
            const int slab = first + half;
            read(a[half], left, slab);
            wait_for_copies<0>();
            fence_for_wgmma();
            __syncthreads();
            if (slab + 1 < slabs) copy(b[(slab + 1) % 4], right, slab + 1);
            wgmma_fence(a[half]);
            wgmma_tf32(sum, a[half], b[slab % 4]);
            wgmma_commit();
            wgmma_wait<1>();
        }
    }
    wgmma_wait<0>(sum);
    const int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, first = threadIdx.x % 4 * 2;
    for (int i = 0; i < 32; i++) product[(row + i % 4 / 2 * 8) * 128 + i / 4 * 8 + first + i % 2] = sum[i];
}"""


def program(columns, flight, add):
    template = f"kernel<{columns}, {flight}, {'true' if add else 'false'}>"
    return Program(KERNEL, f'launch("wgmma", {template}, 1, 128, 0, nullptr, left, right, product);')


VARIANTS = [(columns, flight, add) for columns in COLUMNS for flight, add in ((1, True), (3, False))]
PROGRAMS = [*(program(*variant) for variant in VARIANTS),
            Program(TWO_GROUPS, 'launch("two groups", kernel, 1, 256, 0, nullptr, left, right, product);'),
            Program(PIPELINE, 'launch("pipeline", kernel, 1, 128, 0, nullptr, left, right, product, 4);')]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if not possible():
        pytest.skip("needs g++ and the sources")
    return Library(tmp_path_factory.mktemp("wgmma"), PROGRAMS, optimization="-Og", pieces=2)


def cut(values):
    """To TF32: the lower 13 bits are ignored."""
    return (values.view(np.uint32) & 0xFFFFE000).view(np.float32).astype(np.float64)


@pytest.mark.parametrize("columns, flight, add", VARIANTS)
def test_the_product_equals_numpys(library, columns, flight, add):
    message, arrays = library.run(VARIANTS.index((columns, flight, add)))
    assert message == ""
    expected = cut(arrays["left"]) @ cut(arrays["right"])[:, :columns] + add
    np.testing.assert_allclose(arrays["product"][:, :columns], expected, rtol=0, atol=1e-5)


def test_two_warpgroups_multiply_by_one_b(library):
    message, arrays = library.run(len(VARIANTS))
    assert message == ""
    left, right = arrays["left"], cut(arrays["right"])[:, :32]
    expected = np.concatenate([cut(left * np.float32(factor)) @ right for factor in (1, 2, 1, 3)], 1)
    np.testing.assert_allclose(arrays["product"], expected, rtol=0, atol=3e-5)


def test_products_may_be_on_their_way_when_the_next_round_begins(library):
    message, arrays = library.run(len(VARIANTS) + 1)
    assert message == ""
    expected = cut(arrays["left"]) @ cut(arrays["right"])[:, :64]
    np.testing.assert_allclose(arrays["product"][:, :64], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("columns", COLUMNS)
def test_the_counter_equals_a_count_by_hand(library, columns):
    costs = library.costs(VARIANTS.index((columns, 1, True)))
    assert costs["multiply_adds"] == 64 * 32 * columns
    written = 32 * columns // 32  # warps' writes, each to 32 columns of one k: 4 lanes want one bank
    assert costs["wavefronts"] == 4 * written + 32 * columns * 4 // 128
    assert costs["shared_read"] == costs["shared_written"] == 32 * columns * 4


def test_hopper_has_wgmma_and_others_do_not(emulated):
    module = load("cpu")[0]
    assert module.has_wgmma()
    for capability in ("8.0", "10.0"):
        with kernels.checks(capability=capability):
            assert not module.has_wgmma()


def test_nvcc_compiles_it_for_each_gpu_and_does_not_serialize_the_products(tmp_path):
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if not nvcc:
        pytest.skip("needs nvcc")
    source = tmp_path / "own.cu"
    instances = "".join(f"template __global__ void kernel<{n}, 3, true>(const float*, const float*, float*);\n" for n in COLUMNS)
    loop = "    for (int s = 0; s < 4; s++) {\n        wgmma_tf32"
    assert KERNEL.count(loop) == 1
    source.write_text('#include "common/wgmma.h"\n' + KERNEL.replace(loop, "#pragma unroll\n" + loop) + instances + f"namespace pipeline {{{PIPELINE}}}")
    codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ("75", "80", "90", "90a", "100")]
    result = subprocess.run([nvcc, "-std=c++17", f"-I{CSRC}", *codes, "-c", str(source), "-o", str(tmp_path / "own.o")], capture_output=True, text=True)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


# The same programs for a GPU: what the emulator says of the layout of b, of the places of a lane's numbers and of the fences must be true there.
ON_A_GPU = """
namespace program_{number} {{
{program.text}
}}
extern "C" int run_{number}(const float* left_here, const float* right_here, float* product_here) {{
    using namespace program_{number};
    float *left, *right, *product;
    cudaMalloc(&left, 4 * 64 * 32), cudaMalloc(&right, 4 * 32 * 128), cudaMalloc(&product, 4 * 64 * 128);
    cudaMemcpy(left, left_here, 4 * 64 * 32, cudaMemcpyHostToDevice);
    cudaMemcpy(right, right_here, 4 * 32 * 128, cudaMemcpyHostToDevice);
    cudaMemcpy(product, product_here, 4 * 64 * 128, cudaMemcpyHostToDevice);
    try {{
        {program.call}
    }} catch (const std::exception& error) {{
        fprintf(stderr, "%s\\n", error.what());
        return -1;
    }}
    return cudaMemcpy(product_here, product, 4 * 64 * 128, cudaMemcpyDeviceToHost);
}}"""


def compiled_for_hopper(folder, nvcc):
    """PROGRAMS as a library for ctypes: run_0, run_1, ..., which return CUDA's error, 0 for none."""
    source, library = folder / "programs.cu", folder / "programs.so"
    source.write_text("\n".join(['#include "common/wgmma.h"', *(ON_A_GPU.format(number=n, program=p) for n, p in enumerate(PROGRAMS))]))
    command = [nvcc, "-std=c++17", "-arch=sm_90a", f"-I{CSRC}", "-shared", "-Xcompiler", "-fPIC", str(source), "-o", str(library)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[:3000]
    return ctypes.CDLL(str(library))


def test_a_hopper_gpu_gives_what_the_emulator_gives(library, tmp_path):
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    asked = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    if not nvcc or not shutil.which(asked[0]) or "9.0" not in subprocess.run(asked, capture_output=True, text=True).stdout:
        pytest.skip("needs nvcc and a GPU of compute capability 9.0")
    on_gpu = compiled_for_hopper(tmp_path, nvcc)
    for number, program in enumerate(PROGRAMS):
        _, arrays = library.run(number)
        product = np.full_like(arrays["product"], np.nan)
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (arrays["left"], arrays["right"], product)]
        assert getattr(on_gpu, f"run_{number}")(*pointers) == 0, program.call
        columns = [*(variant[0] for variant in VARIANTS), 128, 64][number]
        np.testing.assert_allclose(product[:, :columns], arrays["product"][:, :columns], rtol=0, atol=1e-4, err_msg=program.call)
