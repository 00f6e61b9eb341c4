"""Kernels with mistakes, or small ones of a test's own, compiled into one library for ctypes to call: without Python bindings that takes
seconds. Each is a program of its own, in a namespace of its own."""

import atexit
import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

CSRC = Path(__file__).parents[2] / "csrc"
CHECKED = ["-fsanitize=thread,bounds-strict,integer-divide-by-zero", "-fsanitize-coverage=trace-pc", "-fstack-reuse=none"]  # as setup.py
EMULATOR = ("cuda_cpu", "check", "hooks", "symbols", "cost", "wgmma", "limits")
LEFT_OUT = ("common/device.h", "common/wgmma.h", "emulator/")  # they stand before all programs


class Bug(NamedTuple):
    source: str  # the .cu file
    file: str  # where the mistake is made: there or in a header
    right: str
    wrong: str
    found: str  # what the error must say (a regular expression)


class Program(NamedTuple):
    text: str  # kernels and launchers
    call: str  # what calls them, with the names of SIZES
    capability: int = 90


SIZES = {"x": (2, 5, 7, 5), "weight": (18, 5, 3, 3), "bias": (18,), "y": (2, 18, 7, 5), "dy": (2, 18, 7, 5), "dx": (2, 5, 7, 5),
         "dweight": (18, 5, 3, 3), "dbias": (18,), "gradients": (18 * 46,), "parts": (2 * 2 * 18 * 35,), "scratch": (40000,),
         "left": (64, 32), "right": (32, 128), "product": (64, 128)}  # fmt: skip


def with_headers(file, bug, shorten):
    """A source with the mistake made and its headers inserted, so that it can stand in a namespace."""
    text = (CSRC / file).read_text()
    if file == bug.file:
        assert text.count(bug.right) == 1, f"{file} has changed: {bug.right!r} is there {text.count(bug.right)} times"
        # the lines keep their numbers
        text = text.replace(bug.right, bug.wrong + "\n" * max(0, bug.right.count("\n") - bug.wrong.count("\n")))
    text = shorten(file, text)
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r'#include "(\w+/\w+\.h)"', line)
        if header and not header[1].startswith(LEFT_OUT):
            lines += ["@" + header[1], f'#line {number + 1} "{file}"']
        elif not line.startswith(("#include", "#pragma once")):
            lines.append(line)
        else:
            lines.append("")
    return "\n".join(lines)


def flattened(bug, shorten=lambda file, text: text):
    """with_headers, header by header, each only once."""
    text, done = "@" + bug.source, set()
    while place := re.search(r"^@(.*)$", text, re.MULTILINE):
        name = place[1]
        text = text[: place.start()] + ("" if name in done else with_headers(name, bug, shorten)) + text[place.end() :]
        done.add(name)
    return text


START = """
#include <initializer_list>
#include "emulator/check.h"
#include "emulator/cost.h"
#include "common/device.h"
#include "common/wgmma.h"
#include "emulator/cuda_cpu_mma.h"
"""
COSTS = ("global_read", "global_written", "sectors_read", "sectors_written", "shared_read", "shared_written", "wavefronts",
         "bank_conflicts", "multiply_adds", "multiplications", "additions", "barriers", "warp_steps", "lane_steps")  # fmt: skip
TAKE_COSTS = f"""
{START}
extern "C" __attribute__((visibility("default"))) void take_costs(long* numbers) {{
    for (const cuda_cpu::Cost& cost : cuda_cpu::take_costs())
        for (long number : {{{", ".join("cost." + name for name in COSTS)}}}) *numbers++ = number;
}}
"""


