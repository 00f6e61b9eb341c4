import unicodedata

import pytest

from minidiff.classroom.plain_text import plain_text
from minidiff.classroom.tables.latex import LATEX


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\sqrt{\bar\alpha_t}\,\mathbf{x}_0 + \sqrt{1-\bar\alpha_t}\,\boldsymbol\epsilon", "√ᾱ_t x_0 + √(1-ᾱ_t) ε"),
        (r"\frac{1}{\sqrt{\alpha_t}}\Big(\mathbf{x}_t\Big)", "1/√α_t (x_t)"),
        (r"\gamma\mathbf{m}_i, \tfrac12\|\tilde{\boldsymbol\mu}\|^2", "γm_i, 1/2‖μ̃‖^2"),
        (r"\tau = \{\tau_1, \dots\} \quad \bar{\boldsymbol\epsilon}_{t-2}", "τ = {τ_1, ...}    ε̄_{t-2}"),
    ],
)
def test_latex_becomes_one_line_of_unicode(latex, expected):
    assert plain_text(latex) == unicodedata.normalize("NFC", expected)


def test_no_latex_command_is_left_in_any_equation():
    left = {id: text for id, latex in LATEX.items() if "\\" in (text := plain_text(latex)) or "\n" in text}
    assert not left
