"""The deck as a Markdown page: slide by slide the formulas, their code and what to correct. From the same data as the terminal."""

from __future__ import annotations

from pathlib import Path

from minidiff.classroom.coverage import resolve, tests_by_equation
from minidiff.classroom.index import all_equations
from minidiff.classroom.tables.after_the_deck import AFTER
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.slides import SLIDES, Slide
from minidiff.diffusion.equation import Equation

HEAD = """# The deck, slide by slide

Each formula of the deck is a function, and each function has an exact check. This page is written by
`python -m minidiff deck --markdown docs/deck.md`; `python -m minidiff explain ID` shows the code and a run with numbers.
"""

BETWEEN = """# After the deck

What a course teaches next, in the same forms. [After the deck](after_the_deck.md) has the figures.
"""


def deck_markdown() -> str:
    """The whole page. An equation is written out where it comes first, and named where it comes again."""
    shown: set[str] = set()
    deck = [_slide(slide, shown) for slide in SLIDES]
    return "\n".join([HEAD, *deck, BETWEEN, *(_slide(chapter, shown) for chapter in AFTER)])


def _slide(slide: Slide, shown: set[str]) -> str:
    equations = all_equations()
    lines = [f"## {slide.number}. {slide.title}", ""]
    for formula in slide.formulas:
        lines += [f"**{formula.name}**: {', '.join(f'`{id}`' for id in formula.equations)}", ""]
        for id in formula.equations:
            if id not in shown:
                shown.add(id)
                lines += _equation(equations[id])
    lines += [f"- code: [`{name}`]({_source(resolve(name))})" for name in slide.code]
    return "\n".join([*lines, ""])


def _equation(equation: Equation) -> list[str]:
    lines = ["$$", LATEX[equation.id], "$$", ""]
    lines.append(
        f"- `{equation.id}`: [`{equation.function.__name__}`]({_source(equation.function)}), {equation.paper}"
    )
    files = sorted({test.partition("::")[0] for test in tests_by_equation().get(equation.id, [])})
    lines += (
        [f"- checked in {', '.join(f'[`{Path(file).name}`](../{file})' for file in files)}"]
        if files
        else []
    )
    lines += [
        f"- erratum {number} ({ERRATA[number][0]}): {ERRATA[number][1]}"
        for number in equation.errata
    ]
    return [*lines, ""]


def _source(thing: object) -> str:
    """The file of a function or class, as a link from docs/."""
    return "../" + thing.__module__.replace(".", "/") + ".py"
