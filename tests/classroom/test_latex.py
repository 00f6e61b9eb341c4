"""The printed formulas are the equations: their LaTeX is evaluated on numbers and compared with the functions."""

import numpy as np
import pytest
from support.latex_cases import CASES as CASES_OF_THE_DECK
from support.latex_cases_after import CASES_AFTER
from support.latex_check import mutants_of, states
from support.latex_eval import LatexError, evaluate, is_words, statements, tokens_of

from minidiff.classroom.tables.latex import LATEX

CASES = CASES_OF_THE_DECK | CASES_AFTER
NOT_EVALUATED = {
    "solver.log_snr_times": "the nearest times of the table; test_solvers.py measures the distances",
    "tilted.interval": "a choice by t; test_tilted.py counts it",
    "ddim.tau": "a set of times; test_ddim.py checks its members",
    "guidance.drop_condition": "an assignment by chance; test_guidance.py counts it",
}
IN_WORDS = {
    ("gaussian.discretised", r"\text{openat}\pm1"),
    ("ddpm.algorithm_2", r"t=T,\dots,1"),
    ("ldm.sample", r"\mathbf{z}_T\sim\mathcal{N}(\mathbf{0},\mathbf{I})\to\dots\to\mathbf{z}_0"),
}


def test_every_formula_has_numbers_or_a_reason():
    assert set(CASES) | set(NOT_EVALUATED) == set(LATEX) and not set(CASES) & set(NOT_EVALUATED)


def test_only_these_statements_are_words():
    found = set()
    for id in CASES:
        for sides in statements(LATEX[id]):
            if is_words(sides):
                found.add((id, "".join(relation + "".join(side) if relation else "".join(side) for relation, side in sides)))
    assert found == IN_WORDS


@pytest.mark.parametrize("id", list(CASES))
def test_the_printed_formula_states_what_the_function_computes(id):
    assert states(id, LATEX[id])


@pytest.mark.parametrize("id", list(CASES))
def test_every_change_of_one_symbol_in_the_printed_formula_is_caught(id):
    survivors = [what for what, mutant in mutants_of(LATEX[id]) if states(id, mutant)]
    assert not survivors


def test_the_changes_are_many_and_of_all_kinds():
    kinds = [what.rpartition(" ")[0] for id in CASES for what, _ in mutants_of(LATEX[id])]
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert len(kinds) > 800
    assert {k: n for k, n in counts.items() if n < 10} == {}
    assert set(counts) == {
        "sign", "no bar", "no tilde", "no hat", "no root", "no square", "t - 1 for t", "t for t - 1", "beta for alpha", "alpha for beta",
    }  # fmt: skip


WORLD = {"t": 3, "T": 4, "x": {0: 1.0, 2: 5.0, 3: 7.0}, "bar alpha": np.array([1.0, 0.9, 0.7, 0.4, 0.2]), "f": lambda env, a: 2 * a}


@pytest.mark.parametrize(
    ("latex", "value"),
    [
        (r"\tfrac12 \mathbf{x}_0", 0.5),
        (r"\sqrt{\bar\alpha_{t-1} + 0}^2", 0.7),
        (r"-\mathbf{x}_{t-1}^2 - 2 f(\mathbf{x}_t) / 7", -29),
        (r"\sum_{t=1}^T \bar\alpha_t - \prod_{i=1}^2 \bar\alpha_i", 2.2 - 0.63),
        (r"\log 2 \cdot 3 + \exp(0)", 3 * np.log(2) + 1),
        (r"\int_0^2 y^2\,dy", 8 / 3),
        (r"\|\mathbf{x}_t\|^2", 49),
    ],
)
def test_the_evaluator_by_hand(latex, value):
    assert evaluate(tokens_of(latex), WORLD) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("latex", "message"),
    [
        (r"\alpha_t", "no value for alpha_t"),
        (r"\bar\alpha_{t+2}", "bar alpha has no entry 5"),
        (r"\bar\alpha_{t-4}", "bar alpha has no entry -1"),
        (r"\mathbf{x}_1", "x has no entry 1"),
        (r"(1 + 2", "wanted \\), got None"),
        (r"1 + ", "a number is missing before None"),
        (r"f + 1", "an argument is missing before \\+"),
        (r"2)", "cannot read \\)"),
    ],
)
def test_what_the_evaluator_cannot_read_is_named(latex, message):
    with pytest.raises(LatexError, match=message):
        evaluate(tokens_of(latex), WORLD)
