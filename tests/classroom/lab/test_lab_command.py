"""`python -m minidiff lab` as it is typed."""

import re
import subprocess
import sys

import pytest

from minidiff.__main__ import main
from minidiff.classroom.lab import command, show
from minidiff.classroom.lab.rounds import all_rounds
from minidiff.classroom.lab.show import caught_by
from minidiff.classroom.lab.sketch import sketch
from minidiff.classroom.lab.symptom import Picture


def run(arguments, capsys):
    status = main(["lab", *arguments])
    return status, capsys.readouterr()


def test_the_list_is_short_and_the_long_one_has_every_round(capsys):
    status, said = run([], capsys)
    assert status == 0 and "r1    Clusters half as wide" in said.out and "k1 " in said.out and "m6 " in said.out and "m7 " not in said.out
    status, every = run(["--list"], capsys)
    assert status == 0 and all(f"  {code} " in every.out for code in all_rounds())
    assert max(map(len, every.out.splitlines())) <= 100


def test_a_round_shows_the_symptom_and_not_the_bug(capsys):
    status, said = run(["r1"], capsys)
    assert status == 0 and re.search(r"width of the clusters +0\.029\d* +0\.063\d*  <", said.out)
    assert "  a) " in said.out and "lab r1 --answer a" in said.out and "if t - 1 > 1" not in said.out
    assert max(map(len, said.out.splitlines())) <= 104 and said.out.isascii()


def test_a_mutant_shows_numbered_lines(capsys):
    status, said = run(["m10"], capsys)
    assert status == 0 and re.search(r"^ +\d+  +noise = sqrt\(now.one_minus_alpha_bar\) \* eps$", said.out, re.MULTILINE)
    assert "forward.q_step" in said.out and 'lab m10 --answer "2 x_t"' in said.out


def test_what_does_not_run_says_so(capsys):
    status, said = run(["m2"], capsys)
    assert status == 0 and "It does not run: ValueError: Schedule: beta must be (T,) numbers in (0, 1)" in " ".join(said.out.split())


def test_answers_give_the_exit_status(capsys):
    status, said = run(["r1", "--answer", "the loop ends before t = 1"], capsys)
    assert status == 1 and said.out.startswith("No. With that, width of the clusters would be ")
    status, said = run(["r3", "--answer", "upwards"], capsys)
    assert status == 0 and said.out.startswith("Right: the loop over t runs upwards")


def test_hints_come_one_by_one(capsys):
    assert "hint 1 of 2: The points are at the right places" in run(["r1", "--hint"], capsys)[1].out
    assert "hint 2 of 2" in run(["r1", "--hint", "2"], capsys)[1].out
    status, said = run(["r1", "--hint", "3"], capsys)
    assert status == 2 and "lab: r1 has hints 1 to 2, got 3" in said.err
    assert "the bug is in forward.q_sample" in run(["m10", "--hint"], capsys)[1].out
    assert "a root or a square" in run(["m10", "--hint", "2"], capsys)[1].out


def test_reveal_shows_the_change_and_where_it_was(capsys):
    said = run(["r3", "--reveal"], capsys)[1].out
    assert "- range(schedule.T, 0, -1)" in said and "+ range(1, schedule.T + 1)" in said and "erratum 22" in said


def test_reveal_names_the_test_that_caught_it():
    """In a process of its own: pytest does not run inside pytest."""
    done = subprocess.run([sys.executable, "-m", "minidiff", "lab", "m21", "--reveal"], capture_output=True, text=True, check=True)
    assert "m21: variance for sigma. In reverse.p_step `sigma_t * z` had become `sigma_t**2 * z`." in " ".join(done.stdout.split())
    assert re.search(r"Caught by test_\w+", done.stdout)


def test_without_the_tests_it_says_so(monkeypatch):
    monkeypatch.setattr(show, "repository", lambda: None)
    assert caught_by(all_rounds()["m1"]) == "The tests that catch it are not installed here: they need a clone of the project."


def test_pictures_are_written_as_a_png(tmp_path, capsys):
    status, said = run(["r1", "--picture", str(tmp_path / "r1.png")], capsys)
    assert status == 0 and (tmp_path / "r1.png").read_bytes().startswith(b"\x89PNG") and "wrote " in said.out
    status, said = run(["m2", "--picture", str(tmp_path / "m2.png")], capsys)
    assert status == 2 and "lab: m2 has no picture, as it does not run" in said.err and not (tmp_path / "m2.png").exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "r1.png"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["r99"], "lab: no round is called 'r99'; did you mean r9"),
        (["swiss"], "lab: no round is called 'swiss'; the list is `minidiff lab --list`"),
        (["--answer", "a"], "lab: --answer needs a round, such as r1"),
        (["r1", "--answer", "a", "--reveal"], "lab: give one of --answer and --reveal, not both"),
        (["r1", "--check"], "lab: --check is for the rounds of kernels, k1 and so on"),
        (["r1", "--answer", "x"], "lab: r1 wants a letter from a to e, got 'x'"),
        (["r1", "--answer", ""], "lab: r1 wants a letter from a to e, got ''"),
        (["m10", "--answer", "x"], 'lab: m10 wants a line and a term on it, such as "2 sqrt(now.alpha)", got \'x\''),
    ],
)
def test_wrong_arguments_are_one_line(arguments, said, capsys):
    status, printed = run(arguments, capsys)
    assert status == 2 and said in printed.err and len(printed.err.splitlines()) == 1 and not printed.out


def play(answers, monkeypatch):
    said, given = [], iter(answers)
    monkeypatch.setattr("builtins.input", lambda prompt: next(given))
    status = command.play(all_rounds()["r3"], said.append)
    return status, said


def test_a_game_at_the_terminal(monkeypatch):
    status, said = play(["", "hint", "hint", "hint", "noise at t = 1", "what?", "upwards"], monkeypatch)
    assert status == 0
    assert said[1].startswith("hint 1 of 2") and said[3].startswith("hint 2 of 2") and said[4].startswith("No. ")
    assert "wants a letter" in said[5] and said[6].startswith("Right: ")


@pytest.mark.parametrize("last", ["quit", "reveal"])
def test_a_game_can_be_given_up(last, monkeypatch):
    status, said = play([last], monkeypatch)
    assert status == 1 and (last == "quit" or "Where it was" in " ".join(said[-1].split()))


def test_nothing_is_written_anywhere(tmp_path):
    """No progress is kept: a student's folder and home stay as they were."""
    done = subprocess.run(
        [sys.executable, "-B", "-m", "minidiff", "lab", "r3", "--answer", "upwards"], cwd=tmp_path, capture_output=True, text=True,
        env={**__import__("os").environ, "HOME": str(tmp_path)}, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("Right") and not list(tmp_path.iterdir())


def test_pictures_as_text():
    points = [[0.0, 0.0]] * 40 + [[9.0, -9.0], [float("nan"), 0.0]]
    lines = sketch(Picture("cloud", "points", __import__("numpy").array(points)))
    assert lines[0] == "points" and any("#" in line for line in lines) and len({len(line) for line in lines[1:]}) == 1
    import numpy as np

    t = np.arange(10)
    drawn = sketch(Picture("curves", "two", {"a": (t, t * 1.0), "b": (t, t * np.nan)}, log=False))
    assert drawn[-1] == "o a, + b" and drawn[1].endswith(" 9") and drawn[-2].endswith(" 0")
    assert sketch(Picture("curves", "none", {"a": (t, t * np.nan)}))[-1] == "o a"
