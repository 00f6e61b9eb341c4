"""`python -m minidiff explain ID` shows a formula, its place, its code and a run with numbers.

Instead of an id it takes a slide's title or number, and lists what is on the slide. Lines are
wrapped to the terminal. `--short` shows the code with its values beside it, on one screen.
"""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from typing import Any

from minidiff.classroom.code_lines import code_lines, run
from minidiff.classroom.coverage import slides_of, tests_by_equation
from minidiff.classroom.index import all_equations, get_equation
from minidiff.classroom.plain_text import plain_text
from minidiff.classroom.recording import Assignment
from minidiff.classroom.tables.after_the_deck import EVERYTHING
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.slide import Slide
from minidiff.classroom.tables.toy_arguments import TIME, T, small_inputs
from minidiff.diffusion.equation import Equation
from minidiff.engine.printing import location_of, show


def explain(what: str, short: bool = False) -> str:
    """The text for an equation's id, a slide's title or its number, in lines that fit the terminal.

    short: one screen for an equation.
    Raises: KeyError that names what comes near.
    """
    slides = find_slides(what)
    if slides:
        return wrap("\n\n".join(explain_slide(slide) for slide in slides))
    return explain_short(what) if short else wrap(explain_equation(get_equation(what)))


def find_slides(what: str) -> list[Slide]:
    """The slides with this title or number, or whose title contains it; none for an equation."""
    wanted = what.strip().lower()
    numbered = [slide for slide in EVERYTHING if str(slide.number).lower() == wanted]
    if numbered or wanted.isdigit():
        return numbered
    exact = [slide for slide in EVERYTHING if slide.title.lower() == wanted]
    names = all_equations()
    if exact or what in names or sum(id.endswith("." + what) for id in names) == 1:
        return exact
    return [slide for slide in EVERYTHING if wanted in slide.title.lower()]


def explain_slide(slide: Slide) -> str:
    """What runs the slide: a line for each equation with the place of its code."""
    kind = "Slide" if isinstance(slide.number, int) else "After the deck"
    lines = [f"{kind} {slide.number}: {slide.title}"]
    for formula in slide.formulas:
        lines.append(f"  {formula.name}")
        lines += [f"    {id:28} {get_equation(id).location}" for id in formula.equations]
    for name in slide.code:
        lines.append(f"  code: {name:45} {_location(name)}")
    if not slide.formulas and not slide.code:
        lines.append("  a picture; see the slides beside it")
    return "\n".join(lines)


def explain_equation(equation: Equation) -> str:
    """Formula, places, corrections, code, and a run."""
    lines = [
        f"{equation.id}: {equation.summary}".rstrip(": "),
        "",
        f"  {plain_text(LATEX[equation.id])}",
        f"  {LATEX[equation.id]}",
        "",
    ]
    lines += [f"  {_kind(slide)} {slide.number} {slide.title}" for slide in slides_of(equation.id)] or [
        "  slide   not on the deck"
    ]
    lines.append(f"  paper   {equation.paper}")
    lines.append(f"  code    {equation.location}")
    lines += [f"  check   {test}" for test in tests_by_equation().get(equation.id, [])]
    lines += [
        f"  erratum {number} ({ERRATA[number][0]}): {ERRATA[number][1]}"
        for number in equation.errata
    ]
    lines += [
        "",
        textwrap.indent(equation.source, "    "),
        "",
        run_with_small_numbers(equation),
    ]
    return "\n".join(lines)


def run_with_small_numbers(equation: Equation) -> str:
    """Every assignment of one call with its value, in the order in which they happen."""
    inputs = small_inputs(equation)
    result, assignments = run(equation, inputs)
    title = "a run"
    if "schedule" in inputs:
        title += f", linear schedule with T = {T}"
        title += f", t = {TIME}" if inputs.get("t") is TIME else ""
    terms = textwrap.indent(show_assignments(assignments), "  ")
    return f"  {title}:\n{terms}\n  -> {show(result)}"


def show_assignments(assignments: list[Assignment]) -> str:
    """A line for each; of a loop with many turns the first two and the last."""
    width = max((len(a.name) for a in assignments), default=0)
    turns = Counter((a.name, a.line) for a in assignments)
    done: Counter[tuple[str, int]] = Counter()
    lines = []
    for a in assignments:
        key = a.name, a.line
        done[key] += 1
        if done[key] in (1, 2, turns[key]):
            lines.append(f"  {a.name:{width}} = {_indented(a.value)}")
        elif lines[-1] != "  ...":
            lines.append("  ...")
    return "\n".join(lines)


def _indented(value: Any) -> str:
    """The value as `show` gives it; further lines, as Steps and coefficients have, are indented."""
    return show(value).replace("\n", "\n    ")


def wrap(text: str, width: int | None = None) -> str:
    """Break lines that are too wide at a space, and indent what follows.

    width: default the terminal's, at most 100
    """
    width = width or _columns()
    lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        while len(line) > width:
            at = line.rfind(" ", 0, width + 1)
            at = at if at > width // 2 else width  # a word as long as the line, a test's name say
            lines.append(line[:at].rstrip())
            line = indent + line[at:].lstrip()
        lines.append(line)
    return "\n".join(lines)


def explain_short(id: str, width: int | None = None, height: int = 24) -> str:
    """Formula, place, and each line of the code with the value that it computed, on one screen."""
    equation, width = get_equation(id), width or _columns()
    shown = code_lines(equation)
    column = min(max(len(line.text) for line in shown.lines), width * 3 // 5) + 2
    arguments = ", ".join(f"{name} = {text}" for name, text in shown.arguments)
    lines = [equation.id, f"  {plain_text(LATEX[equation.id])}"]
    lines += [f"  {equation.location}    {equation.paper}"]
    lines += [*wrap(f"  {arguments}", width).splitlines()[:4], ""]
    for line in shown.lines:
        value = "  ".join(_short_value(name, text) for name, text in line.values)
        lines.append(f"{_cut(line.text, column - 2):{column}}{value and '= ' + value}".rstrip())
    lines = [_cut(line, width) for line in lines]
    if len(lines) > height - 1:
        lines[height - 2 :] = [f"... and more: python -m minidiff explain {equation.id}"]
    return "\n".join(lines)


def _short_value(name: str, text: str) -> str:
    """A coefficient keeps its name, since the line names all of them at once."""
    return f"{name.rpartition('.')[2]} {text}" if "." in name else text


def _columns() -> int:
    return min(100, shutil.get_terminal_size((100, 24)).columns)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 3] + "..."


def _kind(slide: Slide) -> str:
    return "slide  " if isinstance(slide.number, int) else "after  "


def _location(dotted: str) -> str:
    from minidiff.classroom.coverage import resolve

    return location_of(resolve(dotted))
