"""setup.py decides before it compiles: which kernels are built in which surroundings, and what it says when it cannot."""

import os
import runpy
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
    assert status != 0 and """MINIDIFF_KERNELS: wanted "native", "cpu", "cuda", several of them or "", got 'rocm'""" in said


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
    assert "arch=compute_80,code=sm_80 -gencode=arch=compute_90a,code=sm_90a -gencode=arch=compute_90,code=compute_90" in kernel and "sm_75" not in kernel
    build(project, CUDA_HOME=str(project / "cuda"), MINIDIFF_KERNELS="cuda", MINIDIFF_CUDA_ARCHS="8.9")
    assert "arch=compute_89,code=sm_89 -gencode=arch=compute_89,code=compute_89" in (project / "said").read_text()


def test_it_compiles_for_the_gpu_that_is_there(project):
    program(project / "cuda" / "bin" / "nvcc", f'echo "$@" >> {project}/said; echo sm_75 sm_90; case "$*" in *empty.cu*) exit 5;; esac')
    program(project / "tools" / "nvidia-smi", "echo 9.0; echo 9.0")
    build(project, CUDA_HOME=str(project / "cuda"), MINIDIFF_KERNELS="cuda", PATH=f"{project}/tools:{os.environ['PATH']}")
    assert "-gencode=arch=compute_90a,code=sm_90a -gencode=arch=compute_75,code=compute_75 -c" in (project / "said").read_text()


def test_a_launcher_and_flags_in_cxx_reach_both_compilers(project):
    """nvcc starts the host compiler itself: it gets the program and the flags, not the launcher."""
    program(project / "tools" / "ccache", f'echo "$@" >> {project}/launched; exec "$@"')
    program(project / "cuda" / "bin" / "nvcc", f'echo "$@" >> {project}/said; echo sm_90; case "$*" in *empty.cu*) exit 5;; esac')
    environment = {"PATH": f"{project}/tools:{os.environ['PATH']}", "CXX": "ccache g++ -DA=1 -Wl,-z,now"}
    status, said = build(project, MINIDIFF_KERNELS="cpu", **environment)
    assert status == 0, said
    assert all(line.startswith("g++ -DA=1 -Wl,-z,now") for line in (project / "launched").read_text().splitlines())
    build(project, MINIDIFF_KERNELS="cuda", CUDA_HOME=str(project / "cuda"), **environment)
    kernel = next(line for line in (project / "said").read_text().splitlines() if "empty.cu" in line)
    assert r"-ccbin g++ -Xcompiler -DA=1,-Wl\,-z\,now" in kernel and "ccache" not in kernel


def test_a_cxx_that_is_not_there_is_an_error_that_names_it(project):
    status, said = build(project, CXX="no-such-g++ -O1")
    assert status != 0 and "CXX='no-such-g++ -O1': there is no program 'no-such-g++'" in said and "Traceback" not in said
    status, said = build(project, CXX="no-such-g++", MINIDIFF_KERNELS="")
    assert status == 0, said


def test_an_nvcc_that_cannot_be_run_is_an_error_that_names_it(project):
    nvcc = program(project / "cuda" / "bin" / "nvcc", "")
    nvcc.write_text("no program")
    status, said = build(project, CUDA_HOME=str(project / "cuda"))
    assert status != 0 and f"{nvcc} cannot be run" in said and "MINIDIFF_KERNELS=cpu" in said and "Traceback" not in said


def test_building_without_pybind11_says_how_to_get_it(project):
    (project / "pybind11.py").write_text("raise ImportError('hidden')")
    status, said = build(project, MINIDIFF_KERNELS="cpu", PYTHONPATH=str(project))
    assert status != 0 and "Building the kernels needs pybind11: pip install pybind11" in said and "Traceback" not in said


@pytest.fixture
def setup_py(project, monkeypatch):
    """The functions of setup.py, which is run without building anything."""
    import setuptools

    monkeypatch.setattr(setuptools, "setup", lambda **options: None)
    monkeypatch.chdir(project)
    monkeypatch.setenv("MINIDIFF_KERNELS", "")
    return runpy.run_path(str(project / "setup.py"))


