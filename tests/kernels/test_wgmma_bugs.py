"""Does the emulator find what is done wrong with wgmma? One mistake at a time in a kernel that is right, and each must be found."""

import re

import numpy as np
import pytest
from support.planted import Library, Program, library_of, possible

THREAD = r"thread \(\d+,\d+,\d+\) of block \(\d+,\d+,\d+\)"

# 64 x 32 results, of 4 slabs of 8 k; the copies of the next slab are on their way while one is multiplied.
RIGHT = """#line 1 "own/own.cu"
__device__ void copy_slab(WgmmaColumns<32>& b, const float* right, int slab) {
    for (int i = threadIdx.x; i < 256; i += 128) copy_async(&b.numbers[i / 128][i % 32][i / 32 % 4], right + (8 * slab + i / 32) * 128 + i % 32, true);
    end_of_copies();
}
__device__ void read_a(float (&a)[4], const float* left, int row, int slab) {
    for (int e = 0; e < 4; e++) a[e] = left[(row + e % 2 * 8) * 32 + 8 * slab + threadIdx.x % 4 + e / 2 * 4];
}
__global__ void __launch_bounds__(128) kernel(const float* left, const float* right, float* product) {
    __shared__ WgmmaColumns<32> b[2];
    const int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, first = threadIdx.x % 4 * 2;
    float sum[16] = {}, a[4];
    copy_slab(b[0], right, 0);
    for (int slab = 0; slab < 4; slab++) {
        read_a(a, left, row, slab);
        wait_for_copies<0>();
        fence_for_wgmma();
        __syncthreads();
        if (slab < 3) copy_slab(b[(slab + 1) % 2], right, slab + 1);
        wgmma_fence(sum, a);
        wgmma_tf32(sum, a, b[slab % 2]);
        wgmma_commit();
        wgmma_wait<0>(sum);
    }
    for (int i = 0; i < 16; i++) product[(row + i % 4 / 2 * 8) * 128 + i / 4 * 8 + first + i % 2] = sum[i];
}
void run(const float* left, const float* right, float* product) { launch("own", kernel, 1, 128, 0, nullptr, left, right, product); }"""
CALL = "run(left, right, product);"
LINES = RIGHT.splitlines()
FENCE, BARRIER, PRODUCT, WAIT = ("        " + call for call in ("fence_for_wgmma();", "__syncthreads();", "wgmma_tf32(sum, a, b[slab % 2]);", "wgmma_wait<0>(sum);"))


def line_of(text):
    return next(number for number, line in enumerate(LINES) if text in line)


COPIES, MULTIPLIES, READS_SUM = (rf"own/own.cu:{line_of(text)}" for text in ("copy_async(", "wgmma_tf32(", "product[(row"))
STARTED = rf"a product that is on its way: {THREAD} started it at {MULTIPLIES} and "
NO_SHARED_FENCE = rf"shared memory without fence_for_wgmma\(\): {THREAD} wrote at {COPIES} and {THREAD} multiplies at {MULTIPLIES}: "

