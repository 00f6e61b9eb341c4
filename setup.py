"""Builds csrc/ into minidiff._kernels_cpu (plain C++, emulated) and minidiff._kernels_cuda (nvcc), as far as there are compilers.

MINIDIFF_KERNELS="cpu cuda"   insists on these; "" builds none. Without it: whatever compilers are found, pure Python if there is none.
MINIDIFF_DEBUG=1              -O0 -g, for gdb.
MINIDIFF_CUDA_ARCHS="8.0 9.0" compiles for these GPUs; "all" for every kind. Without it: for the GPUs that are here, all if none is.
A compiler that is found but fails is an error, never a silent fallback. Metadata is in pyproject.toml.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
CSRC = Path("csrc")
HEADERS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / CSRC).rglob("*.h"))
KERNELS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / CSRC).glob("*/*.cu"))
BINDINGS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / CSRC).glob("bindings/*.cpp"))
EMULATOR = [str(CSRC / "emulator" / "cuda_cpu.cpp"), str(CSRC / "emulator" / "check.cpp")]

DEBUG = os.environ.get("MINIDIFF_DEBUG", "") not in ("", "0")
ARCHITECTURES = ["75", "80", "90"]  # 8.6 and 8.9 run the code for 8.0, newer GPUs compile the PTX for 9.0


def find_cxx() -> tuple[list[str] | None, str]:
    """The C++ compiler's command, or None and why not."""
    if not sys.platform.startswith("linux"):
        return None, f"the emulator needs Linux, this is {sys.platform}"
    named = shlex.split(os.environ.get("CXX", ""))
    found = named if named and shutil.which(named[0]) else [c for c in ("g++", "c++") if shutil.which(c)][:1]
    if not found:
        return None, "no C++ compiler: neither $CXX, g++ nor c++"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return None, f"no Python.h in {sysconfig.get_path('include')} (Debian: apt install python3-dev)"
    return found, ""


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


def architectures(nvcc: Path) -> tuple[list[str], str]:
    """The compute capabilities to make machine code for, and the one for PTX, which the driver compiles for GPUs that have none.

    MINIDIFF_CUDA_ARCHS, or this machine's GPUs, or (no GPU here, or MINIDIFF_CUDA_ARCHS=all) all of ARCHITECTURES.
    """
    listed = subprocess.run([str(nvcc), "--list-gpu-code"], capture_output=True, text=True).stdout.split()
    everything = [a for a in ARCHITECTURES if f"sm_{a}" in listed] or ARCHITECTURES
    named = os.environ.get("MINIDIFF_CUDA_ARCHS", "").replace(";", " ").replace(",", " ").replace(".", "").split()
    here = sorted(set(a for a in capabilities_here() if f"sm_{a}" in listed), key=int)
    if named and named != ["all"]:
        return named, named[-1]
    if here and not named:
        return here, everything[0]  # other GPUs of a cluster compile the oldest PTX
    return everything, everything[-1]


def capabilities_here() -> list[str]:
    """Of this machine's GPUs, as the driver's own tool says: ["90"]."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True).stdout.replace(".", "").split()


def generated_code(source: str, archs: list[str], ptx: str) -> list[str]:
    """nvcc's options. TF32 exists from 8.0 on."""
    least = 80 if Path(source).name.startswith("tf32") else 0
    archs, ptx = [a for a in archs if int(a) >= least], str(max(int(ptx), least))
    return [f"-gencode=arch=compute_{a},code=sm_{a}" for a in archs] + [f"-gencode=arch=compute_{ptx},code=compute_{ptx}"]


