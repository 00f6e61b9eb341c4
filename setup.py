"""Builds csrc/ into three modules: minidiff._kernels_native (C++ for this processor, csrc/cpu), minidiff._kernels_cpu (the CUDA kernels
emulated, in C++) and minidiff._kernels_cuda (the CUDA kernels, by nvcc).

It builds what the compilers that are here can build, and nothing (pure Python) if there is none. A compiler that is found
but fails is an error, never a silent fallback. Environment variables:

MINIDIFF_KERNELS="native cpu cuda"  insists on these kernels; "" builds none.
MINIDIFF_CUDA_ARCHS="8.0 9.0" compiles for these GPUs. Without it: for the GPUs that are here, for every kind if none is.
                              It takes PyTorch's spellings: 8.6+PTX, 9.0a, sm_80, compute_90, native, all.
                              Machine code for 9.0 is made for 9.0a, which has Hopper's wgmma, too (csrc/common/wgmma.h).
MINIDIFF_DEBUG=1              compiles with -O0 -g, for gdb.
CXX="ccache g++ -O1"          is the C++ compiler, with a launcher before it and flags behind it if you like.
CUDA_HOME=/usr/local/cuda     is where nvcc is looked for first.

Metadata is in pyproject.toml.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
CSRC = Path("csrc")
HEADERS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / CSRC).rglob("*.h"))
RUNGS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / CSRC).glob("ladder/*/*.cu"))  # included by csrc/ladder/*.cu
NATIVE = sorted(str(p.relative_to(ROOT)) for p in (ROOT / CSRC / "cpu").glob("*.cpp"))
# those of csrc/exercises are answers, each compiled by itself when it is graded
KERNELS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / CSRC).glob("*/*.cu") if p.parent.name != "exercises")
BINDINGS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / CSRC).glob("bindings/*.cpp"))
EMULATOR = [str(CSRC / "emulator" / f"{name}.cpp") for name in ("cuda_cpu", "check", "hooks", "symbols", "cost", "wgmma", "limits")]
# g++ then calls a function before each memory access, for each wrong index and at each branch: csrc/emulator/hooks.cpp.
# Each variable has a place of its own, since the checks of wgmma take it for a register: csrc/emulator/cuda_cpu_wgmma.h.
CHECKED = ["-fsanitize=thread,bounds-strict,integer-divide-by-zero", "-fsanitize-coverage=trace-pc", "-fstack-reuse=none"]

SOURCES = {"native": NATIVE, "cpu": KERNELS + EMULATOR + BINDINGS, "cuda": KERNELS + BINDINGS}
LAUNCHERS = ("ccache", "sccache", "distcc", "icecc")  # they stand before the compiler

DEBUG = os.environ.get("MINIDIFF_DEBUG", "") not in ("", "0")
ARCHITECTURES = ["75", "80", "90"]  # 8.6 and 8.9 run the code for 8.0, newer GPUs compile the PTX for 9.0


class Cxx(NamedTuple):
    """The C++ compiler: `launcher program flags`, as in CXX="ccache g++ -O1"."""

    launcher: list[str]
    program: str
    flags: list[str]

    @property
    def command(self) -> list[str]:
        return [*self.launcher, self.program, *self.flags]

    @property
    def for_nvcc(self) -> list[str]:
        """nvcc's options for it. nvcc starts the compiler itself, so that there is no place for a launcher."""
        flags = [flag.replace(",", r"\,") for flag in self.flags]  # nvcc cuts the list at commas
        return ["-ccbin", self.program, *(["-Xcompiler", ",".join(flags)] if flags else [])]


def find_cxx() -> tuple[Cxx | None, str]:
    """The C++ compiler, or None and why not.    Raises SystemExit if CXX names a program that is not there."""
    if not sys.platform.startswith("linux"):
        return None, f"the emulator needs Linux, this is {sys.platform}"
    words = shlex.split(os.environ.get("CXX", ""))
    count = next((n for n, word in enumerate(words) if Path(word).name not in LAUNCHERS), len(words))
    launcher, named, flags = words[:count], words[count : count + 1], words[count + 1 :]
    for word in [*launcher, *named]:
        if not shutil.which(word):
            raise SystemExit(
                f"CXX={os.environ['CXX']!r}: there is no program {word!r}. Name a C++ compiler, or unset CXX to use g++"
            )
    found = named or [c for c in ("g++", "c++") if shutil.which(c)][:1]
    if not found:
        return None, "no C++ compiler: neither $CXX, g++ nor c++"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return None, f"no Python.h in {sysconfig.get_path('include')} (Debian: apt install python3-dev)"
    return Cxx(launcher, found[0], flags), ""


