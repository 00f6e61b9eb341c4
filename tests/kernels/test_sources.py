"""Rules for csrc that no run can check, only the compiler: what it warns of, and what it makes of the code."""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
SOURCES = sorted(CSRC.glob("*/*.cu"))
COMMAND = ["g++", "-std=c++17", "-O0", "-S", "-x", "c++", "-Wno-unknown-pragmas", "-Wconversion", "-Wno-sign-conversion", f"-I{CSRC}"]

# A number cut to a shorter integer: an index beyond 2^31 becomes a wrong one.
CUT = re.compile(r"^(\S+:\d+):\d+: warning: conversion from .(.*). to .(int|unsigned int|short int|short unsigned int|char). ")
# In g++'s dump: a struct in memory that is a call's argument, or that takes a call's result. g++ calls no check for it.
CALL = re.compile(r"^ *(?:(?P<result>\S+|MEM\[.*\]) = )?(?P<function>[\w:]+)(?:<[^()]*>)? \((?P<arguments>.*)\);$")
IN_MEMORY = re.compile(r"(^|, )(\*\w|MEM\[)")
HOST = re.compile(r"launch|cuda_cpu::|_\d+$")  # launchers run on the host, and call a kernel by a pointer


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The warnings for each source and the dump of its code."""
    if not shutil.which("g++") or not SOURCES:
        pytest.skip("needs g++ and the sources")
    folder = tmp_path_factory.mktemp("sources")
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(SOURCES, pool.map(lambda source: warnings_and_code(source, folder), SOURCES), strict=True))


def warnings_and_code(source, folder):
    dump = folder / f"{source.parent.name}-{source.name}.gimple"
    result = subprocess.run([*COMMAND, f"-fdump-tree-gimple={dump}", str(source), "-o", "/dev/null"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stderr, dump.read_text()


def cut_numbers(warnings):
    return [f"{place[1]}: {place[2]} to {place[3]}" for place in map(CUT.match, warnings.splitlines()) if place]


def unseen_structs(code):
    """Calls in kernels that read or write a struct in memory unseen."""
    calls = [call for call in map(CALL.match, code.splitlines()) if call and not HOST.match(call["function"])]
    return [call[0].strip() for call in calls if IN_MEMORY.search(call["arguments"]) or IN_MEMORY.match(call["result"] or "")]


def test_no_index_is_cut(compiled):
    assert not [cut for warnings, _ in compiled.values() for cut in cut_numbers(warnings)]


def test_structs_are_named_before_they_are_passed_on(compiled):
    """Rule 4 of common/device.h."""
    assert not {source.name: unseen_structs(code) for source, (_, code) in compiled.items() if unseen_structs(code)}


PLANTED = """
#include "common/device.h"
struct alignas(16) Pack { float at[4]; };
__device__ float first(Pack pack) { return pack.at[0]; }
__device__ Pack filled(float value) { return {value, value, value, value}; }
__device__ int shorter(size_t row, int column) {
    const int whole = ROW;
    return whole + column;
}
__global__ void kernel(const Pack* x, Pack* y) { USE }
"""


@pytest.mark.parametrize(
    "row, use, cut, unseen",
    [
        ("int(row)", "const Pack pack = x[1]; const Pack sum = filled(first(pack)); y[2] = sum;", 0, 0),
        ("row * 4", "", 1, 0),
        ("short(column)", "", 0, 0),
        ("0; const short tap = column; (void)tap", "", 1, 0),
        ("0", "y->at[0] = first(x[threadIdx.x]);", 0, 1),
        ("0", "y[1] = filled(2);", 0, 1),
    ],
)
def test_planted_bugs_are_found(tmp_path, row, use, cut, unseen):
    if not shutil.which("g++"):
        pytest.skip("needs g++")
    source = tmp_path / "planted.cu"
    source.write_text(PLANTED.replace("ROW", row).replace("USE", use))
    warnings, code = warnings_and_code(source, tmp_path)
    assert (len(cut_numbers(warnings)), len(unseen_structs(code))) == (cut, unseen)


def test_what_a_gpu_without_tf32_gets_compiles_for_it(tmp_path):
    """setup.py leaves tf32*.cu out below compute capability 8.0. What else includes their header must not use what those GPUs lack."""
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if not nvcc:
        pytest.skip("needs nvcc")
    others = [s for s in SOURCES if not s.name.startswith("tf32") and includes(s, "common/tile_tf32.h")]
    assert others
    for source in others:
        command = [nvcc, "-std=c++17", "-arch=sm_75", f"-I{CSRC}", "-cubin", str(source), "-o", str(tmp_path / "cubin")]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[:2000]


def includes(file, header):
    """Whether a file includes this header, or one of those that it includes does."""
    found = re.findall(r'#include "(\w+/\w+\.h)"', file.read_text())
    return header in found or any(includes(CSRC / name, header) for name in found if (CSRC / name).exists())
