import inspect
import re
import subprocess
import sys

import pytest

from minidiff.__main__ import main
from minidiff.classroom.emulated import why_not
from minidiff.classroom.exercises import guards
from minidiff.classroom.exercises.exercise import returned_names
from minidiff.classroom.exercises.isolated import grade_apart
from minidiff.classroom.exercises.stubs import with_code
from minidiff.classroom.exercises.tables.exercises import EXERCISES, get_exercise
from minidiff.classroom.exercises.tables.hints import HINTS
from minidiff.classroom.exercises.tables.kernels import KERNEL_EXERCISES

COUNT = len(EXERCISES) + (0 if why_not() else len(KERNEL_EXERCISES))  # files that --new writes beside README.md
HEAD = "def q_sample(x_0, t, eps, schedule):\n"


def write(folder, name, code=None):
    exercise = get_exercise(name)
    (folder / f"{name}.py").write_text(with_code(exercise, code or exercise.source), encoding="utf-8")


def test_without_a_name_it_lists_all_exercises(capsys):
    assert main(["exercise"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {exercise.name} " in text for exercise in EXERCISES)
    assert "q_sample               slide 5 " in text and max(map(len, text.splitlines())) <= 100


def test_new_writes_a_folder_and_leaves_what_is_there(tmp_path, capsys):
    folder = tmp_path / "mine"
    assert main(["exercise", "--new", str(folder)]) == 0
    assert f"wrote {COUNT + 1} files into {folder}. Begin with" in capsys.readouterr().out
    (folder / "q_sample.py").write_text("my work")
    (folder / "mu_theta.py").unlink()
    assert main(["exercise", "--new", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"wrote 1 files into {folder}, and left {COUNT} as they were" in said
    assert (folder / "q_sample.py").read_text() == "my work" and (folder / "mu_theta.py").exists()


def test_new_refuses_a_file(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["exercise", "--new", str(tmp_path / "file")]) == 2
    assert "exercise --new: wanted a folder, but" in capsys.readouterr().err


def test_a_stub_runs_by_itself(tmp_path):
    main(["exercise", "--new", str(tmp_path)])
    done = subprocess.run([sys.executable, str(tmp_path / "q_sample.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not done.stderr
    assert "q_sample: the body is still to be written" in done.stdout


def test_a_right_answer_names_the_next_exercise(tmp_path, capsys):
    write(tmp_path, "q_sample")
    assert main(["exercise", "q_sample", str(tmp_path)]) == 0
    assert "q_sample: right (3 calls, 45 numbers agree with the package's own). Next: beta_tilde_table" in capsys.readouterr().out


def test_a_wrong_answer_is_status_1_with_the_way_to_a_hint(tmp_path, capsys):
    write(tmp_path, "q_sample", HEAD + "    return x_0\n")
    assert main(["exercise", "q_sample", str(tmp_path), "--debug"]) == 1
    said = capsys.readouterr().out
    assert "the part with eps is missing" in said
    assert "(hints: python -m minidiff exercise q_sample --hint)" in said


def test_hints_come_one_by_one(capsys):
    assert main(["exercise", "q_sample", "--hint"]) == 0
    assert capsys.readouterr().out.startswith("hint 1 of 3: All t steps in one")
    assert main(["exercise", "q_sample", "--hint", "3"]) == 0
    assert "square roots" in capsys.readouterr().out
    assert main(["exercise", "q_sample", "--hint", "4"]) == 2
    assert "exercise: q_sample has hints 1 to 3, got 4" in capsys.readouterr().err
    assert len(HINTS["q_sample"]) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["q_smaple"], "exercise: there is none called 'q_smaple'; did you mean q_sample"),
        (["--hint"], "exercise: --hint needs the name of an exercise"),
        (["q_sample", "nowhere"], "exercise: there is no nowhere/q_sample.py; python -m minidiff exercise --new DIR writes it"),
        (["all", "nowhere"], "exercise: there are no exercises in nowhere; python -m minidiff exercise --new DIR writes them"),
        (["q_sample", "--seconds", "0"], "exercise: --seconds must be > 0, got 0"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, said, capsys):
    assert main(["exercise", *arguments]) == 2
    assert said in capsys.readouterr().err.replace("\\", "/")


def test_all_grades_those_that_were_begun(tmp_path, capsys):
    main(["exercise", "--new", str(tmp_path)])
    write(tmp_path, "p_step")
    write(tmp_path, "L_simple", "def L_simple(eps, eps_hat):\n    return ((eps - eps_hat) ** 2).sum()\n")
    capsys.readouterr()
    assert main(["exercise", "all", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "p_step: right" in said and "L_simple: loss is" in said
    assert f"1 right, 1 wrong, {COUNT - 2} to begin" in said


def test_a_loop_without_an_end_is_ended_and_its_line_is_named(tmp_path):
    write(tmp_path, "q_sample", HEAD + "    while True:\n        x_0 = x_0 + 1\n")
    verdict = grade_apart(get_exercise("q_sample"), tmp_path / "q_sample.py", seconds=3)
    assert not verdict.right
    assert "q_sample: it is not done after 3 s: a loop without an end? It was at q_sample.py:1" in verdict.text


def test_a_program_that_ends_in_the_middle(tmp_path):
    write(tmp_path, "q_sample", "import os\n\n" + HEAD + "    os._exit(7)\n")
    verdict = grade_apart(get_exercise("q_sample"), tmp_path / "q_sample.py")
    assert not verdict.right and "the program ended in the middle (exit status 7)" in verdict.text


def test_the_names_of_what_is_returned():
    assert returned_names("def f(x):\n    def g():\n        return a\n    return N, m + 1") == ["N", "result"]
    assert returned_names("def f(x):\n    yield x") == ["result"]


def test_the_packages_own_tests_run_on_a_students_function(tmp_path, capfd):
    write(tmp_path, "q_sample")
    assert main(["exercise", "q_sample", str(tmp_path), "--checks", "--seconds", "300"]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert re.search(r"The package's own [1-9]\d* tests of it pass, too", said)


def test_a_part_of_a_function_has_no_tests_of_its_own(tmp_path, capfd):
    write(tmp_path, "ddpm_steps")
    assert main(["exercise", "ddpm_steps", str(tmp_path), "--checks"]) == 0
    assert "ddpm_steps is graded by numbers alone" in " ".join(capfd.readouterr().out.split())


def test_a_wrong_function_in_place_of_the_packages_fails_its_tests(tmp_path):
    """In a process of its own: pytest does not run inside pytest."""
    write(tmp_path, "q_step", "def q_step(x_prev, t, eps_step, schedule):\n    return x_prev\n")
    file = str(tmp_path / "q_step.py")
    code = (
        "from minidiff.classroom.exercises.guards import run_guards\n"
        "from minidiff.classroom.exercises.tables.exercises import get_exercise\n"
        f"print(*run_guards(get_exercise('q_step'), {file!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False q_step: the test ") and "of the package fails" in done.stdout


def test_without_the_tests_numbers_alone_are_compared(monkeypatch):
    monkeypatch.setattr(guards, "repository", lambda: None)
    with pytest.raises(RuntimeError, match="its tests are not installed here: they need a clone of the project"):
        guards.run_guards(get_exercise("q_sample"), "q_sample.py")


@pytest.mark.parametrize("name", ["q_sample", "ddim_sigma", "training_terms", "ddpm_steps", "attention"])
def test_a_function_is_replaced_for_everyone_and_put_back(name):
    """The stand-in takes the same arguments, and the package's own is back afterwards."""
    function = get_exercise(name).function
    before = function.__code__
    with guards.replaced(function, lambda **arguments: sorted(arguments)):
        needed = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        assert function(**{p.name: None for p in needed}) == sorted(p.name for p in needed)
    assert function.__code__ is before
