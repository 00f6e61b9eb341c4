"""docs/conv2d_four_ways.md: its programs run, and the kernel it shows is the one in csrc."""

import re
from pathlib import Path

import pytest

from minidiff import kernels

ROOT = Path(__file__).parents[2]


def blocks(language):
    page = (ROOT / "docs" / "conv2d_four_ways.md").read_text()
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
    names = run(blocks("python")[:2] + blocks("python-gpu"))
    assert names["y_gpu"].shape == (2, 4, 5, 4)


def test_the_kernel_is_the_one_in_csrc():
    (kernel,) = blocks("c++")
    assert kernel in (ROOT / "csrc" / "conv2d" / "naive.cu").read_text()
