"""The suspects of a round: the code that ran, line by line with numbers, as the package has it."""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

from minidiff.classroom.code_lines import without_docstring
from minidiff.classroom.index import get_equation
from minidiff.classroom.tables.mutants import Mutant


class Line(NamedTuple):
    """A line of a suspect.   number: over all suspects, from 1; 0 for the head of a function"""

    number: int
    id: str
    text: str


def listing(ids: tuple[str, ...]) -> list[Line]:
    """The lines of these equations, without docstrings."""
    lines, number = [], 0
    for id in ids:
        for text in function_lines(id):
            head = text.lstrip().startswith("def ") and not text.startswith(" ")
            number += not head
            lines.append(Line(0 if head else number, id, text))
    return lines


def function_lines(id: str) -> list[str]:
    """The lines of an equation. Its head is one line, without types and defaults."""
    function = get_equation(id).function
    source = [text for _, text in without_docstring(get_equation(id).source)]
    end = next(i for i, text in enumerate(source) if text.split("#")[0].rstrip().endswith(":"))
    names = ", ".join(inspect.signature(function).parameters)
    return [f"def {function.__name__}({names}):", *source[end + 1 :]]


def terms_of(text: str) -> list[str]:
    """The pieces of a line that a student may point at, in their order, each with its operator.

    They are the names, the numbers and the calls between operators; comments are left out.
    """
    code = text.split("  #")[0]
    found = re.findall(r"[\w.]+(?:\[[^\]]*\])?|\*\*|[-+*/@%]|[<>=!]=?", code)
    return [term for term in found if term not in ("=", "return", "for", "in", "if", "else")]


class Place(NamedTuple):
    """Where a mutant is.   line: its text; start, end: of what is changed, spaces not counted"""

    line: str
    start: int
    end: int


def place_of(mutant: Mutant) -> Place:
    """The line with the changed characters. What is only inserted stands for what is beside it."""
    old, new = mutant.old.rstrip("\n"), mutant.new.rstrip("\n")
    line = next(text for text in function_lines(mutant.id) if old in text)
    before = _common(old, new)
    after = _common(old[before:][::-1], new[before:][::-1])
    at = line.index(old)
    start, end = at + before, at + len(old) - after
    if start >= end:
        start, end = at, at + len(old)
    while start > at and line[start - 1 : start + 1].replace("_", "a").isalnum():
        start -= 1
    while end < at + len(old) and line[end - 1 : end + 1].replace("_", "a").isalnum():
        end += 1
    return Place(line, len(squeezed(line[:start])), len(squeezed(line[:end])))


def squeezed(text: str) -> str:
    """Without spaces: so an answer may have other ones."""
    return "".join(text.split())


def _common(a: str, b: str) -> int:
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return count