def find_nvcc() -> tuple[Path | None, str]:
    """nvcc's path, or None and why not."""
    roots = [Path(os.environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    on_path = shutil.which("nvcc")
    candidates = [root / "bin" / "nvcc" for root in roots] + ([Path(on_path).resolve()] if on_path else [])
    candidates.append(Path("/usr/local/cuda/bin/nvcc"))
    # pip install "cuda-toolkit[nvcc,cudart,cccl]"; purelib is the real environment even in pip's isolated build
    candidates += [Path(p, "nvidia", "cu13", "bin", "nvcc") for p in [*sys.path, sysconfig.get_path("purelib")]]
    for nvcc in candidates:
        if nvcc.exists():
            return nvcc, ""
    return None, 'no nvcc in CUDA_HOME, PATH, /usr/local/cuda or the pip package "cuda-toolkit[nvcc,cudart,cccl]"'


class Architectures(NamedTuple):
    """Compute capabilities as nvcc writes them, "86" or "90a": those with machine code, and those with PTX.

    The driver compiles PTX for GPUs that have no machine code, when a kernel is first used.
    """

    machine_code: list[str]
    ptx: list[str]


def architectures(nvcc: Path) -> Architectures:
    """What to compile for: MINIDIFF_CUDA_ARCHS, else this machine's GPUs, else all of ARCHITECTURES."""
    listed = said_by(nvcc, "--list-gpu-code").split()
    everything = [a for a in ARCHITECTURES if f"sm_{a}" in listed] or ARCHITECTURES
    here = sorted({a for a in capabilities_here() if f"sm_{a}" in listed}, key=int)
    variable = os.environ.get("MINIDIFF_CUDA_ARCHS", "")
    if words := re.split(r"[\s,;]+", variable.strip()) if variable.strip() else []:
        return with_wgmma(named_architectures(words, everything, here))
    if here:
        return with_wgmma(Architectures(here, everything[:1]))  # other GPUs of a cluster compile the oldest PTX
    return with_wgmma(Architectures(everything, everything[-1:]))


def with_wgmma(archs: Architectures) -> Architectures:
    """Machine code for 90a instead of 90: it runs on the same GPUs, and may use all of their instructions.

    PTX stays as it is: that for 90a would be of no use to newer GPUs.
    """
    return Architectures(list(dict.fromkeys("90a" if a == "90" else a for a in archs.machine_code)), archs.ptx)


def named_architectures(words: list[str], everything: list[str], here: list[str]) -> Architectures:
    """Those of MINIDIFF_CUDA_ARCHS, with PTX for the last one if none is asked for.    Raises SystemExit."""
    machine_code: list[str] = []
    ptx: list[str] = []
    for word in words:
        if word.lower() == "all":
            machine_code += everything
        elif word.lower() == "native":
            if not here:
                raise SystemExit("MINIDIFF_CUDA_ARCHS: native is for the GPUs of this machine, but nvidia-smi finds none")
            machine_code += here
        elif spelt := re.fullmatch(r"(sm_|compute_)?(\d+)\.?(\d)([af]?)(\+PTX)?", word, re.IGNORECASE):
            kind, major, minor, suffix, with_ptx = spelt.groups(default="")
            name = major + minor + suffix.lower()
            if kind.lower() != "compute_":
                machine_code.append(name)
            if with_ptx or kind.lower() == "compute_":
                ptx.append(name)
        else:
            raise SystemExit(
                f"MINIDIFF_CUDA_ARCHS: wanted compute capabilities such as '8.0 9.0', '8.6+PTX', '9.0a', 'sm_80', "
                f"or 'native' or 'all', got {word!r}"
            )
    machine_code = list(dict.fromkeys(machine_code))
    return Architectures(machine_code, list(dict.fromkeys(ptx)) or machine_code[-1:])


def said_by(nvcc: Path, option: str) -> str:
    """What nvcc says to this option.    Raises SystemExit if it cannot be run."""
    try:
        return subprocess.run([str(nvcc), option], capture_output=True, text=True).stdout
    except OSError as problem:
        raise SystemExit(
            f"{nvcc} cannot be run ({problem.strerror}). Set CUDA_HOME to a CUDA toolkit that works here, or "
            "build without its kernels: MINIDIFF_KERNELS=cpu"
        ) from problem


def capabilities_here() -> list[str]:
    """Of this machine's GPUs, as the driver's own tool says: ["90"]."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True).stdout.replace(".", "").split()


def generated_code(source: str, machine_code: list[str], ptx: list[str]) -> list[str]:
    """nvcc's options. TF32 exists from 8.0 on: for older GPUs its kernels are left out, newer PTX stands in."""
    least = 80 if Path(source).name.startswith("tf32") else 0
    code = [a for a in machine_code if capability(a) >= least]
    text = list(dict.fromkeys(a if capability(a) >= least else str(least) for a in ptx))
    return [f"-gencode=arch=compute_{a},code=sm_{a}" for a in code] + [
        f"-gencode=arch=compute_{a},code=compute_{a}" for a in text
    ]


def capability(architecture: str) -> int:
    """90 of "90a"."""
    return int(architecture.rstrip("af"))


def native_variants() -> dict[str, list[str]]:
    """The options of each variant of csrc/cpu; which one a processor runs is found out when the module is loaded."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return {"plain": ["-DLANES=4"]}  # NEON belongs to every 64-bit Arm
    return {
        "plain": ["-DLANES=4"],
        "avx2": ["-DLANES=8", "-march=x86-64-v3"],
        "avx512": ["-DLANES=16", "-march=x86-64-v4", "-mprefer-vector-width=512"],
    }


class Compilers:
    """What is there, decided before anything is compiled."""

    def __init__(self) -> None:
        wanted = os.environ.get("MINIDIFF_KERNELS")
        self.modules: list[str] = []
        self.cxx, self.nvcc = None, None
        if wanted is not None and not wanted.strip():
            return
        self.cxx, self.no_cxx = find_cxx()
        self.nvcc, self.no_nvcc = find_nvcc()
        if self.cxx is None:
            self.nvcc, self.no_nvcc = None, self.no_cxx
        possible = [module for module in ("native", "cpu") if self.cxx is not None and SOURCES[module]] + ["cuda"] * (self.nvcc is not None)
        self.modules = possible if wanted is None else wanted.replace(",", " ").split()
        for module in self.modules:
            if module not in SOURCES:
                raise SystemExit(f'MINIDIFF_KERNELS: wanted "native", "cpu", "cuda", several of them or "", got {wanted!r}')
            if module not in possible:
                missing = self.no_nvcc if module == "cuda" else self.no_cxx
                raise SystemExit(f"MINIDIFF_KERNELS={wanted!r} wants the {module} kernels, but {missing}")

    def commands(self, module: str) -> list[tuple[str, list[str]]]:
        """(source, command) for each object of a module; the command lacks its input and output."""
        try:
            import pybind11
        except ImportError as problem:
            raise SystemExit(
                'Building the kernels needs pybind11: pip install pybind11, or build none: MINIDIFF_KERNELS=""'
            ) from problem
        include = [f"-I{CSRC}", f"-I{sysconfig.get_path('include')}", f"-I{pybind11.get_include()}"]
        cxx = [*self.cxx.command, "-std=c++17", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unknown-pragmas", *include]
        if module == "native":
            fast = [*cxx, "-O0" if DEBUG else "-O3", "-g", "-fno-math-errno", "-fno-trapping-math"]
            variants = [[*fast, f"-DVARIANT={name}", *options] for name, options in native_variants().items()]
            return [(n, command) for n in NATIVE for command in (variants if n.endswith("variant.cpp") else [[*cxx, "-O1"]])]
        if module == "cpu":
            checked = [*cxx, "-O0" if DEBUG else "-Og", "-g", *CHECKED, "-x", "c++"]
            emulator = [(source, [*cxx, "-O2"]) for source in EMULATOR]  # without -g, or gdb's `step` would enter the checks
            if DEBUG:
                emulator[0] = EMULATOR[0], [*cxx, "-O0", "-g"]
            binding = [*cxx, "-O1", "-DMODULE=_kernels_cpu"]
            return [(k, checked) for k in KERNELS] + emulator + [(b, binding) for b in BINDINGS]
        archs = architectures(self.nvcc)
        host = ["-std=c++17", *self.cxx.for_nvcc, "-Xcompiler", "-fPIC,-fvisibility=hidden", *include]
        kernel = [str(self.nvcc), *host, "-lineinfo", *(["-g", "-O0"] if DEBUG else ["-O3"])]
        # nvcc hands .cpp files to the C++ compiler, and knows where CUDA's headers and libraries are even if it is a wrapper script
        binding = [str(self.nvcc), *host, "-O1", "-DMODULE=_kernels_cuda", "-DMINIDIFF_CUDA", f'-DARCHITECTURES="{" ".join(archs.machine_code or archs.ptx)}"']
        return [(k, [*kernel, *generated_code(k, *archs)]) for k in KERNELS] + [(b, binding) for b in BINDINGS]

    def link(self, module: str) -> list[str]:
        """The command that links a module, without its output and objects."""
        if module != "cuda":
            return [*self.cxx.command, "-shared", "-ldl"]
        libraries_of_pip = f"-L{self.nvcc.parent.parent}/lib"  # its nvcc looks in lib64 only
        return [str(self.nvcc), "-shared", *self.cxx.for_nvcc, "-cudart", "static", libraries_of_pip]


class BuildKernels(build_ext):
    """Runs the compilers itself: setuptools knows neither .cu nor two compilers in one module."""

    def build_extensions(self) -> None:
        self.modules = {ext.name.rpartition("_")[2]: ext for ext in self.extensions}
        jobs = [(module, source, command) for module in self.modules for source, command in COMPILERS.commands(module)]
        jobs.sort(key=lambda job: not job[1].endswith(".cu") or job[0] != "cuda")  # nvcc takes longest: start it first
        start = time.monotonic()
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            objects = list(pool.map(lambda job: self.compile(*job), jobs))
        for module, ext in self.modules.items():
            target = Path(self.get_ext_fullpath(ext.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            of_module = [str(o) for o, job in zip(objects, jobs, strict=True) if job[0] == module]
            execute([*COMPILERS.link(module), "-o", str(target), *of_module])
        print(f"minidiff: built {', '.join(self.modules)} kernels in {time.monotonic() - start:.0f} s")

    def compile(self, module: str, source: str, command: list[str]) -> Path:
        """The object file, compiled anew if a header, the source or the command has changed."""
        stamp = hashlib.sha256(" ".join(command).encode()).hexdigest()[:8]
        target = ROOT / "build" / "kernels" / f"{module}-{stamp}" / (Path(source).relative_to(CSRC).as_posix().replace("/", "_") + ".o")
        included = [*HEADERS, *(RUNGS if Path(source).parent.name == "ladder" else [])]
        newest = max((ROOT / f).stat().st_mtime for f in [source, *included])
        if not target.exists() or target.stat().st_mtime <= newest:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(f".{os.getpid()}.o")
            execute([*command, "-c", source, "-o", str(partial)])
            partial.replace(target)
        return target


def execute(command: list[str]) -> None:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        raise CompileError(
            f"minidiff: {command[0]} fails (exit status {result.returncode}):\n{shlex.join(command)}\n{result.stdout}{result.stderr}\n"
            'To install without kernels: MINIDIFF_KERNELS="" pip install .    Without the CUDA ones: MINIDIFF_KERNELS=cpu'
        )
    if result.stderr.strip():
        print(result.stderr)


COMPILERS = Compilers()
setup(
    ext_modules=[Extension(f"minidiff._kernels_{m}", SOURCES[m], depends=HEADERS + RUNGS) for m in COMPILERS.modules],
    cmdclass={"build_ext": BuildKernels},
    # `pip install -e .` then writes a .pth file with this folder. Python takes a package that it finds on its path before a folder
    # without __init__.py, so `import minidiff` is right from the folder above a clone that is called minidiff, too.
    options={"editable_wheel": {"mode": "compat"}},
)
