"""docs/step_through_a_kernel_in_gdb.md: its program and its session, run as they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "step_through_a_kernel_in_gdb.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def debug_build(tmp_path_factory):
    """The package with kernels compiled by MINIDIFF_DEBUG=1, in a folder of its own."""
    if not shutil.which("gdb"):
        pytest.skip("gdb is not installed")
    if not (ROOT / "setup.py").exists() or not shutil.which("g++"):
        pytest.skip("needs the sources and g++")
    pytest.importorskip("pybind11", reason="building needs pybind11")
    folder = tmp_path_factory.mktemp("debug")
    shutil.copytree(ROOT / "minidiff", folder / "minidiff", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    environment = {**os.environ, "MINIDIFF_DEBUG": "1", "MINIDIFF_KERNELS": "cpu"}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(folder), "--build-temp", str(folder / "temp")]
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_the_session_of_the_page(debug_build):
    (program,) = blocks("python")
    (debug_build / "small.py").write_text(program)
    commands, expected = [], []
    for line in "".join(blocks("gdb")).splitlines():
        if line.startswith("(gdb) "):
            commands.append(line.removeprefix("(gdb) "))
        else:
            expected.append(line)
    assert len(commands) >= 10 and len(expected) >= 8
    (debug_build / "session.gdb").write_text("set debuginfod enabled off\n" + "\n".join(commands))
    environment = {**os.environ, "PYTHONPATH": str(debug_build), "OPENBLAS_NUM_THREADS": "1"}
    scripts = ["-x", str(ROOT / "csrc" / "kernel.gdb"), "-x", "session.gdb"]
    command = ["gdb", "-q", "-nx", "-batch", *scripts, "--args", sys.executable, "small.py"]
    session = subprocess.run(command, cwd=debug_build, env=environment, capture_output=True, text=True, timeout=120)
    if "ptrace: Operation not permitted" in session.stderr:
        pytest.skip("this machine does not let gdb start programs")
    said = iter(session.stdout.splitlines())
    for line in expected:
        assert line in said, f"gdb did not say {line!r} (in this order); it said:\n{session.stdout}\n{session.stderr}"
