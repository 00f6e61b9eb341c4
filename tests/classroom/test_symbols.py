"""The symbols with a colour: each stands in formulas and in code, and means the same in both."""

import re

import pytest

from minidiff.classroom.index import all_equations
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.symbols import SYMBOLS


def symbols_of(latex):
    """(name, text) of each symbol, the longest first, as the site finds them."""
    pattern = re.compile("|".join(f"(?P<s_{symbol.name}>{symbol.latex})" for symbol in SYMBOLS))
    return [(match.lastgroup[2:], match[0]) for match in pattern.finditer(latex)]


@pytest.mark.parametrize("symbol", SYMBOLS, ids=lambda symbol: symbol.name)
def test_a_symbol_stands_in_some_formula_and_in_the_code_of_some_equation(symbol):
    assert any(symbol.name == name for latex in LATEX.values() for name, _ in symbols_of(latex))
    sources = [equation.source for equation in all_equations().values()]
    assert any(re.search(rf"\b{name}\b", source) for name in symbol.names for source in sources)


def test_no_name_of_the_code_has_two_colours():
    names = [name for symbol in SYMBOLS for name in symbol.names]
    assert len(names) == len(set(names))


def test_what_is_found_in_a_formula():
    assert symbols_of(LATEX["forward.q_sample"]) == [
        ("x_t", r"\mathbf{x}_t"), ("alpha_bar", r"\bar\alpha_t"), ("x_0", r"\mathbf{x}_0"),
        ("alpha_bar", r"\bar\alpha_t"), ("eps", r"\boldsymbol\epsilon"),
    ]  # fmt: skip
    assert [name for name, _ in symbols_of(LATEX["reverse.mu_theta"])] == [
        "mu", "x_t", "alpha", "x_t", "alpha", "alpha_bar", "eps_theta", "x_t",
    ]  # fmt: skip
    assert [name for name, _ in symbols_of(LATEX["posterior.q_posterior"])][-2:] == ["x_0", "beta_tilde"]
    assert ("x_prev", r"\mathbf{x}_{t-1}") in symbols_of(LATEX["ddim.step"])
    assert ("x_0_hat", r"\hat{\mathbf{x}}_0") in symbols_of(LATEX["ddim.step"])
