"""Do the checks of the emulator find bugs? One mistake at a time is made in a copy of a kernel, and each must be found.

All copies are compiled into one library, each in a namespace of its own, for ctypes to call: without Python bindings that takes seconds.
"""

import ctypes
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

CSRC = Path(__file__).parents[2] / "csrc"
THREAD = r"thread \(\d+,\d+,\d+\) of block \(\d+,\d+,\d+\)"


class Bug(NamedTuple):
    source: str  # the .cu file
    file: str  # where the mistake is made: there or in a header
    right: str
    wrong: str
    found: str  # what the error must say (a regular expression)


TILED, NAIVE, FAST, TILE = "conv2d/tiled.cu", "conv2d/naive.cu", "conv2d/fast.cu", "common/tile.h"
CORRELATE, WEIGHT = "conv2d/correlate.h", "conv2d/weight_gradient.h"

BUGS = {
    # shared memory
    "no barrier after the loads": Bug(
        TILED, TILED, "__syncthreads();  // the tiles are complete", "",
        rf"shared memory that nobody has written: {THREAD} reads at conv2d/tiled.cu:\d+"),
    "no barrier before the next tile": Bug(
        TILED, TILED, "__syncthreads();  // nobody needs them any more", "",
        rf"data race in shared memory: {THREAD} (read|wrote) at conv2d/tiled.cu:\d+ and {THREAD} (reads|writes) at conv2d/tiled.cu:\d+"),
    "half of a tile is never loaded": Bug(
        TILED, TILED, "        right_tile[y][x] = first_k", "        if (x < 8) right_tile[y][x] = first_k",
        rf"shared memory that nobody has written: {THREAD} reads at conv2d/tiled.cu:\d+"),
    "an index beyond the tile": Bug(
        TILED, TILED, "for (int k = 0; k < TILE; k++)", "for (int k = 0; k <= TILE; k++)",
        rf"index 16 is out of range at conv2d/tiled.cu:\d+ in {THREAD}|shared memory that nobody has written"),
    "sums of warps read without a barrier": Bug(
        NAIVE, NAIVE, "    __syncthreads();\n    if (warp != 0) return;", "    if (warp != 0) return;",
        rf"shared memory that nobody has written: {THREAD} reads at conv2d/naive.cu:\d+|data race in shared memory"),
    "a slab overwritten while it is multiplied": Bug(
        FAST, TILE, "copy(slab + STAGES - 1, free);", "copy(slab + STAGES - 1, stage);",
        r"data race in shared memory: .* at conv2d/(correlate|weight_gradient).h:\d+"),
    "no barrier between slabs": Bug(
        FAST, TILE, "__syncthreads();  // this slab has arrived for everybody, and nobody needs the one before it any more", "",
        "data race in shared memory|shared memory that nobody has written"),
    "copies that arrive after the barrier": Bug(
        FAST, TILE, "wait_for_copies<STAGES - 2>();\n        __syncthreads();", "__syncthreads();\n        wait_for_copies<STAGES - 2>();",
        r"data race in shared memory: .* at conv2d/(correlate|weight_gradient).h:\d+"),
    "four numbers copied to an address for one": Bug(
        FAST, CORRELATE, "copy_async(&a.at(k, m_e), tap_at + m_e * c.weight_m, tap", "copy_quad_async(&a.at(k, m_e), tap_at + m_e * c.weight_m, tap",
        rf"an address that is no multiple of 16 bytes: {THREAD} copies at conv2d/correlate.h:\d+"),
    "table read before it is complete": Bug(
        FAST, CORRELATE, "__syncthreads();  // the table is complete", "",
        r"shared memory that nobody has written: .* at conv2d/correlate.h:\d+"),
    # global memory
    "reads beside the image": Bug(
        TILED, TILED, "return conv.inside(h, w) ? x[", "return true ? x[",
        rf"out of bounds: {THREAD} reads at conv2d/tiled.cu:\d+, \d+ elements before an array of \d+ elements"),
    "the last block writes past the end": Bug(
        NAIVE, NAIVE, "if (t >= unsigned(conv.N) * conv.O * conv.I * conv.J) return;", "",
        rf"out of bounds: {THREAD} (reads|writes) at conv2d/naive.cu:\d+"),
    "k beyond the end of the sum": Bug(
        FAST, CORRELATE, "const bool padding = k >= K;", "const bool padding = false;",
        r"out of bounds: .* reads at conv2d/correlate.h:\d+"),
    "channels beyond the last": Bug(
        FAST, CORRELATE, "if (m >= c.M || pixel >= pixels) return;", "if (pixel >= pixels) return;",
        "out of bounds|data race in global memory"),
    "one pixel too many": Bug(
        FAST, CORRELATE, "if (pixel + 2 < pixels)", "if (pixel + 2 <= pixels)",
        "data race in global memory: .* writes at conv2d/correlate.h"),
    "pixels beyond the last image": Bug(
        FAST, WEIGHT, "const bool valid = k < K;", "const bool valid = true;", r"out of bounds: .* reads at conv2d/weight_gradient.h:\d+"),
    "all threads write one number": Bug(
        NAIVE, NAIVE, "if (threadIdx.x == 0) dbias[o] = sum;", "dbias[o] = sum;",
        rf"data race in global memory: {THREAD} wrote at conv2d/naive.cu:\d+ and {THREAD} writes at conv2d/naive.cu:\d+ with no "
        "barrier between"),
    "add without atomicAdd": Bug(
        NAIVE, NAIVE, "if (threadIdx.x % warpSize == 0) sum_of_warp[warp] = sum;", "dbias[o] += sum;\n    sum_of_warp[warp] = 0;",
        "data race in global memory"),
    # barriers
    "a barrier that some threads miss": Bug(
        TILED, TILED, "__syncthreads();  // the tiles are complete", "if (m < M) __syncthreads();",
        "barrier divergence in block|shared memory that nobody has written|data race in shared memory"),
    "threads that leave before the barrier": Bug(
        TILED, TILED, "    float sum = 0;\n    for (int first_k", "    if (n >= N) return;\n    float sum = 0;\n    for (int first_k",
        r"barrier divergence in block \(\d+,\d+,\d+\): thread .* waits in __syncthreads\(\) at line \d+, but thread .* has returned"
        "|shared memory that nobody has written"),
    "a shuffle in a branch": Bug(
        NAIVE, NAIVE, "    sum = warp_sum(sum);\n    if (threadIdx.x % warpSize == 0)",
        "    if (threadIdx.x % 32 < 8) sum = warp_sum(sum);\n    if (threadIdx.x % warpSize == 0)",
        "barrier divergence in block .* waits for its warp at line"),
    "a shuffle with a part of the warp": Bug(
        NAIVE, NAIVE, "    sum = warp_sum(sum);\n    if (threadIdx.x % warpSize == 0)",
        "    sum += __shfl_xor_sync(0xffff, sum, 1);\n    if (threadIdx.x % warpSize == 0)",
        rf"not emulated: a warp function with a mask other than 0xffffffff, by {THREAD} at line \d+"),
}  # fmt: skip

