import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import minidiff
from minidiff.classroom.explain import explain, explain_short, run_with_small_numbers, show, wrap
from minidiff.classroom.index import all_equations
from minidiff.classroom.recording import trace
from minidiff.classroom.tables.slides import SLIDES
from minidiff.classroom.tables.toy_arguments import small_inputs
from minidiff.diffusion.equation import Equation
from minidiff.engine.printing import location_of


@pytest.mark.parametrize("id", list(all_equations()))
def test_every_equation_explains_itself_and_runs(id):
    text = explain(id)
    assert text.startswith(id)
    assert f"    def {all_equations()[id].function.__name__}(" in text
    assert "paper   " in text and "check   tests/" in text and ".py:" in text
    assert "\n    " in text.split("run", 1)[-1] or "first step" in text


def test_the_run_shows_each_term_with_the_numbers_of_the_formula():
    """T = 10, t = 5: alpha_bar_5 by hand, then the terms of q_sample in the order of its lines."""
    text = run_with_small_numbers(all_equations()["forward.q_sample"])
    names = [line.split("=")[0].strip() for line in text.splitlines()[1:-1] if line.startswith("    ") and line[4] != " "]
    assert names == ["x_0", "t", "eps", "schedule", "now", "signal", "noise", "x_t"]
    line = np.linspace(0.0001, 0.02, 10)
    alpha_bar = np.prod((1 - line[:5]) ** 100)
    assert f"alpha_bar            {alpha_bar:.6f}" in text
    assert f"{np.sqrt(alpha_bar) * 0.5:.5f}" in text


@pytest.mark.parametrize("slide", SLIDES, ids=lambda slide: str(slide.number))
def test_every_slide_leads_to_its_code_by_title_and_by_number(slide):
    """One command, one hop: each equation with file and line."""
    by_title, by_number = explain(slide.title), explain(str(slide.number))
    assert f"Slide {slide.number}: {slide.title}" in by_title and by_number in by_title
    for formula in slide.formulas:
        for id in formula.equations:
            assert f"{id:28} minidiff" in by_number or "/minidiff/" in by_number


def test_a_part_of_a_title_will_do_and_nonsense_names_what_is_near():
    assert explain("sampling process").startswith("Slide 20: Diffusion Sampling Process")
    with pytest.raises(KeyError, match="no equation is called 'ddim.stpe'; did you mean ddim.step"):
        explain("ddim.stpe")


def test_the_name_of_the_function_will_do_where_it_means_one_equation():
    assert explain("q_sample").startswith("forward.q_sample") and explain("merge_gaussians", short=True).startswith("forward.merge_gaussians")
    with pytest.raises(KeyError, match="did you mean"):
        explain("bayes")


def test_a_new_argument_must_get_a_small_value():
    with pytest.raises(KeyError, match="new.one has an argument without a small value: unheard_of"):
        small_inputs(Equation("new.one", lambda unheard_of: 1, ""))


def test_show_numbers_small_arrays_tuples_and_large_arrays():
    assert show(0.25) == "0.25"
    assert show(np.array([1.0, 2.0])) == "[1., 2.]  (2,)"
    assert show((1, 2)) == "(1, 2)"
    assert show((0.5, np.array([1.0]))) == "(0.5, [1.]  (1,))"
    assert show([np.zeros((1, 2))] * 3) == "3 arrays (1, 2)"
    assert show(np.zeros((5, 5))).startswith("float64 (5, 5), min 0")