# what is right, what is wrong, what must be found
BUGS = {
    # shared memory
    "no fence of what was written": (FENCE, "", NO_SHARED_FENCE),
    "the fence behind the barrier": (f"{FENCE}\n{BARRIER}", f"{BARRIER}\n{FENCE}", NO_SHARED_FENCE),
    "the fence before the copies have arrived": ("wait_for_copies<0>();\n        fence_for_wgmma();", "fence_for_wgmma();\n        wait_for_copies<0>();", NO_SHARED_FENCE),
    "a fence by one warp only": (FENCE, "        if (threadIdx.x < 32) fence_for_wgmma();", NO_SHARED_FENCE),
    "no barrier": (BARRIER, "", rf"a copy that is on its way|data race in shared memory: {THREAD} wrote at {COPIES} and {THREAD} reads at {MULTIPLIES}"),
    "copies that nobody waits for": ("        wait_for_copies<0>();", "", rf"a copy that is on its way: {THREAD} started it at {COPIES} and {THREAD} reads at {MULTIPLIES}"),
    "half of b is never written": ("i < 256", "i < 128", rf"shared memory that nobody has written: {THREAD} reads at {MULTIPLIES}"),
    "the slab that is multiplied is overwritten": (WAIT, f"        if (slab < 3) copy_slab(b[slab % 2], right, slab + 1);\n{WAIT}",
        rf"an operand that wgmma still reads: {THREAD} started the product at {MULTIPLIES} and {THREAD} copies at {COPIES} before the wait"),
    "... or after the wait, but before the others'": (WAIT, f"{WAIT}\n        if (slab < 3) copy_slab(b[slab % 2], right, slab + 1);",
        rf"data race in shared memory: {THREAD} read at {MULTIPLIES} and {THREAD} copies at {COPIES} with no barrier between"),
    "a single number of b written before the wait": (WAIT, f"        if (threadIdx.x == 77) b[slab % 2].numbers[1][31][3] = 0;\n{WAIT}",
        rf"an operand that wgmma still reads: {THREAD} started the product at {MULTIPLIES} and thread \(77,0,0\) of block \(0,0,0\) writes at own/own.cu:\d+ before"),
    "b begins at any number": ("b[slab % 2]);", "*reinterpret_cast<WgmmaColumns<32>*>(&b[0].numbers[0][0][1]));",
        rf"misaligned: {THREAD} reads 16 bytes at once at {MULTIPLIES}, at an address that is a multiple of 4 only"),
    "b in global memory": ("b[slab % 2]);", "*reinterpret_cast<const WgmmaColumns<32>*>(right));", rf"wgmma reads b from shared memory only: {THREAD} multiplies at {MULTIPLIES}"),
    "b among the variables of a thread": (PRODUCT, "        WgmmaColumns<32> own{}; wgmma_tf32(sum, a, own);", rf"wgmma reads b from shared memory only: {THREAD} multiplies at own"),
    "b beyond the dynamic shared memory": ("b[slab % 2]);", "dynamic_shared<WgmmaColumns<32>>()[slab]);", rf"out of bounds: {THREAD} reads at {MULTIPLIES}"),
    # registers
    "no fence of the registers": ("        wgmma_fence(sum, a);", "", rf"registers without wgmma_fence\(\): {THREAD} multiplies at {MULTIPLIES}, and never called it"),
    "a fence once for all slabs": ("        wgmma_fence(sum, a);", "        if (slab == 0) wgmma_fence(sum, a);", rf"registers without wgmma_fence\(\): {THREAD} multiplies at {MULTIPLIES}, and a has changed"),
    "sum changed behind the fence": ("        wgmma_tf32(", "        sum[3] += 1; wgmma_tf32(", rf"registers without wgmma_fence\(\): {THREAD} multiplies at {MULTIPLIES}, and sum has changed since the last one"),
    "no wait": (WAIT, "", STARTED + "(reads|writes) its a"),
    "no wait behind the last product": (WAIT, "        if (slab < 3) wgmma_wait<0>(sum);", STARTED + rf"reads its sum at {READS_SUM} before it has waited"),
    "a wait for all but the last": (WAIT, WAIT.replace("0", "1"), STARTED + "writes its a at own/own.cu:6 before it has waited"),
    "no commit": ("        wgmma_commit();", "", STARTED + r"writes its a at own/own.cu:6 before wgmma_commit\(\) and a wait"),
    "a changed before the wait": (WAIT, f"        a[2] = 0;\n{WAIT}", STARTED + "writes its a at own/own.cu:22 before"),
    "sum changed before the wait": (WAIT, f"        sum[15] = 0;\n{WAIT}", STARTED + "writes its sum at own/own.cu:22 before"),
    "two sums that overlap": (PRODUCT, f"{PRODUCT} wgmma_tf32(*reinterpret_cast<float(*)[16]>(sum + 1), a, b[slab % 2]);", STARTED + "begins another with a part of its sum"),
    "a sum in a function that returns": (
        PRODUCT, "        const auto start = [&] { float mine[16] = {}; wgmma_fence(mine); wgmma_tf32(mine, a, b[slab % 2]); }; start();",
        "a product that is on its way: .* leaves the function that has its sum"),
    "a sum that is no variable": ("float sum[16] = {}, a[4]", "__shared__ float sum[16]; float a[4]", rf"must be variables of a thread.* {THREAD} at {MULTIPLIES}"),
    "results that nobody waits for": ("        wgmma_commit();\n" + WAIT, "        return;", STARTED + r"returns before wgmma_commit\(\) and a wait"),
    "results that nobody waits for behind a commit": (WAIT, "        return;", STARTED + "returns before it has waited"),
    # warpgroups
    "a product by half of the warpgroup": ("        wgmma_tf32(", "        if (threadIdx.x < 64) wgmma_tf32(",
        r"barrier divergence in block \(0,0,0\): thread \(0,0,0\) waits for its warpgroup in wgmma_tf32\(\) at own/own.cu:\d+, "
        r"but thread \(64,0,0\) waits for its warpgroup in wgmma_commit\(\) at own/own.cu:\d+"),
    "a wait by one warp": (WAIT, "        if (threadIdx.x < 32) wgmma_wait<0>(sum);", r"barrier divergence in block .* in wgmma_wait\(\) at own/own.cu:\d+, but thread \(32,0,0\) (has returned|waits)|" + STARTED),
    "a lane that returns": ("    copy_slab(b[0]", "    if (threadIdx.x == 9) return; copy_slab(b[0]", "barrier divergence in block .* but thread .* has returned"),
    "a warp that returns": ("        wgmma_fence(", "        if (threadIdx.x >= 96) return; wgmma_fence(", r"barrier divergence .* in wgmma_fence\(\) at own/own.cu:\d+, but thread \(96,0,0\) has returned"),
    "each half has another b": ("b[slab % 2]);", "b[threadIdx.x / 64]);", r"wgmma of different operands: thread \(0,0,0\) has another b or `add` than thread \(64,0,0\) of block \(0,0,0\) at " + MULTIPLIES),
    "some add and others don't": ("b[slab % 2]);", "b[slab % 2], threadIdx.x != 5);", r"wgmma of different operands: thread \(0,0,0\) has .* than thread \(5,0,0\) of block"),
    "three warps": ("kernel, 1, 128,", "kernel, 1, 96,", rf"wgmma_fence\(\) wants warpgroups of 128 threads, and the block has 96: {THREAD} at own/own.cu:\d+|nobody has written"),
}  # fmt: skip

