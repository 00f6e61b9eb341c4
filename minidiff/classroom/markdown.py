"""The deck and its errata as Markdown pages, from the same data as the terminal.

They are kept in docs/ for readers of the repository; the site has a page for each slide besides.
"""

from __future__ import annotations

from pathlib import Path

from minidiff.classroom.coverage import resolve, tests_by_equation
from minidiff.classroom.difference import difference
from minidiff.classroom.index import all_equations
from minidiff.classroom.tables.after_the_deck import AFTER
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.printed import PRINTED
from minidiff.classroom.tables.slide import Slide
from minidiff.classroom.tables.slides import SLIDES
from minidiff.diffusion.equation import Equation

DECK_HEAD = """# The deck on one page

Each formula of the deck is a function, and each function has an exact check. This page is written
by `python -m minidiff deck --markdown docs/deck.md`. `python -m minidiff explain ID` shows the code
and a run with numbers.
"""

BETWEEN = """## After the deck

What a course teaches next, in the same forms. [After the deck](after_the_deck.md) has the figures.
"""

ERRATA_HEAD = """# Errata

What the slides say, what is right, and the difference in numbers where there is one. The numbers
are computed when this page is written: `python -m minidiff errata --markdown docs/errata.md`.
The printed forms are functions, too, in [`as_printed.py`](../minidiff/classroom/as_printed.py),
and tests run them beside the right ones.

The letters say how much it matters:

- **A**: as printed, it breaks a program or its numbers. Who copies it gets no images, or others.
- **B**: a claim is wrong or misleading. A program may still run.
- **C**: notation, an index, or a typing error.
- **gap**: the slide says nothing, and something is needed there.
- **caution**: right as it stands, but easily misread.

![The deck's printed forms (red) and the right ones (green)](as_printed.png)
"""


def deck_markdown() -> str:
    """The deck on one page.

    Each formula is written out wherever a slide has it, its code where it comes first.
    """
    shown: set[str] = set()
    deck = [_slide(slide, shown) for slide in SLIDES]
    return "\n".join([DECK_HEAD, *deck, BETWEEN, *(_slide(chapter, shown) for chapter in AFTER)])


def errata_markdown() -> str:
    """The page of the errata, those that break something included in the order of their numbers."""
    return "\n".join([ERRATA_HEAD, *map(_erratum, ERRATA)])


def errata_text() -> str:
    """The errata for a terminal: three lines each."""
    lines = []
    for number, (letter, right) in ERRATA.items():
        slides = ", ".join(map(str, PRINTED[number].slides))
        lines += [f"{number} ({letter}), slide {slides}"]
        lines += [f"    says   {PRINTED[number].says}", f"    right  {right}"]
        numbers = difference(number)
        lines += [f"           {numbers}"] if numbers else []
    return "\n".join(lines)


def _erratum(number: int) -> str:
    letter, right = ERRATA[number]
    slides = ", ".join(f"{slide} ({SLIDES[slide - 1].title})" for slide in PRINTED[number].slides)
    numbers = difference(number)
    lines = [
        f"## Erratum {number}\n",
        f"**{letter}**, slide {slides}\n",
        f"- The slide says: {_plain(PRINTED[number].says)}",
        f"- Right is: {_plain(right)}",
    ]
    lines += [f"- In numbers: {_plain(numbers)}"] if numbers else []
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    """Text whose _, * and < are no Markdown; what stands between backticks stays."""
    parts = text.split("`")
    for i in range(0, len(parts), 2):
        for character in "\\_*<|[":
            parts[i] = parts[i].replace(character, "\\" + character)
    return "`".join(parts)


def _slide(slide: Slide, shown: set[str]) -> str:
    equations = all_equations()
    lines = [f"## {slide.number}. {slide.title}", ""]
    for formula in slide.formulas:
        lines += [f"**{formula.name}**: {', '.join(f'`{id}`' for id in formula.equations)}", ""]
        for id in formula.equations:
            lines += ["$$", LATEX[id], "$$", ""]
            lines += _details(equations[id]) if id not in shown else []
            shown.add(id)
    lines += [f"- code: [`{name}`]({_source(resolve(name))})" for name in slide.code]
    return "\n".join([*lines, ""])


def _details(equation: Equation) -> list[str]:
    """Where its code and its checks are, and what the slide has wrong."""
    lines = [
        f"- `{equation.id}`: [`{equation.function.__name__}`]({_source(equation.function)}), "
        f"{equation.paper}"
    ]
    files = sorted({test.partition("::")[0] for test in tests_by_equation().get(equation.id, [])})
    if files:
        links = ", ".join(f"[`{Path(file).name}`](../{file})" for file in files)
        lines.append(f"- checked in {links}")
    for number in equation.errata:
        letter, right = ERRATA[number]
        link = f"[erratum {number}](errata.md#erratum-{number})"
        lines.append(f"- {link} ({letter}): {_plain(right)}")
    return [*lines, ""]


def _source(thing: object) -> str:
    """The file of a function or class, as a link from docs/."""
    return "../" + thing.__module__.replace(".", "/") + ".py"