@pytest.mark.parametrize("id", list(all_equations()))
def test_every_line_fits_the_terminal(id, monkeypatch):
    for columns in (100, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert max(map(len, explain(id).splitlines())) <= columns
        short = explain(id, short=True).splitlines()
        assert max(map(len, short)) <= columns and len(short) <= 23, "and a prompt below it"
        assert short[0] == id and all_equations()[id].location in short[2]


@pytest.mark.parametrize("id", list(all_equations()))
def test_nothing_that_is_printed_depends_on_the_machine(id):
    """No address of an object, no path of the installation."""
    text = explain(id) + explain(id, short=True)
    assert not re.search(r"0x[0-9a-f]{6,}", text) and str(Path(minidiff.__file__).parents[1]) not in text


def test_the_header_names_t_only_for_a_formula_of_t():
    def title(id):
        return run_with_small_numbers(all_equations()[id]).splitlines()[0]

    assert title("forward.q_sample") == "  a run, linear schedule with T = 10, t = 5:"
    assert title("forward.q_chain") == "  a run, linear schedule with T = 10:"
    assert title("forward.merge_gaussians") == "  a run:"
    for id, equation in all_equations().items():
        takes_t = "t" in inspect.signature(equation.function).parameters
        assert takes_t or "t = 5" not in title(id)


def test_a_loop_shows_its_first_two_turns_and_the_last():
    lines = run_with_small_numbers(all_equations()["forward.q_chain"]).splitlines()
    turns = [line.split("=")[1].strip() for line in lines if re.match(r" +t +=", line)]
    assert turns == ["1", "2", "10"] and any(line.strip() == "..." for line in lines)


def test_the_linear_schedule_runs_as_its_formula_says():
    """T = 10 without the rescaling, which the formula does not have."""
    text = run_with_small_numbers(all_equations()["schedule.linear"])
    assert np.linspace(0.0001, 0.02, 10)[1] == pytest.approx(0.00231, abs=5e-6) and "[0.0001 , 0.00231," in text


def test_short_shows_each_line_of_the_code_with_its_value_beside_it():
    lines = explain("forward.q_sample", short=True).splitlines()
    (signal,) = [line for line in lines if line.startswith("signal = ")]
    (x_t,) = [line for line in lines if line.startswith("x_t = ")]
    assert signal.endswith("= [[0.16082, -0.32163]]") and x_t.endswith("= [[1.10768, -0.79506]]")
    assert signal.index("= [[") == x_t.index("= [["), "in one column"


def test_short_says_where_the_rest_is():
    assert explain_short("ddpm.algorithm_2", height=12).splitlines()[-1] == "... and more: python -m minidiff explain ddpm.algorithm_2"
    assert len(explain_short("ddpm.algorithm_2", height=12).splitlines()) == 11


def test_wrap_breaks_at_spaces_and_cuts_a_word_that_is_longer_than_the_line():
    assert wrap("  one two three", 12) == "  one two\n      three"
    assert wrap("a" * 25, 10).splitlines() == ["a" * 10, "    " + "a" * 6, "    " + "a" * 6, "    " + "a" * 3]
    assert wrap("\nx\n", 10) == "\nx"


def test_the_debugger_stops_where_explain_points():
    """A breakpoint on that line of each equation is on code that runs, and before anything was computed."""
    for equation in all_equations().values():
        file, _, number = equation.location.partition(":")
        code = inspect.unwrap(equation.function).__code__
        lines = {line for _, _, line in code.co_lines() if line}
        assert file.startswith("minidiff/") and int(number) in lines and int(number) > code.co_firstlineno


def test_trace_returns_the_result_and_the_locals_in_order():
    def f(a, b):
        c = a + b
        return c * 2

    assert trace(f, 1, 2) == (6, {"a": 1, "b": 2, "c": 3})


def test_the_location_is_the_same_wherever_the_package_is_installed(monkeypatch, tmp_path):
    q_sample = all_equations()["forward.q_sample"].function
    place = location_of(q_sample)
    path, _, line = place.rpartition(":")
    assert path == "minidiff/diffusion/forward.py" and int(line) > 1
    monkeypatch.chdir(tmp_path)
    assert location_of(q_sample) == place
    assert location_of(test_the_location_is_the_same_wherever_the_package_is_installed).startswith("/")


def test_the_summary_is_the_first_paragraph_on_one_line():
    def twice(x):
        """Twice
        x.

        More about it."""

    assert Equation("test.twice", twice, "none").summary == "Twice x."
