"""The page of the bug lab shows what is printed."""

import re
from pathlib import Path

from minidiff.__main__ import main
from minidiff.classroom.lab.diagnosis import diagnose
from minidiff.classroom.lab.rounds import all_rounds
from minidiff.classroom.lab.show import show_round
from minidiff.classroom.lab.symptom import MARGIN

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "bug_lab.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


def digits_aside(text):
    """The last digits of a number may differ from machine to machine."""
    return re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.2g}", text)


def test_the_round_on_the_page_is_what_is_printed():
    assert digits_aside(show_round(all_rounds()["r1"])).startswith(digits_aside(SHOWN[0].rstrip("\n")))
    assert f"more than {MARGIN:.0%}".replace("%", " %") in PAGE


def test_the_wrong_answer_on_the_page_is_what_is_told():
    said = diagnose(all_rounds()["r1"], "the loop ends before t = 1").text
    assert digits_aside(said) == digits_aside(SHOWN[1].strip())


def test_the_answer_with_a_line_is_right_for_a_round(capsys):
    answer = re.search(r'`--answer "(.*?)"`', PAGE)[1]
    assert main(["lab", "m18", "--answer", answer]) == 0


def test_the_rounds_with_a_training_are_those_that_are_named():
    slow = [code for code, round in all_rounds().items() if round.experiment.name == "training"]
    first, last = re.search(r"\((r\d+) to (r\d+)\)", PAGE).groups()
    assert (slow[0], slow[-1]) == (first, last) and len(slow) == int(last[1:]) - int(first[1:]) + 1
