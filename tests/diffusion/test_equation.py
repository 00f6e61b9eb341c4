import ast
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import minidiff
from minidiff.classroom.index import all_equations, get_equation
from minidiff.diffusion import equation as equations
from minidiff.diffusion.equation import Equation, equation
from minidiff.diffusion.schedule import Schedule
from minidiff.engine.printing import location_of


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(equations, "_registry", dict(equations._registry))


def test_the_decorator_returns_the_function_itself(registry):
    def twice(x):
        """Twice x.

        More about it."""
        return 2 * x

    assert equation("test.twice", "none", errata=1)(twice) is twice
    entry = equations.registered()["test.twice"]
    assert (entry.summary, entry.errata, entry.registered_in) == ("Twice x.", (1,), __name__)


def test_an_id_belongs_to_one_function(registry):
    equation("test.one", "none")(len)
    with pytest.raises(ValueError, match="the id 'test.one' is taken by builtins.len"):
        equation("test.one", "none")(max)


def test_the_location_is_the_first_line_that_runs(monkeypatch, tmp_path):
    """From every folder, and a breakpoint set there stops before any term is computed."""
    monkeypatch.chdir(tmp_path)
    path, _, line = get_equation("forward.q_sample").location.partition(":")
    assert path == "minidiff/diffusion/forward.py"
    text = (Path(minidiff.__file__).parents[1] / path).read_text().splitlines()
    before, first = "\n".join(text[: int(line) - 1]), text[int(line) - 1]
    assert before.rpartition("def ")[2].startswith("q_sample(") and before.rstrip().endswith('"""')
    assert "schedule." in first and "like=x_0" in first


def test_a_function_of_the_user_and_a_class_have_a_location(monkeypatch, tmp_path):
    monkeypatch.chdir(Path(__file__).parent)
    line = location_of(lambda: 1).partition(":")
    assert line[0] == "test_equation.py" and int(line[2]) > 1
    assert re.fullmatch(r"minidiff/diffusion/schedule.py:\d+", location_of(Schedule))


def test_repr_and_html_show_formula_place_and_code():
    q_sample = get_equation("forward.q_sample")
    assert repr(q_sample).startswith("<equation forward.q_sample, DDPM eq. 4, minidiff/diffusion/forward.py:")
    html = q_sample._repr_html_()
    assert html.index("DDPM eq. 4") < html.index("<pre>def q_sample(x_0, t, eps, schedule):")
    assert "@equation" not in html and " 0x" not in repr(q_sample)
    without_latex = Equation("test.half", half, "none")
    assert without_latex._repr_latex_() is None and "<code>x / 2 &lt; x</code>" in without_latex._repr_html_()


def half(x):
    """x / 2 < x"""
    return x / 2
def returns_of(function):
    """The return statements of a function, not of those inside it."""
    waiting = list(ast.parse(textwrap.dedent(inspect.getsource(function))).body[0].body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.excepthandler))]


def unnamed(function):
    """Returned values that are no names: a student sees a name in the debugger, and no arithmetic."""
    values = [node.value for node in returns_of(function)]
    parts = [part for value in values for part in (value.elts if isinstance(value, ast.Tuple) else [value])]
    return [ast.unparse(part) for part in parts if not isinstance(part, ast.Name)]


@pytest.mark.parametrize("id", list(all_equations()))
def test_every_equation_returns_what_has_a_name(id):
    function = all_equations()[id].function
    if not function.__module__.startswith("minidiff.functional"):  # an operation returns its derivative, too
        assert unnamed(function) == []


def test_an_unnamed_result_is_found():
    def bad(a, b):
        if a:
            return a, a + b
        return max(a, b)

    assert sorted(unnamed(bad)) == ["a + b", "max(a, b)"]


@pytest.mark.parametrize("id", [id for id, e in all_equations().items() if e.registered_in.startswith("minidiff.diffusion")])
def test_the_docstring_begins_with_the_formula(id):
    """One line in ASCII, then an empty one: what `explain` prints as the headline."""
    first, second, *_ = (inspect.getdoc(all_equations()[id].function) + "\n\n").split("\n")
    assert first.isascii() and any(sign in first for sign in "=~"), first
    assert second == "" or second.startswith("      ")


@pytest.mark.parametrize("id", list(all_equations()))
def test_the_header_of_an_equation_is_one_line(id):
    """Each decorator on a line of its own, of at most 90 columns."""
    entry = all_equations()[id]
    if not entry.registered_in.startswith("minidiff.diffusion"):
        return
    source = inspect.getsource(entry.function).split("def ")[0].splitlines()
    assert source and all(line.startswith("@equation(") and line.endswith(")") and len(line) <= 90 for line in source)
