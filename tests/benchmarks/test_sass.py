"""benchmarks/sass.py reads what ptxas and nvdisasm say: here from texts of theirs, so that neither is needed."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PTXAS = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN5naiveEPf' for 'sm_90'
ptxas info    : Function properties for _ZN5naiveEPf
    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 137 registers, used 1 barriers, 8 bytes cumulative stack size, 12544 bytes smem
ptxas info    : Compiling entry function '_ZN5otherEv' for 'sm_90'
ptxas info    : Function properties for _ZN5otherEv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 0 barriers, 400 bytes cmem[0]
"""
SASS = """
\t.target\tsm_90
//--------------------- .text._ZN5naiveEPf --------------------------
\t.section\t.text._ZN5naiveEPf,"ax",@progbits
_ZN5naiveEPf:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   LDS.128 R4, [R2] ;
.L_x_1:
        /*0020*/                   FFMA R8, R4.reuse, R5, R8 ;
        /*0030*/                   FFMA.FTZ R9, R4, R6, R9 ;
        /*0040*/                   FFMA R10, R4, R7, R10 ;
        /*0050*/               @P0 BRA `(.L_x_1) ;
        /*0060*/                   IADD3 R2, R2, 0x10, RZ ;
        /*0070*/                   NOP;
        /*0080*/              @!P1 BRA `(.L_x_0) ;
        /*0090*/                   EXIT ;
.L_x_2:
        /*00a0*/                   BRA `(.L_x_2);
\t.section\t.text._ZN5otherEv,"ax",@progbits
.L_x_3:
        /*0000*/                   HMMA.1688.F32.TF32 R4, R8, R10, R4 ;
        /*0010*/                   FFMA R5, R5, R6, R7 ;
        /*0020*/             @!UP0 BRA `(.L_x_3) ;
"""


