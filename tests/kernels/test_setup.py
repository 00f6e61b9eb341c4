"""setup.py decides before it compiles: which kernels are built in which surroundings, and what it says when it cannot."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    """setup.py and one kernel in a folder of its own, so that nothing is found that was built before."""
    if not (ROOT / "setup.py").exists():
        pytest.skip("needs the sources")
    pytest.importorskip("pybind11", reason="building needs pybind11")
    folder = tmp_path / "project"
    (folder / "csrc" / "bindings").mkdir(parents=True)
    shutil.copy(ROOT / "setup.py", folder)
    for name in ("common", "emulator"):
        shutil.copytree(ROOT / "csrc" / name, folder / "csrc" / name)
    (folder / "csrc" / "empty").mkdir()
    (folder / "csrc" / "empty" / "empty.cu").write_text('#include "common/device.h"\n')
    (folder / "csrc" / "bindings" / "empty.cpp").write_text("")  # module.cpp itself takes long to compile
    return folder


def build(project, **environment):
    """The exit status and all that was said."""
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith(("MINIDIFF", "CUDA", "CXX"))}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "built"]
    result = subprocess.run(command, cwd=project, env={**surroundings, **environment}, capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_without_a_compiler_it_is_pure_python(project):
    status, said = build(project, PATH="")
    assert status == 0, said
    assert not list(project.rglob("*.so"))


def test_insisting_without_a_compiler_is_an_error(project):
    status, said = build(project, PATH="", MINIDIFF_KERNELS="cpu")
    assert status != 0 and "MINIDIFF_KERNELS='cpu' wants the cpu kernels, but no C++ compiler: neither $CXX, g++ nor c++" in said


def test_an_empty_wish_builds_nothing(project):
    status, said = build(project, MINIDIFF_KERNELS="")
    assert status == 0, said
    assert not list(project.rglob("*.o"))


def test_an_unknown_wish_is_an_error(project):
    status, said = build(project, MINIDIFF_KERNELS="rocm")
    assert status != 0 and """MINIDIFF_KERNELS: wanted "cpu", "cuda", both or "", got 'rocm'""" in said


def test_a_compiler_that_fails_is_an_error_that_shows_its_words(project):
    broken = program(project / "broken-g++", "echo 'out of cheese' >&2; exit 3")
    status, said = build(project, CXX=str(broken), MINIDIFF_KERNELS="cpu")
    assert status != 0
    assert "broken-g++ fails (exit status 3)" in said and "out of cheese" in said
    assert 'To install without kernels: MINIDIFF_KERNELS="" pip install .' in said


def test_nvcc_is_taken_from_cuda_home_and_told_the_architectures(project):
    if not shutil.which("g++"):
        pytest.skip("needs g++")
    script = f'echo "$@" >> {project}/said; echo sm_80 sm_90; case "$*" in *empty.cu*) exit 5;; esac'
    nvcc = program(project / "cuda" / "bin" / "nvcc", script)
    status, said = build(project, CUDA_HOME=str(project / "cuda"), MINIDIFF_KERNELS="cuda", MINIDIFF_CUDA_ARCHS="all")
    assert status != 0 and f"{nvcc} fails (exit status 5)" in said
    kernel = next(line for line in (project / "said").read_text().splitlines() if "empty.cu" in line)
    assert "arch=compute_80,code=sm_80" in kernel and "arch=compute_90,code=compute_90" in kernel and "sm_75" not in kernel
    build(project, CUDA_HOME=str(project / "cuda"), MINIDIFF_KERNELS="cuda", MINIDIFF_CUDA_ARCHS="8.9")
    assert "arch=compute_89,code=sm_89 -gencode=arch=compute_89,code=compute_89" in (project / "said").read_text()


def test_it_compiles_for_the_gpu_that_is_there(project):
    program(project / "cuda" / "bin" / "nvcc", f'echo "$@" >> {project}/said; echo sm_75 sm_90; case "$*" in *empty.cu*) exit 5;; esac')
    program(project / "tools" / "nvidia-smi", "echo 9.0; echo 9.0")
    build(project, CUDA_HOME=str(project / "cuda"), MINIDIFF_KERNELS="cuda", PATH=f"{project}/tools:{os.environ['PATH']}")
    assert "-gencode=arch=compute_90,code=sm_90 -gencode=arch=compute_75,code=compute_75 -c" in (project / "said").read_text()
