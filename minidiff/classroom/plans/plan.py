"""The parts of a plan for a class."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """Some minutes of a class.

    show: pages of the site, as `deck/05.html#x_t-in-one-jump`; run: a command for the terminal,
    keys: what is then typed, one line each; ask: a question for the class, answer: what to expect;
    mistake: what people believe, and what shows that it is wrong; lab: the rounds of the bug lab
    in which the class sees that for itself.
    """

    minutes: int
    title: str
    say: str
    show: tuple[str, ...] = ()
    run: str = ""
    keys: tuple[str, ...] = ()
    ask: str = ""
    answer: str = ""
    mistake: str = ""
    lab: tuple[str, ...] = ()


class Plan(NamedTuple):
    """90 minutes.   before: what to have ready"""

    name: str
    title: str
    before: str
    stages: tuple[Stage, ...]
