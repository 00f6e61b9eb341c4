"""`python -m minidiff explain ID` - a formula, where it stands, its code, and a run with small numbers.

Instead of an id it takes a slide's title or number and lists what is on it: from the slide to the code in one hop.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

import numpy as np

from minidiff.classroom.coverage import resolve, slides_of, tests_by_equation
from minidiff.classroom.index import all_equations, get_equation
from minidiff.classroom.inspection import location, source_of, summary, trace
from minidiff.classroom.plain_text import plain_text
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.slides import SLIDES, Slide
from minidiff.classroom.tables.toy_arguments import TIME, T, small_inputs
from minidiff.diffusion.coefficients import Coefficients
from minidiff.diffusion.equation import Equation
from minidiff.diffusion.step import Step, describe

PLACES = 12
"""Arrays of up to so many elements are shown in full."""


def explain(what: str) -> str:
    """The text for an equation's id, a slide's title, or a slide's number.   Raises KeyError that names what comes near."""
    slides = find_slides(what)
    if slides:
        return "\n\n".join(explain_slide(slide) for slide in slides)
    return explain_equation(get_equation(what))


def find_slides(what: str) -> list[Slide]:
    """The slides with this title or number, or whose title contains it; none if it is an equation's id."""
    wanted = what.strip().lower()
    if wanted.isdigit():
        return [slide for slide in SLIDES if slide.number == int(wanted)]
    exact = [slide for slide in SLIDES if slide.title.lower() == wanted]
    if exact or what in all_equations():
        return exact
    return [slide for slide in SLIDES if wanted in slide.title.lower()]


def explain_slide(slide: Slide) -> str:
    """What runs the slide: a line for each equation with the place of its code."""
    lines = [f"Slide {slide.number}: {slide.title}"]
    for formula in slide.formulas:
        lines.append(f"  {formula.name}")
        lines += [f"    {id:28} {location(get_equation(id).function)}" for id in formula.equations]
    for name in slide.code:
        lines.append(f"  code: {name:45} {location(inspect.unwrap(resolve(name)))}")
    if not slide.formulas and not slide.code:
        lines.append("  a picture; see the slides beside it")
    return "\n".join(lines)


def explain_equation(equation: Equation) -> str:
    """Formula, places, corrections, code, and a run."""
    lines = [
        f"{equation.id}: {summary(equation.function)}".rstrip(": "),
        "",
        f"  {plain_text(LATEX[equation.id])}",
        f"  {LATEX[equation.id]}",
        "",
    ]
    lines += [f"  slide   {slide.number} {slide.title}" for slide in slides_of(equation.id)] or [
        "  slide   not on the deck"
    ]
    lines.append(f"  paper   {equation.paper}")
    lines.append(f"  code    {location(equation.function)}")
    lines += [f"  check   {test}" for test in tests_by_equation().get(equation.id, [])]
    lines += [
        f"  erratum {number} ({ERRATA[number][0]}): {ERRATA[number][1]}"
        for number in equation.errata
    ]
    lines += [
        "",
        textwrap.indent(source_of(equation.function), "    "),
        "",
        run_with_small_numbers(equation),
    ]
    return "\n".join(lines)


def run_with_small_numbers(equation: Equation) -> str:
    """Every named term of one call, in the order in which the code computes them."""
    inputs = small_inputs(equation)
    if inspect.isgeneratorfunction(equation.function):
        step = next(iter(equation.function(**inputs)))
        return f"  first step, linear schedule with T = {T}:\n" + textwrap.indent(
            show_terms(dict(step)), "  "
        )
    result, terms = trace(equation.function, **inputs)
    if isinstance(result, tuple) and len(result) == 2 and callable(result[1]):
        result = result[0]  # an operation of the engine: its value and its derivative
    shown = {
        name: value
        for name, value in terms.items()
        if not callable(value) and not inspect.ismodule(value)
    }
    title = (
        f"  a run, linear schedule with T = {T}, t = {TIME}:"
        if "schedule" in inputs
        else "  a run:"
    )
    return f"{title}\n{textwrap.indent(show_terms(shown), '  ')}\n  -> {show(result)}"


def show_terms(terms: dict[str, Any]) -> str:
    """A line for each term."""
    width = max(map(len, terms), default=0)
    return "\n".join(f"  {name:{width}} = {show(value)}" for name, value in terms.items())


def show(value: Any) -> str:
    """A number in full, a small array with shape and values, a large one by its range."""
    if isinstance(value, Coefficients):
        return repr(value).replace("\n", "\n    ")
    if isinstance(value, Step):
        return "a Step:\n" + textwrap.indent(show_terms(dict(value)), "    ")
    if isinstance(value, tuple) and not all(isinstance(v, int) for v in value):
        return "(" + ", ".join(show(v) for v in value) + ")"
    if isinstance(value, list):
        return (
            f"{len(value)} arrays {tuple(value[0].shape)}"
            if value and hasattr(value[0], "shape")
            else repr(value)
        )
    if isinstance(value, float):
        return f"{value:.6g}"
    data = (
        value.data
        if not isinstance(value, np.ndarray)
        and isinstance(getattr(value, "data", None), np.ndarray)
        else value
    )
    if isinstance(data, np.ndarray) and data.size <= PLACES:
        return f"{np.array2string(data, precision=5, separator=', ').replace(chr(10), '')}  {data.shape}"
    return re.sub(r"<(?:\w+\.)*(\w+) object at 0x\w+>", r"a \1", describe(value))
