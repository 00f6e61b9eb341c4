r"""The symbols that have a colour of their own on the site, in formula, code and values.

Each has a name (its CSS class is `s-` and the name), the LaTeX that writes it, as a pattern without
its index, the indices that it may have, and the names that mean it in the code. Data only.
"""

from __future__ import annotations

from typing import NamedTuple


class Symbol(NamedTuple):
    """One colour: a symbol of the formulas and its names in the code."""

    name: str
    latex: str
    names: tuple[str, ...]


_X = r"(?:\\mathbf\{x\}|(?<![A-Za-z\\])x)"
_EPS = r"\\boldsymbol\\epsilon"
_NOISE = r"(?:" + _EPS + r"|\\epsilon)"

# the first that matches wins: what is longer comes first
SYMBOLS = (
    Symbol("x_0_hat", r"\\hat\{\\mathbf\{x\}\}_0", ("x_0_hat",)),
    Symbol("x_0", _X + r"_0(?!\\pm)", ("x_0",)),
    Symbol("x_prev", _X + r"_\{t-1\}", ("x_prev",)),
    Symbol("x_t", _X + r"_t", ("x_t",)),
    Symbol("eps_theta", r"(?:\\(?:hat|tilde)\{?\\boldsymbol\\epsilon\}?|" + _EPS + r"_\\theta)",
           ("eps_hat", "eps_theta", "eps_y", "eps_uncond")),
    Symbol("eps",
           r"(?:\\bar\{" + _EPS + r"\}|" + _NOISE + r")(?:_t|_\{t(?:-[12])?\})?(?![_A-Za-z])",
           ("eps", "eps_step", "eps_merged")),
    Symbol("alpha_bar", r"\\bar\{?\\alpha\}?(?:_(?:\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}|\w|\\tau))?",
           ("alpha_bar", "one_minus_alpha_bar", "alpha_bar_T")),
    Symbol("alpha", r"\\alpha(?:_(?:\{[^{}]*\}|\w))?", ("alpha", "alpha_t", "alpha_prev")),
    Symbol("beta_tilde", r"\\tilde\\beta(?:_(?:\{[^{}]*\}|\w))?", ("beta_tilde",)),
    Symbol("beta", r"(?<!\\tilde)\\beta(?:_(?:\{[^{}]*\}|\w))?", ("beta", "beta_1", "beta_T")),
    Symbol("mu", r"(?:\\tilde\{\\boldsymbol\\mu\}_t|\\boldsymbol\\mu(?:_(?:\\theta))?)",
           ("mu", "mu_tilde", "mu_theta", "mean")),
    Symbol("sigma", r"(?:\\hat)?\\sigma(?:_(?:\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}|\w))?",
           ("sigma", "sigma_t", "sigma_squared", "variance", "sigma_hat")),
    Symbol("v", r"\\mathbf\{v\}_t", ("v", "v_hat")),
    Symbol("z", r"\\mathbf\{z\}(?![_}])", ("z",)),
)  # fmt: skip
