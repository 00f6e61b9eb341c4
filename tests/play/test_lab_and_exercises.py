"""The functions behind the tabs Bug lab and Exercises, in CPython."""

import json

import numpy as np
import pytest

from minidiff.classroom.exercises.tables.exercises import EXERCISES, get_exercise
from minidiff.classroom.exercises.tables.hints import HINTS
from minidiff.classroom.lab.patch import function_at
from minidiff.classroom.lab.rounds import all_rounds, choices, symptom_of
from minidiff.classroom.lab.symptom import observed
from minidiff.classroom.lab.tables.causes import CAUSES
from minidiff.classroom.page import exercises, lab
from minidiff.classroom.page.wire import call

QUICK = [code for code, round in all_rounds().items() if round.experiment.name != "training"]


def test_every_round_is_on_the_page():
    assert [r["code"] for r in lab.rounds()] == list(all_rounds())
    assert {r["code"] for r in lab.rounds() if r["slow"]} == set(all_rounds()) - set(QUICK)


@pytest.mark.parametrize("code", QUICK)
def test_a_round_opens_as_json(code):
    text, buffers = call("lab.open_round", json.dumps({"code": code}))
    opened = json.loads(text)["value"]
    assert opened["rows"] and ("choices" in opened) != ("lines" in opened)
    if not opened["failed"]:
        assert any(row["shows"] for row in opened["rows"])
        for picture in opened["pictures"]:
            for side in ("here", "right"):
                parts = [picture[side]] if picture["kind"] == "cloud" else [curve["y"] for curve in picture[side]]
                assert parts and all(len(buffers[part["array"]]) == 4 * np.prod(part["shape"]) for part in parts)
    shown = text if "choices" not in opened else json.dumps(opened["rows"])
    assert all_rounds()[code].history is None or CAUSES[all_rounds()[code].history.cause].text not in shown


def test_answers_hints_and_reveal():
    opened = lab.open_round("r3")
    right = next(choice["letter"] for choice in opened["choices"] if choice["text"] == CAUSES["upwards"].text)
    assert lab.answer("r3", right)["right"] and not lab.answer("r3", "b" if right == "a" else "a")["right"]
    assert lab.hint("r3", 1) == all_rounds()["r3"].hints[0]
    assert any("range(1, schedule.T + 1)" in line for line in lab.reveal("r3"))


def test_a_training_is_done_in_pieces_between_which_the_package_is_right(monkeypatch):
    for known in ("rounds._measured", "symptom._right"):  # another test of this process may have measured it
        monkeypatch.setattr(f"minidiff.classroom.lab.{known}", {})
    code = next(code for code in all_rounds() if code not in QUICK)
    round = all_rounds()[code]
    functions = [function_at(patch.target) for patch in CAUSES[round.history.cause].patches]
    before, seen = [function.__code__ for function in functions], []
    while not (state := lab.prepare(code, seconds=0.02))["done"]:
        seen.append((state["what"], state["share"]))
        assert [function.__code__ for function in functions] == before
    assert len(seen) > 2 and seen == sorted(seen, key=lambda pair: (pair[0] == "without it", pair[1])), "it only goes on"
    assert {what for what, _ in seen} == {"with the bug", "without it"}
    assert lab.prepare(code) == {"done": True}, "measured once"
    with round.bug():
        assert symptom_of(round).measures == observed(round.experiment).measures, "the same numbers as in one piece"
    wrong = next(letter for letter, key in choices(round).items() if key != round.history.cause)
    assert lab.prepare(code, wrong, seconds=0)["what"] == "with your answer"


def test_a_term_of_a_line_can_be_clicked():
    lines = {line["text"].strip(): line for line in lab.open_round("m18")["lines"]}
    line = lines["removed = now.beta / sqrt(now.one_minus_alpha_bar) * eps_hat"]
    assert line["terms"] == ["removed", "now.beta", "/", "sqrt", "now.one_minus_alpha_bar", "*", "eps_hat"]
    assert lab.answer("m18", f"{line['number']} sqrt")["right"]


def test_an_unknown_round_is_told():
    reply = json.loads(call("lab.open_round", '{"code": "r99"}')[0])
    assert reply["error"].startswith("lab: no round is called 'r99'; did you mean r9")


@pytest.mark.parametrize("name", [exercise.name for exercise in EXERCISES])
def test_an_exercise_opens_and_the_packages_own_code_passes(name):
    opened = exercises.open_exercise(name)
    assert "NotImplementedError" in opened["code"] and "__main__" not in opened["code"] and opened["code"].endswith("\n")
    verdict = exercises.check(name, opened["code"])
    assert not verdict["right"] and "the body is still to be written" in verdict["text"]
    imports = opened["code"].partition("\n\n\ndef ")[0]
    verdict = exercises.check(name, f"{imports}\n\n\n{get_exercise(name).source}\n")
    assert verdict["right"] and verdict["text"].startswith("right (")
    assert opened["hints"] == len(HINTS[name]) and exercises.hint(name, 1) == HINTS[name][0]


def test_the_same_messages_as_in_a_terminal(tmp_path):
    from minidiff.classroom.exercises.grading import grade

    code = exercises.code_of("q_sample").replace("raise NotImplementedError", "return x_0")
    (tmp_path / "q_sample.py").write_text(code)
    assert f"q_sample: {exercises.check('q_sample', code)['text']}" == grade(get_exercise("q_sample"), tmp_path / "q_sample.py").text


def test_a_loop_without_an_end_is_ended(monkeypatch):
    monkeypatch.setattr(exercises.time_limit.__wrapped__, "__defaults__", (0.3,))
    code = exercises.code_of("q_sample").replace("raise NotImplementedError", "while True: x_0 = x_0 + 0")
    verdict = exercises.check("q_sample", code)
    assert not verdict["right"]
    assert "q_sample.py:10: TooLong: it is not done after 0.3 s: a loop without an end?   (line: while True" in verdict["text"]


def test_an_error_names_the_line():
    code = exercises.code_of("q_sample").replace("raise NotImplementedError", "return x_1")
    assert "q_sample.py:10: NameError: name 'x_1' is not defined" in exercises.check("q_sample", code)["text"]
