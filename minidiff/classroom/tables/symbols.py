r"""The symbols that have a colour of their own, in formula, code and values.    For site and page.

Each has a name (its CSS class is `s-` and the name), its colours on light and on dark ground, the
LaTeX that writes it, as a pattern with the indices that it may have, and the names that mean it in
the code. Data only; `python docs/_ext/symbol_files.py` writes what browsers read of it.
"""

from __future__ import annotations

from typing import NamedTuple


class Symbol(NamedTuple):
    """One colour: a symbol of the formulas and its names in the code."""

    name: str
    light: str
    dark: str
    latex: str
    names: tuple[str, ...]


_X = r"(?:\\mathbf\{x\}|(?<![A-Za-z\\])x)"
_EPS = r"\\boldsymbol\\epsilon"
_NOISE = r"(?:" + _EPS + r"|(?<!_)\\epsilon)"

# the first that matches wins: what is longer comes first
SYMBOLS = (
    Symbol("x_0_hat", "#02709e", "#6fcbf5",
           r"\\hat\{\\mathbf\{x\}\}_0", ("x_0_hat",)),
    Symbol("x_0", "#0b57d0", "#8ab4f8",
           _X + r"_0(?!\\pm)", ("x_0",)),
    Symbol("x_prev", "#3d7a00", "#9ccc65",
           _X + r"_\{t-1\}", ("x_prev",)),
    Symbol("x_t", "#00796b", "#4dd0b5",
           _X + r"_[tT]", ("x_t", "x_T")),
    Symbol("eps_theta", "#c62828", "#ff8a80",
           r"(?:\\(?:hat|tilde)\{?\\boldsymbol\\epsilon\}?|" + _EPS + r"_\\theta)",
           ("eps_hat", "eps_theta", "eps_y", "eps_uncond")),
    Symbol("eps", "#b84a00", "#ffb26b",
           r"(?:\\bar\{" + _EPS + r"\}|" + _NOISE + r")(?:_t|_\{t(?:-[12])?\})?(?![_A-Za-z])",
           ("eps", "eps_step", "eps_merged")),
    Symbol("alpha_bar", "#9c27b0", "#e39af0",
           r"\\bar\{?\\alpha\}?(?:_(?:\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}|\w|\\tau))?",
           ("alpha_bar", "one_minus_alpha_bar", "alpha_bar_t", "alpha_bar_prev",
            "alpha_bar_T")),
    Symbol("alpha", "#5b3fd4", "#b7a6ff",
           r"\\alpha(?:_(?:\{[^{}]*\}|\w))?", ("alpha", "alpha_t", "alpha_prev")),
    Symbol("beta_tilde", "#795548", "#d7b29d",
           r"\\tilde\\beta(?:_(?:\{[^{}]*\}|\w))?", ("beta_tilde",)),
    Symbol("beta", "#856000", "#e5c05c",
           r"(?<!\\tilde)\\beta(?:_(?:\{[^{}]*\}|\w))?", ("beta", "beta_t", "beta_1", "beta_T")),
    Symbol("mu", "#ad1457", "#ff8fb7",
           r"(?:\\tilde\{\\boldsymbol\\mu\}_t|(?:\\boldsymbol)?\\mu(?:_(?:\\theta|\w))?)",
           ("mu", "mu_tilde", "mu_theta", "mean")),
    Symbol("sigma", "#546e00", "#c6da5c",
           r"(?:\\hat)?\\sigma(?:_(?:\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}|\w))?",
           ("sigma", "sigma_t", "sigma_squared", "variance", "sigma_hat")),
    Symbol("v", "#00708a", "#6fd3e6",
           r"\\mathbf\{v\}_t", ("v", "v_hat")),
    Symbol("z", "#5d6d75", "#b8c4ca",
           r"\\mathbf\{z\}(?![_}])", ("z",)),
)  # fmt: skip
