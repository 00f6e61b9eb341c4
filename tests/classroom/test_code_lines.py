import pytest

from minidiff.classroom.code_lines import code_lines, lines_of, one_line
from minidiff.classroom.index import all_equations, get_equation
from minidiff.classroom.tables.slides import SLIDES
from minidiff.classroom.tables.toy_runs import TOY_RUNS
from minidiff.diffusion.equation import Equation


@pytest.mark.parametrize("id", list(all_equations()))
def test_every_equation_has_a_line_with_a_number(id):
    shown = code_lines(get_equation(id))
    assert shown.file.startswith("minidiff/") and shown.head.startswith("def ")
    texts = [value.text for line in shown.lines for value in line.values] + [shown.result]
    assert any(character.isdigit() for text in texts for character in text), "some number is computed"
    assert not any("\n" in text for text in texts)


def test_each_value_stands_at_the_line_that_computed_it():
    shown = code_lines(get_equation("forward.q_sample"))
    values = {line.text.split(" =")[0]: line.values for line in shown.lines}
    assert values["signal"] == (("signal", "[[0.16082, -0.32163]]"),)
    assert [name for name, _ in values["now"]] == ["now.alpha_bar", "now.one_minus_alpha_bar"], "those that the code reads"
    assert dict(shown.arguments)["t"] == "5" and "now" not in dict(shown.arguments)


def test_what_is_returned_without_a_name_is_shown_at_its_return():
    def next_one(x):
        y = 2 * x
        return y + 1

    lines = code_lines(Equation("test.next", next_one, "none")).lines
    assert [line.text for line in lines] == ["y = 2 * x", "return y + 1"]
    assert lines[1].values == (("", "[[1., 3., -3.]]"),)
    assert not code_lines(get_equation("forward.q_sample")).lines[-1].values, "x_t has its name already"


def test_a_line_of_a_loop_says_how_often_it_ran():
    shown = code_lines(get_equation("forward.q_chain"))
    assert max(line.turns for line in shown.lines) == 10


def test_one_line_drops_the_shape_of_an_array_that_is_shown_in_full():
    import numpy as np

    assert one_line(np.array([[1.0, -0.5]])) == "[[1., -0.5]]"
    assert one_line(np.zeros((5, 5))).startswith("float64 (5, 5), min 0")
    assert one_line(0.25) == "0.25"
    assert one_line({"mu": np.zeros(2), "z": 1}) == "{mu, z}"


@pytest.mark.parametrize("name", list(TOY_RUNS))
def test_a_program_of_a_slide_runs_on_its_toy_arguments(name):
    assert any(name in slide.code for slide in SLIDES), "each run belongs to a slide"
    function, inputs = TOY_RUNS[name]()
    shown = lines_of(function, inputs)
    assert shown.lines and shown.head.startswith("def ") and shown.file.startswith("minidiff/")
    assert any(line.values for line in shown.lines) or name.endswith("as_eps_theta"), "which only defines a function"
