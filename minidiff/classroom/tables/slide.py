"""What the tables of slides are made of: `Slide`, and `Formula`, which says what runs it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TYPED = re.compile(
    r"\\(mathbf|boldsymbol|mathcal|mathbb|text|left|right|boxed|underbrace|bar|tilde|hat)"
    r"(?![A-Za-z])|\\,|[\s{}&]"
)


@dataclass(frozen=True)
class Formula:
    """A formula of the deck and the equations that are it.

    mark: a piece of its LaTeX as `normalised` leaves it, by which a test finds it on the slide.
    None: the slide says it in words, or leaves it out (errata "gap").
    equations: their ids.
    """

    name: str
    mark: str | None
    equations: tuple[str, ...]


@dataclass(frozen=True)
class Slide:
    """A slide; `code`: dotted names of what implements the program text or the picture on it."""

    number: int | str  # "A1" for what comes after the deck
    title: str
    formulas: tuple[Formula, ...] = ()
    code: tuple[str, ...] = ()


def normalised(latex: str) -> str:
    """LaTeX without spaces, braces, fonts, bars and hats, and with x for X.

    What is left of two formulas is equal however they were typed.
    """
    return _TYPED.sub("", latex).replace("X", "x")


def formula(name: str, mark: str | None, *equations: str) -> Formula:
    """A `Formula`, written without the brackets around its equations."""
    return Formula(name, mark, equations)
