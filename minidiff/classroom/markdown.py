"""The deck as a Markdown page: slide by slide its formulas, their code and what to correct.

It is made of the same data as `python -m minidiff deck` in the terminal.
"""

from __future__ import annotations

from pathlib import Path

from minidiff.classroom.coverage import resolve, tests_by_equation
from minidiff.classroom.index import all_equations
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.slide import Slide
from minidiff.classroom.tables.slides import SLIDES
from minidiff.diffusion.equation import Equation

HEAD = """# The deck, slide by slide

Each formula of the deck is a function, and each function has an exact check. This page is written
by `python -m minidiff deck --markdown docs/deck.md`. `python -m minidiff explain ID` shows the code
and a run with numbers.
"""


def deck_markdown() -> str:
    """The whole page.

    An equation is written out where it comes first, and named where it comes again.
    """
    shown: set[str] = set()
    return "\n".join([HEAD, *(_slide(slide, shown) for slide in SLIDES)])


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
    link = f"[`{equation.function.__name__}`]({_source(equation.function)})"
    lines.append(f"- `{equation.id}`: {link}, {equation.paper}")
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
