"""A page for each slide of the deck, written before Sphinx reads the sources: formula, code, and the value of each line.

Everything comes from the registry and the tables of `minidiff/classroom`; `docs/deck/` is never edited by hand.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

from colour_code import html_lines
from formula_svg import svg
from run_table import code_cell, code_table, place_link, source_url
from slide_pictures import picture_of

from minidiff.classroom.code_lines import code_lines, lines_of
from minidiff.classroom.coverage import in_words, repository, resolve, tests_by_equation
from minidiff.classroom.difference import difference
from minidiff.classroom.index import all_equations, get_equation
from minidiff.classroom.tables.after_the_deck import AFTER
from minidiff.classroom.tables.after_the_deck import SENTENCES as AFTER_SENTENCES
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.lecture import PARTS, SENTENCES
from minidiff.classroom.tables.mutants import MUTANTS
from minidiff.classroom.tables.printed import PRINTED
from minidiff.classroom.tables.slide import Slide
from minidiff.classroom.tables.slides import SLIDES
from minidiff.classroom.tables.toy_runs import TOY_RUNS
from minidiff.engine.printing import location_of, source_of
from minidiff.engine.registry import use_kernels

OTHER_SYMBOLS = ("vq.", "vae.", "unet.", "ldm.", "gaussian.discretised", "gaussian.bits", "flow.oracle_velocity")
"""Equations that mean something else by beta or x: their symbols keep the colour of the text."""
LONGEST = 30  # lines of a program that has no run


class Panel(NamedTuple):
    """One formula of a slide with one of its equations, or one program.   first: it begins its formula"""

    anchor: str
    formula: str
    equation: str
    html: str
    first: bool


def slug(name: str) -> str:
    """An anchor: "Bayes' theorem" is bayes-theorem."""
    return re.sub(r"[^\w.]+", "-", name.lower().replace("'", "")).strip("-")


class Neighbour(NamedTuple):
    """A link to the page before or after: its address, and what it is called."""

    href: str
    name: str


@cache
def panels_of_slide(slide: Slide) -> list[Panel]:
    """What can be looked at on the slide, in its order."""
    found = []
    for formula in slide.formulas:
        for place, id in enumerate(formula.equations):
            name = slug(formula.name) if place == 0 else f"{slug(formula.name)}.{id.rpartition('.')[2]}"
            found.append(Panel(name, formula.name, id, equation_html(id), place == 0))
    for dotted in slide.code:
        name = dotted.removeprefix("minidiff.")
        found.append(Panel(slug(name), name.rpartition(".")[2], name, program_html(dotted), True))
    return found


@cache
def equation_html(id: str) -> str:
    """Formula above; below it the code and its values; then what checks it and what people get wrong."""
    equation, colour = get_equation(id), not id.startswith(OTHER_SYMBOLS)
    head = (
        f'<header><code class="id">{id}</code><span>{place_link(equation.location)}</span>'
        f"<span>{escape(equation.paper)}</span></header>"
    )
    formula = f'<div class="big">{svg(LATEX[id], colour=colour)}</div>'
    with use_kernels("reference"):
        table = code_table(code_lines(equation), colour)
    return f"{formula}{head}{table}{checks_html(id)}"


@cache
def program_html(dotted: str) -> str:
    """A program of the slide, with the value of each line where it has a small run."""
    thing = resolve(dotted)
    head = f'<header><code class="id">{dotted}</code><span>{place_link(location_of(thing))}</span></header>'
    if dotted in TOY_RUNS:
        function, inputs = TOY_RUNS[dotted]()
        with use_kernels("reference"):
            return head + code_table(lines_of(function, inputs), False)
    lines = html_lines(source_of(thing), symbols=False)
    more = '<p class="more">... and more in the file</p>' if len(lines) > LONGEST else ""
    rows = "".join(f'<tr>{code_cell(line)}</tr>' for line in lines[:LONGEST])
    return f'{head}<table class="run lines-4">{rows}</table>{more}'


def checks_html(id: str) -> str:
    """The tests that check the equation, and the planted bugs that they find."""
    tests = tests_by_equation().get(id, [])
    links = " ".join(
        f'<a href="{source_url(f"{file}:{line}")}" title="{file}:{line}">{escape(in_words(name))}</a>'
        for file, name, line in map(test_place, tests)
    )
    bugs = "".join(
        f"<li>{escape(m.what)}: <code>{escape(m.old)}</code> &rarr; <code>{escape(m.new) or '(nothing)'}</code></li>"
        for m in MUTANTS
        if m.id == id
    )
    folded = f"<details><summary>Bugs that these checks find</summary><ul>{bugs}</ul></details>" if bugs else ""
    return f'<div class="checks"><b>checked:</b> {links}</div>{folded}'


@cache
def test_place(test: str) -> tuple[str, str, int]:
    """(file, name, line) of "tests/.../test_x.py::test_name"."""
    file, _, name = test.partition("::")
    tree = ast.parse((repository() / file).read_text(encoding="utf-8"))
    lines = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name]
    return file, name, lines[0]


def errata_html(number: int) -> str:
    """The corrections of a slide, folded: what it says, what is right, the difference in numbers."""
    found = []
    for erratum, printed in PRINTED.items():
        if number in printed.slides:
            letter, right = ERRATA[erratum]
            numbers = difference(erratum)
            row = f"<dt>in numbers</dt><dd>{escape(numbers)}</dd>" if numbers else ""
            found.append(
                f'<details class="erratum letter-{letter[0].lower()}" id="erratum-{erratum}"><summary><a href="../errata.html#erratum-{erratum}">Erratum {erratum}</a>'
                f' <b title="see the errata page for the letters">{letter}</b> {escape(printed.says)}</summary>'
                f"<dl><dt>the slide says</dt><dd>{escape(printed.says)}</dd><dt>right is</dt><dd>{escape(right)}</dd>{row}</dl></details>"
            )
    return f'<div class="errata">{"".join(found)}</div>' if found else ""


def slide_bar(number: int) -> str:
    """The bar of a slide: its part of the lecture, and the slides before and after. Behind the last is the first chapter."""
    part = next((p for p in PARTS if number in p.slides), None)
    plan = f'<a href="../guide/{part.plan}.html">{escape(part.title)}</a>' if part else ""
    before = Neighbour(f"{number - 1:02}.html", str(number - 1)) if number > 1 else None
    after = Neighbour(f"{number + 1:02}.html", str(number + 1)) if number < len(SLIDES) else Neighbour("../after/a1.html", "A1")
    return bar_html(before, after, plan)


def bar_html(before: Neighbour | None, after: Neighbour | None, middle: str) -> str:
    """The pages before and after, the front page, the list of slides, and what stands between."""
    back = f'<a class="previous" rel="prev" href="{before.href}">&larr; {before.name}</a>' if before else "<span></span>"
    on = f'<a class="next" rel="next" href="{after.href}">{after.name} &rarr;</a>' if after else "<span></span>"
    return (
        f'<div class="slide-bar">{back}<a href="../index.html">minidiff</a><a href="../deck/index.html">all slides</a>{middle}'
        f'<span class="keys"><kbd>&larr;</kbd><kbd>&rarr;</kbd> slide <kbd>PgUp</kbd><kbd>PgDn</kbd> formula</span>{on}</div>'
    )


def page(slide: Slide) -> str:
    """The page as MyST: heading and sentence are text, so that the search finds them."""
    body = body_html(panels_of_slide(slide))
    return "\n".join([
        f"```{{raw}} html\n{slide_bar(slide.number)}\n```\n",
        f"# {slide.number}. {slide.title}\n",
        "```{rst-class} sentence\n```\n",
        SENTENCES[slide.number] + "\n",
        f"````{{raw}} html\n{body}\n{errata_html(slide.number)}\n````\n",
        picture_of(slide.number),
    ])  # fmt: skip


def body_html(panels: list[Panel]) -> str:
    """The list of formulas and programs, and a section for each."""
    seen, steps, sections = set(), [], []
    for panel in panels:
        label = panel.formula if panel.first else panel.equation
        css = "step" if panel.first else "step more"
        steps.append(f'<a class="{css}" href="#{panel.anchor}">{escape(label)}</a>')
        alias = "" if panel.equation in seen else f'<a id="{panel.equation}"></a>'
        seen.add(panel.equation)
        sections.append(
            f'<section class="panel" id="{panel.anchor}" data-equation="{panel.equation}">{alias}<h2>{escape(panel.formula)}</h2>{panel.html}</section>'
        )
    return f'<div class="slide"><nav class="steps">{"".join(steps)}</nav><div class="panels">{"".join(sections)}</div></div>'


def overview() -> str:
    """The table of contents of the deck, part by part."""
    lines = [
        "# The deck, slide by slide\n",
        "Each page has the formulas of one slide, the code that runs, and the value of each line on small numbers.",
        "The arrow keys go to the slide before and after. Page up and page down, or a presenter's remote control, go through",
        "the formulas of a slide. Every formula has its own address, such as `deck/13.html#telescoped`.\n",
    ]
    for part in PARTS:
        if part.slides:
            items = "".join(map(overview_line, part.slides))
            lines += [f"## {part.title}\n", f"```{{raw}} html\n<ul class=\"slides\">{items}</ul>\n```\n"]
    chapters = "".join(
        f'<li><a class="title" href="../after/{chapter.number.lower()}.html">{chapter.number}. {escape(chapter.title)}</a><p>{escape(AFTER_SENTENCES[chapter.number])}</p></li>'
        for chapter in AFTER
    )
    lines += ["## After the deck\n", f"```{{raw}} html\n<ul class=\"slides\">{chapters}</ul>\n```\n"]
    entries = "\n".join(f"{slide.number:02}" for slide in SLIDES)
    lines.append(f"```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{entries}\n```\n")
    return "\n".join(lines)


def overview_line(number: int) -> str:
    """A slide with its sentence and a link to each of its formulas."""
    slide = SLIDES[number - 1]
    names = " ".join(
        f'<a href="{number:02}.html#{slug(formula.name)}">{escape(formula.name)}</a>' for formula in slide.formulas
    )
    return (
        f'<li><a class="title" href="{number:02}.html">{number}. {escape(slide.title)}</a>'
        f"<p>{escape(SENTENCES[number])}</p><p class=\"names\">{names}</p></li>"
    )


def write(path: Path, text: str) -> None:
    """Only if it is different, so that a second build is quick."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def write_pages(app) -> None:
    all_equations()
    for slide in SLIDES:
        write(Path(app.srcdir) / "deck" / f"{slide.number:02}.md", page(slide))
    write(Path(app.srcdir) / "deck" / "index.md", overview())


def setup(app):
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
