"""LaTeX as one line of Unicode, for a terminal.

It knows what the equations' LaTeX uses: fonts, accents, roots, fractions, Greek.
"""

from __future__ import annotations

import re
import unicodedata

_SYMBOLS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ",
    "lambda": "λ", "mu": "μ", "sigma": "σ", "Sigma": "Σ",
    "tau": "τ", "phi": "φ", "Phi": "Φ",
    "varphi": "φ", "pi": "π", "varnothing": "∅", "sum": "Σ", "prod": "Π",
    "int": "∫", "nabla": "∇", "cdot": " · ",
    "sim": "~", "subseteq": "⊆", "in": "∈", "leftarrow": "<-", "to": "->", "dots": "...", "pm": "±",
    "quad": "\u2003", "big": "", "Big": "",
    "log": "\ue000log ", "exp": "exp", "cos": "cos ", "sin": "sin ", "arg": "arg ", "min": "min",
    "max": "max",
}  # fmt: skip
_ACCENTS = {"bar": "\u0304", "tilde": "\u0303", "hat": "\u0302"}
_GROUP = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_FONT = re.compile(r"\\(?:mathbf|boldsymbol|mathcal|mathrm|text)\s*(?:" + _GROUP + ")?")
_INDEX = r"(?:[^\s{}]|\{(?:[^{}]|\{[^{}]*\})*\})"
_LETTER = r"[^\s\d_+\-·/(){}^\\√]"
_SYMBOL = re.compile(rf"(?:\d+|{_LETTER}+)(?:_{_INDEX})?(?:\^{_INDEX})?")
_JOINED = re.compile(rf"([_^]{_INDEX})(?=[^\W\d_]|√)")


def plain_text(latex: str) -> str:
    """One line of Unicode with the same meaning.

    Fractions are a/b with the brackets that they need, roots are √(...), bars and hats are accents.
    """
    text = (
        latex.replace(r"\,", " ")
        .replace(r"\|", "‖")
        .replace(r"\{", "\u2774")
        .replace(r"\}", "\u2775")
    )
    text = re.sub(r"\\([A-Za-z]+)", lambda m: _SYMBOLS.get(m.group(1), m.group(0)), text)
    text = re.sub(r"\\t?frac(\w)(\w)", r"\1/\2 ", text)
    previous = None
    while previous != text:
        previous = text
        text = _FONT.sub(lambda m: m.group(1) or "", text)
        text = re.sub(
            r"\\(bar|tilde|hat)\s*(?:\{(\S)\}|([^\s{\\]))",
            lambda m: (m.group(2) or m.group(3)) + _ACCENTS[m.group(1)],
            text,
        )
        text = re.sub(r"\\sqrt" + _GROUP, lambda m: f"√({m.group(1)})", text)
        text = re.sub(
            r"log \\frac" + _GROUP + _GROUP,
            lambda m: f"log ({_wrapped(m.group(1))}/{_wrapped(m.group(2))})",
            text,
        )
        text = re.sub(
            r"\\t?frac" + _GROUP + _GROUP,
            lambda m: f"{_wrapped(m.group(1))}/{_wrapped(m.group(2))} ",
            text,
        )
    text = re.sub(r"_\{(.)\}", r"_\1", text).replace("\\ ", " ")
    text = re.sub(r"(cos|sin) \(", r"\1(", text)
    text = re.sub(r"(?<=[\w)}])\ue000", " ", text).replace("\ue000", "")
    text = _JOINED.sub(r"\1 ", text)
    text = (
        re.sub(r" +([)\]},])", r"\1", re.sub(r" +", " ", text))
        .replace("\u2774", "{")
        .replace("\u2775", "}")
    )
    return unicodedata.normalize("NFC", re.sub(r"\s*\u2003\s*", "    ", text).strip())


def _wrapped(term: str) -> str:
    """In brackets, unless it is one symbol, a root, or in brackets already."""
    term = term.strip()
    inside = term.removeprefix("√")
    closed = inside.startswith("(") and _closing(inside) == len(inside) - 1
    return term if closed or _SYMBOL.fullmatch(term) else f"({term})"


def _closing(text: str) -> int:
    """Where the bracket that opens the text closes."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place
    return -1
