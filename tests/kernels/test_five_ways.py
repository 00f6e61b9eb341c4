"""docs/conv2d_five_ways.md: its programs run, and the kernels it shows are those in csrc."""

import re
from pathlib import Path

import pytest

from minidiff import kernels
from minidiff.kernels.cpu import native

ROOT = Path(__file__).parents[2]


def blocks(language):
    page = (ROOT / "docs" / "conv2d_five_ways.md").read_text()
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def run(programs):
    names = {}
    try:
        for program in programs:
            exec(program, names)
    finally:
        kernels.allow_tf32(False)
    return names


def test_the_programs_agree(emulated, capsys):
    names = run(blocks("python"))
    assert capsys.readouterr().out == "(2, 4, 5, 4)\n"
    assert names["y_kernel"].shape == names["y"].shape == (2, 4, 5, 4)


def test_the_program_for_cupy():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        pytest.skip(f"no GPU: {error}")
    names = run(blocks("python")[:2] + blocks("python-gpu"))  # the third block is the C++
    assert names["y_gpu"].shape == (2, 4, 5, 4)


def test_the_kernels_are_those_in_csrc():
    of_processor, of_gpu = blocks("c++")
    assert of_processor in (ROOT / "csrc" / "cpu" / "narrow.h").read_text()
    assert of_gpu in (ROOT / "csrc" / "conv2d" / "naive.cu").read_text()


def test_the_native_kernel_runs_what_the_page_shows(monkeypatch):
    module, reason = native.load()
    if module is None or not native.is_faster():
        pytest.skip(f"native kernels are not in use: {reason}")
    seen = []

    class Spy:
        def __getattr__(self, name):
            seen.append(name)
            return getattr(module, name)

    monkeypatch.setattr(native, "load", lambda: (Spy(), ""))
    names = run(blocks("python")[:3])
    assert names["y_native"].shape == (2, 2, 9, 8) and "few_channels_out" in seen
