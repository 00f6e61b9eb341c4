import numpy as np
import pytest

from minidiff.classroom.explain import explain, run_with_small_numbers, show
from minidiff.classroom.index import all_equations
from minidiff.classroom.tables.slides import SLIDES
from minidiff.classroom.tables.toy_arguments import small_inputs
from minidiff.diffusion.equation import Equation
from minidiff.diffusion.recording import trace


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


def test_trace_returns_the_result_and_the_locals_in_order():
    def f(a, b):
        c = a + b
        return c * 2

    assert trace(f, 1, 2) == (6, {"a": 1, "b": 2, "c": 3})