NOT_BUGS = {
    source: Bug(source, source, "\nnamespace {", "\nnamespace {", "") for source in (TILED, NAIVE, FAST)
}

CALLS = {
    NAIVE: """conv2d_naive(conv, x, weight, bias, y, 0); conv2d_input_gradient_naive(conv, dy, weight, nullptr, dx, 0);
              conv2d_weight_gradient_naive(conv, dy, x, dweight, 0); conv2d_bias_gradient_naive(conv, dy, dbias, 0);
              conv2d_bias_gradient_tiled(conv, dy, dbias, 0);""",
    TILED: """conv2d_tiled(conv, x, weight, bias, y, 0); conv2d_input_gradient_tiled(conv, dy, weight, nullptr, dx, 0);
              conv2d_weight_gradient_tiled(conv, dy, x, dweight, 0);""",
    FAST: """const Plan plan{4, 2, parts};
             conv2d_fast(conv, x, weight, bias, y, plan, 0); conv2d_input_gradient_fast(conv, dy, weight, nullptr, dx, plan, 0);
             conv2d_weight_gradient_fast(conv, dy, x, dweight, plan, 0);""",
}  # fmt: skip
SIZES = {"x": (2, 5, 7, 5), "weight": (18, 5, 3, 3), "bias": (18,), "y": (2, 18, 7, 5), "dy": (2, 18, 7, 5), "dx": (2, 5, 7, 5),
         "dweight": (18, 5, 3, 3), "dbias": (18,), "parts": (2 * 2 * 18 * 35,)}  # fmt: skip