# What is right although it looks like one of these.
NOT_BUGS = {
    "the kernel itself": ("", ""),
    "a is a variable of a function that has returned": (
        f"{PRODUCT}\n        wgmma_commit();\n{WAIT}",
        """        const auto start = [&](float factor) { float mine[4]; for (int e = 0; e < 4; e++) mine[e] = factor * a[e];
            wgmma_fence(sum, mine); wgmma_tf32(sum, mine, b[slab % 2]); wgmma_commit(); };
        const auto other = [&] { float more[8]; for (int e = 0; e < 8; e++) more[e] = 3 * a[e % 4]; return more[threadIdx.x % 8]; };
        start(0.75); other(); start(0.25); other();
        wgmma_wait<0>(sum);"""),
    "a is read before the wait": (WAIT, f"        product[0 * int(a[0])] = 0;\n{WAIT}".replace("product[0 * int(a[0])] = 0", "const float read = a[0]; (void)read")),
    "a is a variable of a block that has ended": (
        f"{PRODUCT}\n        wgmma_commit();\n{WAIT}",
        """        { float mine[4]; for (int e = 0; e < 4; e++) mine[e] = a[e]; wgmma_fence(sum, mine); wgmma_tf32(sum, mine, b[slab % 2]); wgmma_commit(); }
        { float more[4]; for (int e = 0; e < 4; e++) more[e] = 3 * a[e]; if (more[threadIdx.x % 4] > 1000) product[0] = more[0]; }
        wgmma_wait<0>(sum);"""),
    "two sums in flight": (
        f"{PRODUCT}\n        wgmma_commit();\n{WAIT}",
        """        float other[16];
        wgmma_fence(other);
        wgmma_tf32(sum, a, b[slab % 2]); wgmma_commit();
        wgmma_tf32(other, a, b[slab % 2], false); wgmma_commit();
        wgmma_wait<1>(sum);
        for (int i = 0; i < 16; i++) sum[i] *= 1;
        wgmma_wait<0>(other);"""),
}  # fmt: skip