@pytest.mark.parametrize(
    "spelling, machine_code, ptx",
    [
        ("8.0 9.0", ["80", "90a"], ["90"]),
        ("9.0+PTX 9.0a", ["90a"], ["90"]),
        ("8.0;8.6+PTX", ["80", "86"], ["86"]),
        ("9.0a", ["90a"], ["90a"]),
        ("sm_80, compute_90", ["80"], ["90"]),
        ("compute_80", [], ["80"]),
        ("10.0 12.0f", ["100", "120f"], ["120f"]),
        ("all", ["75", "80", "90a"], ["90"]),
        ("native", ["86"], ["86"]),
        ("86 8.6", ["86"], ["86"]),
    ],
)
def test_architectures_are_spelt_as_pytorch_spells_them(setup_py, project, monkeypatch, spelling, machine_code, ptx):
    nvcc = program(project / "cuda" / "bin" / "nvcc", "echo sm_75 sm_80 sm_86 sm_90")
    program(project / "tools" / "nvidia-smi", "echo 8.6")
    monkeypatch.setenv("PATH", f"{project}/tools:{os.environ['PATH']}")
    monkeypatch.setenv("MINIDIFF_CUDA_ARCHS", spelling)
    assert setup_py["architectures"](nvcc) == (machine_code, ptx)
    options = setup_py["generated_code"]("csrc/conv2d/fast.cu", machine_code, ptx)
    assert options == [f"-gencode=arch=compute_{a},code=sm_{a}" for a in machine_code] + [
        f"-gencode=arch=compute_{a},code=compute_{a}" for a in ptx
    ]


def test_tensor_cores_are_compiled_for_gpus_that_have_them(setup_py):
    options = setup_py["generated_code"]("csrc/conv2d/tf32.cu", ["75", "90a"], ["75"])
    assert options == ["-gencode=arch=compute_90a,code=sm_90a", "-gencode=arch=compute_80,code=compute_80"]


@pytest.mark.parametrize("spelling, message", [
    ("Hopper", "MINIDIFF_CUDA_ARCHS: wanted compute capabilities such as .* got 'Hopper'"),
    ("8.0 nine", "got 'nine'"),
    ("native", "MINIDIFF_CUDA_ARCHS: native is for the GPUs of this machine, but nvidia-smi finds none"),
])  # fmt: skip
def test_an_architecture_that_cannot_be_read_is_an_error_that_names_the_variable(setup_py, project, monkeypatch, spelling, message):
    nvcc = program(project / "cuda" / "bin" / "nvcc", "echo sm_80 sm_90")
    program(project / "tools" / "nvidia-smi", "exit 1")
    monkeypatch.setenv("PATH", f"{project}/tools:{os.environ['PATH']}")
    monkeypatch.setenv("MINIDIFF_CUDA_ARCHS", spelling)
    with pytest.raises(SystemExit, match=message):
        setup_py["architectures"](nvcc)


def test_an_editable_install_is_found_from_the_folder_above_a_clone_of_the_same_name(tmp_path):
    """A folder without __init__.py would be taken for a package, if the installed one were found later than on the path."""
    if not (ROOT / "setup.py").exists():
        pytest.skip("needs the sources")
    pytest.importorskip("pip", reason="installs into a folder by pip")
    clone, target = tmp_path / "minidiff", tmp_path / "site"
    (clone / "minidiff").mkdir(parents=True)
    (clone / "minidiff" / "__init__.py").write_text("Tensor = 'found'")
    (clone / "csrc").mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    environment = {**os.environ, "MINIDIFF_KERNELS": ""}
    result = subprocess.run([*command, "-e", str(clone)], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (tmp_path / "script.py").write_text("import minidiff; print(minidiff.Tensor)")
    hidden = "import sys; sys.meta_path = [f for f in sys.meta_path if 'Editable' not in repr(f)]; "  # another minidiff of this environment
    hidden += f"import site; site.addsitedir({str(target)!r}); sys.path = [p for p in sys.path if {str(ROOT)!r} != p]; "
    for code in ("import minidiff; print(minidiff.Tensor)", "import runpy; runpy.run_path('script.py')"):
        result = subprocess.run([sys.executable, "-c", hidden + code], cwd=tmp_path, capture_output=True, text=True)
        assert result.stdout.strip() == "found", result.stdout + result.stderr