class Compilers:
    """What is there, decided before anything is compiled."""

    def __init__(self) -> None:
        self.cxx, self.no_cxx = find_cxx()
        self.nvcc, self.no_nvcc = find_nvcc()
        if self.cxx is None:
            self.nvcc, self.no_nvcc = None, self.no_cxx
        possible = ["cpu"] * (self.cxx is not None) + ["cuda"] * (self.nvcc is not None)
        wanted = os.environ.get("MINIDIFF_KERNELS")
        self.modules = possible if wanted is None else wanted.replace(",", " ").split()
        for module in self.modules:
            if module not in ("cpu", "cuda"):
                raise SystemExit(f'MINIDIFF_KERNELS: wanted "cpu", "cuda", both or "", got {wanted!r}')
            if module not in possible:
                missing = self.no_cxx if module == "cpu" else self.no_nvcc
                raise SystemExit(f"MINIDIFF_KERNELS={wanted!r} wants the {module} kernels, but {missing}")

    def commands(self, module: str) -> dict[str, list[str]]:
        """The command for each source of a module, without its input and output."""
        import pybind11

        include = [f"-I{CSRC}", f"-I{sysconfig.get_path('include')}", f"-I{pybind11.get_include()}"]
        cxx = [*self.cxx, "-std=c++17", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unknown-pragmas", *include]
        if module == "cpu":
            # -fsanitize makes the compiler call a function before each memory access; check.cpp is that function.
            checked = [*cxx, "-O0" if DEBUG else "-Og", "-g", "-fsanitize=thread,bounds", "-x", "c++"]
            emulator = dict.fromkeys(EMULATOR, [*cxx, "-O0", "-g"] if DEBUG else [*cxx, "-O2"])
            emulator[EMULATOR[1]] = [*cxx, "-O2"]  # without -g, or gdb's `step` would enter the checks
            binding = [*cxx, "-O1", "-DMODULE=_kernels_cpu"]
            return {**dict.fromkeys(KERNELS, checked), **emulator, **dict.fromkeys(BINDINGS, binding)}
        archs, ptx = architectures(self.nvcc)
        host = ["-std=c++17", "-ccbin", self.cxx[0], "-Xcompiler", "-fPIC,-fvisibility=hidden", *include]
        kernel = [str(self.nvcc), *host, "-lineinfo", *(["-g", "-O0"] if DEBUG else ["-O3"])]
        # nvcc hands .cpp files to the C++ compiler, and knows where CUDA's headers and libraries are even if it is a wrapper script
        binding = [str(self.nvcc), *host, "-O1", "-DMODULE=_kernels_cuda", "-DMINIDIFF_CUDA", f'-DARCHITECTURES="{" ".join(archs)}"']
        return {**{source: [*kernel, *generated_code(source, archs, ptx)] for source in KERNELS}, **dict.fromkeys(BINDINGS, binding)}

    def link(self, module: str) -> list[str]:
        """The command that links a module, without its output and objects."""
        if module == "cpu":
            return [*self.cxx, "-shared", "-ldl"]
        libraries_of_pip = f"-L{self.nvcc.parent.parent}/lib"  # its nvcc looks in lib64 only
        return [str(self.nvcc), "-shared", "-ccbin", self.cxx[0], "-cudart", "static", libraries_of_pip]


class BuildKernels(build_ext):
    """Runs the compilers itself: setuptools knows neither .cu nor two compilers in one module."""

    def build_extensions(self) -> None:
        self.modules = {ext.name.rpartition("_")[2]: ext for ext in self.extensions}
        jobs = [(module, source, command) for module in self.modules for source, command in COMPILERS.commands(module).items()]
        jobs.sort(key=lambda job: not job[1].endswith(".cu") or job[0] == "cpu")  # nvcc takes longest: start it first
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
        newest = max((ROOT / f).stat().st_mtime for f in [source, *HEADERS])
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
SOURCES = {"cpu": KERNELS + EMULATOR + BINDINGS, "cuda": KERNELS + BINDINGS}

setup(
    ext_modules=[Extension(f"minidiff._kernels_{m}", SOURCES[m], depends=HEADERS) for m in COMPILERS.modules],
    cmdclass={"build_ext": BuildKernels},
)