def changed(right, wrong, capability=90, call=CALL):
    assert not right or RIGHT.count(right) == 1, right
    return Program(RIGHT.replace(right, wrong) if right else RIGHT, call, capability)


UNCHECKED = "cuda_cpu::set_checking(false); " + CALL
PROGRAMS = {
    **{name: changed(right, wrong) for name, (right, wrong, _) in BUGS.items()},
    **{name: changed(right, wrong) for name, (right, wrong) in NOT_BUGS.items()},
    **{f"compute capability {capability}": changed("", "", capability) for capability in (80, 100)},
    "no wait, unchecked": changed(WAIT, WAIT + " if (slab == 3) { wgmma_fence(sum, a); wgmma_tf32(sum, a, b[1]); for (int i = 0; i < 16; i++) product[i] = sum[i]; }", call=UNCHECKED),
    "overwritten, unchecked": changed(WAIT, f"        if (slab == 3) b[1].numbers[0][0][0] = 100;\n{WAIT}", call=UNCHECKED),
}  # fmt: skip


library = library_of(PROGRAMS, "wgmma_bugs")


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_found(library, name):
    message, _ = library.run_named(name)
    assert re.search(BUGS[name][2], message), message


def right_results(arrays):
    left, right = (arrays[name].astype(np.float64) for name in ("left", "right"))
    return left @ right[:, :32]


@pytest.fixture(scope="module")
def optimized(tmp_path_factory):
    """What is right, compiled as setup.py compiles it: g++ then moves functions and variables to other places."""
    if not possible():
        pytest.skip("needs g++ and the sources")
    return Library(tmp_path_factory.mktemp("wgmma_optimized"), [PROGRAMS[name] for name in NOT_BUGS], "-Og", pieces=2)


@pytest.mark.parametrize("name", NOT_BUGS)
def test_no_false_alarm(library, optimized, name):
    assert library.run_named(name)[0] == ""
    message, arrays = optimized.run(list(NOT_BUGS).index(name))
    assert message == ""
    np.testing.assert_allclose(arrays["product"][:, :32], right_results(arrays), atol=0.02)


@pytest.mark.parametrize("capability, dotted", [(80, "8.0"), (100, "10.0")])
def test_only_hopper_has_it(library, capability, dotted):
    message, _ = library.run_named(f"compute capability {capability}")
    assert re.search(rf"fence_for_wgmma\(\) needs compute capability 9.0, and this GPU has {dotted}: {THREAD} at own/own.cu:\d+", message), message


def test_without_checks_a_sum_that_is_read_too_early_is_nan(library):
    message, arrays = library.run_named("no wait, unchecked")
    assert re.search(r"started it at own/own.cu:22 and returns before wgmma_commit\(\) and a wait", message), message
    assert np.isnan(arrays["product"][0, :16]).all()


def test_without_checks_an_overwritten_b_gives_wrong_numbers(library):
    message, arrays = library.run_named("overwritten, unchecked")
    assert message == ""
    wrong = np.abs(arrays["product"][:, :32] - right_results(arrays)) > 0.1
    assert wrong[:, 0].sum() > 60 and not wrong[:, 1:].any()