@pytest.fixture
def sass(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("sass")


def test_registers_shared_memory_and_spills_are_read(sass):
    assert sass.reported(PTXAS) == [sass.Compiled("_ZN5naiveEPf", 137, 12544, 8, 28), sass.Compiled("_ZN5otherEv", 32, 0, 0, 0)]


def test_the_hot_loop_is_the_innermost_with_most_multiply_adds(sass):
    loops = {name: sass.hot_loop(lines) for name, lines in sass.functions(SASS)}
    assert loops == {"_ZN5naiveEPf": sass.Loop(4, 3, "FFMA"), "_ZN5otherEv": sass.Loop(3, 1, "HMMA")}
    assert loops["_ZN5naiveEPf"].share == 0.75
    # two loops in one: it has most, but not of its own
    inner = [("label", ".L_x_7"), *[("FFMA", "")] * 5, ("BRA", "`(.L_x_7)")]
    outer = [("label", ".L_x_6"), *inner, *[(what, name.replace("7", "8")) for what, name in inner], ("FFMA", ""), ("BRA", "`(.L_x_6)")]
    assert sass.hot_loop(outer) == sass.Loop(6, 5, "FFMA")
    # a product after the other in one loop, with a few multiply-adds beside them: those of the products are not its own
    lines = [line for name in "78" for line in [("label", f".L_x_{name}"), *[("FFMA", "")] * int(name), ("LDS", ""), ("BRA", f"`(.L_x_{name})")]]
    outer = [("label", ".L_x_6"), *lines, *[("FFMA", "")] * 6, ("BRA", "`(.L_x_6)")]
    assert sass.hot_loop(outer) == sass.Loop(10, 8, "FFMA")
    assert sass.hot_loop([*outer[:-1], *[("FFMA", "")] * 3, outer[-1]]) == sass.Loop(29, 24, "FFMA")
    assert sass.hot_loop([("label", ".L_x_2"), ("BRA", "`(.L_x_2)")]) is None  # the end of every function


def test_the_most_that_a_tile_can_reach(sass):
    """8 x 8 results for 128 x 128: for a k, 64 multiply-adds, 4 reads, and 1 number copied. 4 x 4 for 32 x 32: 16, 2, 1."""
    assert sass.most("correlate<RegisterTile<128, 128, 8, 8, 2> >") == pytest.approx(64 / (64 + 4 + 3))
    smallest = sass.most("weight_gradient<RegisterTile<32, 32, 4, 4, 8> >")
    assert smallest == pytest.approx(16 / (16 + 2 + 3)) and smallest < sass.SHARE
    assert sass.most("attention_fast<32, 2, 32>") is None
    assert sass.most("correlate<RegisterTile<64, 64, 8, 4, 4, 16> >") == pytest.approx(32 / (32 + 3 + 3))  # slabs of 16 k need the same for a k
    rows = {("conv2d/fast.cu", "correlate<RegisterTile<32, 32, 4, 4, 8> >"): {90: (sass.Compiled("a", 80, 0, 0, 0), sass.Loop(200, 128, "FFMA"))}}
    assert sass.judged(rows, 90)[1].endswith("1 less: `correlate<RegisterTile<32, 32, 4, 4, 8> >` (64%, at most 76%).")


def test_the_page_says_for_each_tile_what_it_needs_and_what_it_reaches(sass):
    entry = sass.Compiled("a", 80, 0, 0, 0)
    rows = {
        ("conv2d/fast.cu", "weight_gradient<RegisterTile<32, 32, 4, 4, 8> >"): {90: (entry, sass.Loop(256, 128, "FFMA"))},
        ("conv2d/fast.cu", "correlate<RegisterTile<128, 128, 8, 8, 2> >"): {90: (entry, sass.Loop(640, 512, "FFMA"))},
        ("conv2d/fast.cu", "weight_gradient<RegisterTile<128, 128, 8, 8, 2> >"): {90: (entry, sass.Loop(600, 513, "FFMA"))},
        ("conv2d/naive.cu", "forward"): {90: (entry, sass.Loop(10, 1, "FFMA"))},
    }
    assert sass.ceilings(rows, 90)[-2:] == [
        "| 128 x 128, 8 x 8 a thread | 512 | 32 | 8 | 90% | 80.0% | 85.5% |",
        "| 32 x 32, 4 x 4 a thread | 128 | 16 | 8 | 76% |  | 50.0% |",
    ]
    assert sass.ceilings(rows, 80) == []


def test_names_lose_what_is_in_the_way(sass):
    assert sass.shortened("void (anonymous namespace)::attention_fast<(int)32, (bool)0>((anonymous namespace)::Aligned)") == "attention_fast<32, 0>"
    assert sass.shortened("void correlate<RegisterTile<32, 64> >(Correlation, float const*)") == "correlate<RegisterTile<32, 64> >"


def test_the_page_names_what_a_default_version_misses(sass):
    fine, spilling = sass.Compiled("a", 100, 1024, 0, 0), sass.Compiled("b", 255, 0, 8, 24)
    rows = {("conv2d/fast.cu", "a"): {90: (fine, sass.Loop(100, 85, "FFMA"))}, ("conv2d/fast.cu", "b"): {90: (spilling, sass.Loop(100, 70, "FFMA"))},
            ("conv2d/naive.cu", "c"): {75: (spilling, None)}}  # fmt: skip
    assert sass.judged(rows, 90) == [
        "Default versions (bold) on sm_90: spills in `b` (24 bytes).",
        "Hot loops of FFMA with 64 or more of them: 1 have at least 80%, 1 less: `b` (70%).",
    ]
    page = sass.page(rows, [75, 90], ["nvcc 13.0."])
    assert "| conv2d/fast.cu | **`b`** |  | 255 / 0 / **24**; 70% FFMA of 100 |" in page
    assert "| conv2d/naive.cu | `c` | 255 / 0 / **24** |  |" in page


def test_it_says_what_is_missing(sass, monkeypatch):
    monkeypatch.setattr(sass, "tool", lambda name: None)
    monkeypatch.setattr("sys.argv", ["sass.py"])
    with pytest.raises(SystemExit, match="sass.py: no nvcc in CUDA_HOME, PATH or the pip package"):
        sass.main()


def test_the_page_in_the_docs_has_every_kernel_file():
    """Written by sass.py; a source that is added is compiled anew."""
    page = (ROOT / "docs" / "benchmarks" / "compiled_kernels.md").read_text()
    assert set(re.findall(r"^\| (\w+/\w+\.cu) \|", page, re.MULTILINE)) == {
        path.relative_to(ROOT / "csrc").as_posix() for path in (ROOT / "csrc").glob("*/*.cu") if path.parent.name != "exercises"
    }
    assert "Default versions (bold) on sm_90: " in page