def with_headers(file, bug):
    """A source with the mistake made and its headers inserted, so that it can stand in a namespace."""
    text = (CSRC / file).read_text()
    if file == bug.file:
        assert text.count(bug.right) == 1, f"{file} has changed: {bug.right!r} is there {text.count(bug.right)} times"
        # the lines keep their numbers
        text = text.replace(bug.right, bug.wrong + "\n" * max(0, bug.right.count("\n") - bug.wrong.count("\n")))
    if file == FAST:  # the other tiles would take long to compile
        text = re.sub(r"case [0-3]: .*", "", text)
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r'#include "(conv2d/\w+\.h|common/(?:tile|warp_place|divider)\.h)"', line)
        if header:
            lines += ["@" + header[1], f'#line {number + 1} "{file}"']
        elif not line.startswith(("#include", "#pragma once")):
            lines.append(line)
        else:
            lines.append("")
    return "\n".join(lines)


def flattened(bug):
    """with_headers, header by header, each only once."""
    text, done = "@" + bug.source, set()
    while place := re.search(r"^@(.*)$", text, re.MULTILINE):
        name = place[1]
        text = text[: place.start()] + ("" if name in done else with_headers(name, bug)) + text[place.end() :]
        done.add(name)
    return text


def program(number, bug):
    parameters = ", ".join(f"float* {name}" for name in SIZES)
    allowed = "\n".join(f"cuda_cpu::allow({name}, {int(np.prod(shape))}, 4);" for name, shape in SIZES.items())
    return f"""
#include "emulator/check.h"
#include "common/device.h"
namespace bug_{number} {{
{flattened(bug)}
#line 1 "call"
}}
extern "C" __attribute__((visibility("default"), no_sanitize("thread"))) void run_{number}({parameters}, char* message) {{
    using namespace bug_{number};
    const Conv conv{{2, 5, 7, 5, 18, 3, 3, 7, 5, 1, 1, 1, 1, 1, 1, 1}};
    cuda_cpu::set_checking(true);
    {allowed}
    try {{
        {CALLS[bug.source]}
    }} catch (const std::exception& error) {{
        strncpy(message, error.what(), 999);
    }}
    cuda_cpu::forget_arrays();
}}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Every bug's kernels, compiled as setup.py does."""
    if not shutil.which("g++") or not CSRC.exists():
        pytest.skip("needs g++ and the sources")
    folder = tmp_path_factory.mktemp("bugs")
    common = ["g++", "-std=c++17", "-fPIC", "-fvisibility=hidden", f"-I{CSRC}", "-Wno-unknown-pragmas", "-c"]
    jobs = [[*common, "-O1", str(CSRC / "emulator" / f"{name}.cpp"), "-o", str(folder / f"{name}.o")] for name in ("cuda_cpu", "check")]
    programs = [program(number, bug) for number, bug in enumerate([*BUGS.values(), *NOT_BUGS.values()])]
    for part in range(4):  # a compilation reads the headers once for all its programs
        source = folder / f"bugs_{part}.cpp"
        source.write_text("\n".join(programs[part::4]))
        jobs.append([*common, "-O0", "-g", "-fsanitize=thread,bounds", str(source), "-o", str(source.with_suffix(".o"))])

    def compile(job):
        result = subprocess.run(job, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compile, jobs))
    compile(["g++", "-shared", *map(str, folder.glob("*.o")), "-o", str(folder / "bugs.so"), "-ldl"])
    return ctypes.CDLL(str(folder / "bugs.so"))


def error_of(library, number):
    """What the checks say of the copy of this number; empty if nothing."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape, dtype=np.float32) for shape in SIZES.values()]
    message = ctypes.create_string_buffer(1000)
    getattr(library, f"run_{number}")(*(a.ctypes.data_as(ctypes.c_void_p) for a in arrays), message)
    return message.value.decode()


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_found(library, name):
    message = error_of(library, list(BUGS).index(name))
    assert re.search(BUGS[name].found, message), message


@pytest.mark.parametrize("source", NOT_BUGS)
def test_no_false_alarm(library, source):
    assert error_of(library, len(BUGS) + list(NOT_BUGS).index(source)) == ""