def function(number, program):
    parameters = ", ".join(f"float* {name}" for name in SIZES)
    allowed = "\n".join(f"cuda_cpu::allow({name}, {int(np.prod(shape))}, 4);" for name, shape in SIZES.items())
    return f"""
namespace program_{number} {{
{program.text}
#line 1 "call"
}}
extern "C" __attribute__((visibility("default"), no_sanitize("thread"))) void run_{number}({parameters}, int counting, char* message) {{
    using namespace program_{number};
    cuda_cpu::set_checking(true);
    cuda_cpu::set_counting(counting);
    cuda_cpu::set_gpu({program.capability});
    {allowed}
    try {{
        {program.call}
    }} catch (const std::exception& error) {{
        strncpy(message, error.what(), 999);
    }}
    cuda_cpu::forget_arrays();
    cuda_cpu::set_counting(false);
}}
"""


COMMON = ["g++", "-std=c++17", "-fPIC", "-fvisibility=hidden", f"-I{CSRC}", "-Wno-unknown-pragmas", "-c"]


@functools.cache
def emulator():
    """Its objects, compiled once for all libraries of this process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    (folder / "take_costs.cpp").write_text(TAKE_COSTS)
    sources = [*(CSRC / "emulator" / f"{name}.cpp" for name in EMULATOR), CSRC / "bindings" / "has_wgmma.cu", folder / "take_costs.cpp"]
    objects = [folder / f"{source.stem}.o" for source in sources]
    execute_all([[*COMMON, "-O1", "-x", "c++", str(source), "-o", str(target)] for source, target in zip(sources, objects, strict=True)])
    return objects


def execute(command):
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[:3000]


def execute_all(commands):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(execute, commands))


class Library:
    """The programs, compiled as setup.py does (but for the optimization)."""

    def __init__(self, folder, programs, optimization="-O0", pieces=4):
        """programs: a list, or a dictionary with their names."""
        self.names, programs = list(programs), list(programs.values()) if isinstance(programs, dict) else programs
        jobs = []
        functions = [function(number, program) for number, program in enumerate(programs)]
        for piece in range(pieces):  # a compilation reads the headers once for all its programs
            source = folder / f"programs_{piece}.cpp"
            source.write_text("\n".join([START, *functions[piece::pieces]]))
            jobs.append([*COMMON, optimization, "-g", *CHECKED, str(source), "-o", str(source.with_suffix(".o"))])
        execute_all(jobs)
        objects = [*folder.glob("*.o"), *emulator()]
        execute(["g++", "-shared", *map(str, objects), "-o", str(folder / "programs.so"), "-ldl"])
        self.library = ctypes.CDLL(str(folder / "programs.so"))

    def run(self, number, counting=False):
        """-> what the checks say of this program, empty if nothing; its arrays."""
        rng = np.random.default_rng(0)
        arrays = {name: aligned(rng.standard_normal(shape, dtype=np.float32)) for name, shape in SIZES.items()}
        message = ctypes.create_string_buffer(1000)
        getattr(self.library, f"run_{number}")(*(a.ctypes.data_as(ctypes.c_void_p) for a in arrays.values()), int(counting), message)
        return message.value.decode(), arrays

    def run_named(self, name):
        return self.run(self.names.index(name))

    def costs(self, number):
        """The costs of the program's one launch, by their names."""
        message, _ = self.run(number, counting=True)
        numbers = (ctypes.c_long * len(COSTS))()
        self.library.take_costs(numbers)
        assert not message, message
        return dict(zip(COSTS, numbers, strict=True))


def library_of(programs, name="bugs"):
    """A fixture: these programs, compiled once for a file of tests."""

    @pytest.fixture(scope="module", name="library")
    def library(tmp_path_factory):
        if not possible():
            pytest.skip("needs g++ and the sources")
        return Library(tmp_path_factory.mktemp(name), programs)

    return library


def aligned(values):
    """The same values where CuPy would have put them: at a multiple of 256 bytes."""
    buffer = np.empty(values.nbytes + 256, np.uint8)
    start = -buffer.ctypes.data % 256
    array = buffer[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    array[...] = values
    return array


def possible():
    return shutil.which("g++") is not None and CSRC.exists()
