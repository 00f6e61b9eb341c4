"""The plans: their minutes, what they point to, and that rehearsing one runs its commands."""

import re
import sys

import pytest

from minidiff.__main__ import main
from minidiff.classroom import rehearse as module
from minidiff.classroom.coverage import repository
from minidiff.classroom.guide import guide_overview, link_text, plan_markdown
from minidiff.classroom.index import get_equation
from minidiff.classroom.lab.kernels import KERNELS
from minidiff.classroom.lab.rounds import all_rounds
from minidiff.classroom.plans import PLANS, Plan, Stage
from minidiff.classroom.rehearse import command_of, commands_of, get_plan, rehearse, report
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.lecture import PARTS, SENTENCES
from minidiff.classroom.tables.slides import SLIDES

STAGES = [pytest.param(stage, id=f"{plan.name}-{stage.title}") for plan in PLANS.values() for stage in plan.stages]


def test_each_part_of_the_lecture_has_a_plan_of_90_minutes():
    assert {part.plan for part in PARTS} == set(PLANS)
    assert all(sum(stage.minutes for stage in plan.stages) == 90 for plan in PLANS.values())


def test_the_parts_hold_every_slide_once_and_each_has_a_sentence():
    assert sorted(n for part in PARTS for n in part.slides) == [slide.number for slide in SLIDES] == sorted(SENTENCES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_asks_something_and_what_it_names_exists(stage):
    assert stage.say and stage.ask and stage.answer
    assert all(int(number) in ERRATA for number in re.findall(r"errat(?:um|a) (\d+)", stage.mistake + stage.answer))
    explained = re.match(r"python -m minidiff explain (\S+\.\S+)", stage.run)
    assert not explained or get_equation(explained[1]).id == explained[1]
    script = re.match(r"python (examples/\S+)", stage.run)
    assert not script or (repository() / script[1]).is_file()


def test_the_rounds_of_the_bug_lab_in_the_plans_exist():
    codes = [code for plan in PLANS.values() for stage in plan.stages for code in stage.lab]
    assert len(codes) == len(set(codes)) >= 12 and set(codes) <= {*all_rounds(), *KERNELS}
    assert all(any(stage.lab for stage in plan.stages) for plan in PLANS.values())


def test_a_round_of_the_bug_lab_is_rehearsed_after_the_command():
    stage = Stage(5, "both", ".", run='python -c "print(1)"', lab=("r20", "r21"))
    assert commands_of(stage) == ['python -c "print(1)"', "python -m minidiff lab r20", "python -m minidiff lab r21"]
    (went,) = rehearse(Plan("test", "Test", "", (stage,)))
    assert went.failure == "" and went.seconds > 0
    (went,) = rehearse(Plan("test", "Test", "", (Stage(5, "none", ".", lab=("r999",)),)))
    assert "status 2" in went.failure and "no round is called 'r999'" in went.failure


def test_a_kernel_is_rehearsed_only_where_it_can_be_compiled(monkeypatch):
    stage = Stage(5, "kernel", ".", lab=("k1", "r1"))
    monkeypatch.setattr(module.emulated, "why_not", lambda: "no compiler")
    assert commands_of(stage) == ["python -m minidiff lab r1"]
    monkeypatch.setattr(module.emulated, "why_not", lambda: "")
    assert commands_of(stage) == ["python -m minidiff lab k1", "python -m minidiff lab r1"]


def test_every_plan_names_what_people_get_wrong():
    assert all(sum(bool(stage.mistake) for stage in plan.stages) >= 1 for plan in PLANS.values())


def test_a_rehearsal_runs_the_commands_and_says_how_long_they_took():
    went = list(rehearse(Plan("test", "Test", "", (
        Stage(5, "talk", "."),
        Stage(5, "good", ".", run='python -c "print(1)"'),
        Stage(5, "bad", ".", run='python -c "raise ValueError(3)"'),
        Stage(5, "none", ".", run="no_such_program --x"),
        Stage(5, "out", ".", run="python -c \"import sys; open(sys.argv[1], 'w').write('x')\" OUT"),
    ))))  # fmt: skip
    seconds, failures = [s for _, s, _ in went], [f for _, _, f in went]
    assert seconds[0] is None and all(s > 0 for s in seconds[1:])
    assert failures[0] == failures[1] == failures[4] == ""
    assert failures[2].startswith("status 1 / ") and failures[2].endswith("ValueError: 3")
    assert "no_such_program" in failures[3]


def test_what_a_debugger_does_not_know_is_a_failure(tmp_path, monkeypatch):
    stage = Stage(5, "typo", ".", run="python examples/algorithm_1.py --debug", keys=("p no_such_name", "q"))
    (went,) = rehearse(Plan("test", "Test", "", (stage,)))
    assert "*** NameError: name 'no_such_name' is not defined" in went.failure


def test_a_command_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 0.2)
    (went,) = rehearse(Plan("test", "Test", "", (Stage(5, "hangs", ".", run='python -c "import time; time.sleep(60)"'),)))
    assert went.failure == "not ready after 0 s"


def test_the_plan_of_ddim_can_be_rehearsed_and_ends_well():
    lines = []
    assert report(PLANS["ddim"], lines.append) == 0
    assert lines[-1].startswith("6 of 6 stages ran, ") and lines[-1].endswith(" s of 90 min")
    said = re.sub(r"\s+", " ", " ".join(lines))  # a long line is cut for the terminal
    assert re.search(r"10 min The general step \d+\.\d s python -m minidiff explain ddim.step", said)


@pytest.mark.parametrize("name", ["forward", "reverse", "unet"])
def test_the_sessions_of_the_debugger_in_the_plans(name):
    stages = tuple(stage for stage in PLANS[name].stages if stage.keys)
    went = list(rehearse(PLANS[name]._replace(stages=stages)))
    assert went and [stage.title for stage, _, failure in went if failure] == []


def test_an_unknown_plan_and_no_examples(capsys, monkeypatch):
    assert main(["rehearse", "nonsense"]) == 2
    assert "no plan is called 'nonsense'; there are forward, reverse, ddim, unet, latent, kernels" in capsys.readouterr().err
    monkeypatch.setattr(module, "repository", lambda: None)
    with pytest.raises(RuntimeError, match="run it in a copy of the repository"):
        next(rehearse(get_plan("ddim")))


def test_the_command_runs_in_this_interpreter():
    stage = Stage(1, "x", ".", run="python a.py --out OUT")
    assert command_of(stage, "/there") == [sys.executable, "a.py", "--out", "/there"]


def test_the_guide_is_made_from_the_plans():
    assert all(f"]({name}.md)" in guide_overview() for name in PLANS)
    page = plan_markdown(PLANS["forward"])
    for stage in PLANS["forward"].stages:
        assert stage.ask.split("?")[0][:20] in page.replace("&#x27;", "'") and f"<h3>{stage.title}</h3>" in page
    assert "<code>python -m minidiff lab r6</code>" in page and 'href="../play/index.html#lab?round=r6"' in page
    assert "minidiff lab k1</code></p>" in plan_markdown(PLANS["kernels"])  # no page can compile a kernel
    assert "82&ndash;90" in page and 'href="../deck/05.html#x_t-in-one-jump"' in page
    assert link_text("deck/05.html#x_t-in-one-jump") == "slide 5: x_t in one jump"
    assert link_text("source/minidiff/functional/conv2d.py.html#L14") == "minidiff/functional/conv2d.py:14"
