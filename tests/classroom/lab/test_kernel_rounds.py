"""The planted bugs of the lab: compiled, run, found by the race check or by the counter, and named."""

import re
import shutil
import subprocess

import pytest

from minidiff.__main__ import main
from minidiff.classroom import emulated
from minidiff.classroom.lab import kernels
from minidiff.classroom.lab.kernels import KERNELS, diagnose, kernel_lines, run_of, said

pytestmark = pytest.mark.skipif(bool(emulated.why_not()), reason=emulated.why_not() or "-")

# what shows it: the result, the race check, or the counter
SHOWN = {
    "k1": "WRONG", "k2": "WRONG", "k3": "WRONG", "k4": "out of bounds", "k5": "moved", "k6": "by conflicts",
}  # fmt: skip
CHECKED = {
    "k1": r"shared memory that nobody has written: thread .* reads at 02_shared_tile.cu:\d+",
    "k2": r"data race in shared memory: thread .* wrote at 02_shared_tile.cu:\d+ and thread .* reads at 02_shared_tile.cu:\d+",
    "k3": "WRONG", "k4": r"out of bounds: thread \(8,0,0\) of block .* reads at 01_naive.cu:\d+", "k5": ": right", "k6": ": right",
}  # fmt: skip


def moved(ran, what):
    return int(re.search(rf"(\d+) (?:of them )?{what}", ran.out)[1])


@pytest.mark.parametrize("code", KERNELS)
def test_a_planted_bug_shows(code):
    broken, right = run_of(KERNELS[code], True, False), run_of(KERNELS[code], False, False)
    assert right.status == 0 and ": right" in right.out and run_of(KERNELS[code], False, True).status == 0
    assert SHOWN[code] in "\n".join(said(broken))
    if code in ("k5", "k6"):
        assert ": right" in broken.out
        what = SHOWN[code]
        assert moved(broken, what) > 2 * moved(right, what)
    else:
        assert broken.status == 1
    assert re.search(CHECKED[code], "\n".join(said(run_of(KERNELS[code], True, True))))


@pytest.mark.parametrize("code", KERNELS)
def test_the_right_line_and_term_pass_and_three_others_do_not(code):
    round = KERNELS[code]
    lines = kernel_lines(round)
    at = next(number for number, text in lines.items() if round.old in text)
    term = round.old.partition("  //")[0].partition("(")[0].strip() or round.old
    grade = diagnose(round, f"{at} {term}")
    assert grade.right and grade.text == f"Right: {round.what}."
    others = [(n, text.split()[0]) for n, text in lines.items() if n != at and text.strip() and not text.startswith(("_", "}"))][:4]
    for number, piece in others:
        grade = diagnose(round, f"{number} {piece}")
        assert not grade.right and "stands there as in the right kernel" in grade.text and len(grade.text) > 80
    assert len(others) >= 3


@pytest.mark.parametrize(
    ("answer", "what"),
    [("here", "wants a line and a term"), ("1 int", r"has lines \d+ to \d+, got 1"), ("36 nothing", "line 36 is .* no 'nothing' there")],
)
def test_an_answer_of_another_form_is_told(answer, what):
    with pytest.raises(ValueError, match=what):
        diagnose(KERNELS["k1"], answer)


def test_the_command_shows_checks_hints_and_reveals(capsys):
    assert main(["lab", "k1"]) == 0
    text = capsys.readouterr().out
    assert "WRONG" in text and "and without the bug:" in text and "  36          __syncthreads();" in text
    assert main(["lab", "k1", "--check"]) == 0
    assert "nobody has written" in capsys.readouterr().out
    assert main(["lab", "k1", "--hint", "3"]) == 0
    assert "hint 3 of 3: `--check` names the line" in capsys.readouterr().out
    assert main(["lab", "k1", "--reveal"]) == 0
    assert "k1: nobody waits until the squares are complete" in capsys.readouterr().out
    assert main(["lab", "k1", "--answer", "36 __syncthreads()"]) == 0
    assert main(["lab", "k1", "--answer", "37 sum"]) == 1
    assert "It must explain this: conv2d_02_shared_tile: shared memory that" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["k1", "--hint", "9"], "lab: k1 has hints 1 to 3, got 9"), (["k1", "--picture", "x.png"], "lab: k1 has no picture, as it is a kernel"),
        (["k1", "--answer", "x"], "lab: k1 wants a line and a term on it"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_line(arguments, what, capsys):
    assert main(["lab", *arguments]) == 2
    assert what in capsys.readouterr().err


def test_gdb_stops_in_the_kernel(tmp_path, capsys):
    assert main(["lab", "k2", "--gdb", str(tmp_path / "k2")]) == 0
    told = capsys.readouterr().out
    commands = re.findall(r"\(gdb\) (.*)", told)
    assert commands[0].startswith("break 02_shared_tile.cu:") and (tmp_path / "k2" / "kernel.gdb").is_file()
    if not shutil.which("gdb"):
        pytest.skip("gdb is not installed")
    script = tmp_path / "session.gdb"
    script.write_text("set debuginfod enabled off\n" + "\n".join([*commands, "print threadIdx.x", "kill"]))
    program = tmp_path / "k2" / "02_shared_tile.emulated"
    command = ["gdb", "-q", "-nx", "-batch", "-x", str(tmp_path / "k2" / "kernel.gdb"), "-x", str(script), str(program)]
    session = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if "ptrace: Operation not permitted" in session.stderr:
        pytest.skip("this machine does not let gdb start programs")
    assert "$1 = 3" in session.stdout, session.stdout + session.stderr


def test_gdb_refuses_a_file(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["lab", "k1", "--gdb", str(tmp_path / "file")]) == 2
    assert "lab --gdb: wanted a folder, but" in capsys.readouterr().err


def test_a_rung_that_has_changed_is_told():
    with pytest.raises(ValueError, match="02_shared_tile.cu has changed: 'no such line' stands there 0 times"):
        kernels.text_of(KERNELS["k1"]._replace(old="no such line"), broken=True)


def test_without_a_compiler_it_says_why(monkeypatch, capsys):
    monkeypatch.setattr(emulated.shutil, "which", lambda name: None)
    assert main(["lab", "k1"]) == 2
    assert "g++ and make must be installed to compile a kernel for the emulator" in capsys.readouterr().err
    monkeypatch.setattr(emulated, "repository", lambda: None)
    assert "they need a clone of the project, with csrc/" in emulated.why_not()


def test_how_programs_end():
    assert emulated.ending(0) == emulated.ending(1) == ""
    assert emulated.ending(-11) == "the program was ended by SIGSEGV" and emulated.ending(7) == "the program ended with status 7"
    assert "a loop without an end?" in emulated.ending(-14)
