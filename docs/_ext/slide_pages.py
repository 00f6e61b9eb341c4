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

from colour_code import html_lines, symbol_class
from formula_svg import svg
from slide_pictures import picture_of

from minidiff.classroom.code_lines import CodeRun, code_lines, lines_of
from minidiff.classroom.coverage import repository, resolve, tests_by_equation
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
WIDTHS = (88, 102)  # columns of code and values that fit 1280 pixels in the large type, in the middle one
MANY_LINES = (14, 19, 23)  # rows, with those of wrapped values
WRAP = 40  # columns of values in a row, about
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
    rows = "".join(f'<tr><td class="code">{line}</td></tr>' for line in lines[:LONGEST])
    return f'{head}<table class="run lines-4">{rows}</table>{more}'


def code_table(run: CodeRun, colour: bool) -> str:
    """The call on top; then a row for each line: its number, the code, the values."""
    code = html_lines("\n".join(line.text for line in run.lines), colour)
    arguments = " ".join(value_html(name, text, colour) for name, text in run.arguments)
    head = html_lines(short_head(run.head), colour)[0]
    rows = [
        f'<tr class="head"><td></td><td class="code" colspan="2">{head}</td></tr>'
        f'<tr class="arguments"><td></td><td class="value" colspan="2">{arguments}</td></tr>'
    ]
    for line, text in zip(run.lines, code, strict=True):
        values = " ".join(value_html(name, value, colour) for name, value in line.values)
        turns = f' <span class="turns">turn {line.turns}</span>' if line.turns > 1 else ""
        number = f'<a href="{source_url(f"{run.file}:{line.number}")}">{line.number}</a>'
        rows.append(
            f'<tr><td class="number">{number}</td><td class="code">{text}</td><td class="value">{values}{turns}</td></tr>'
        )
    return f'<table class="run lines-{size_of(run)}">{"".join(rows)}</table>'


def size_of(run: CodeRun) -> int:
    """1 to 4: the large type where lines and values fit the first screen in it, or smaller ones."""
    code = max((len(line.text) for line in run.lines), default=0)
    value = max((len(f"{name} = {text}") for line in run.lines for name, text in line.values), default=0)
    columns = code + min(value, 34)
    beside = [sum(len(f"{name} = {text}") + 2 for name, text in line.values) for line in run.lines]
    rows = sum(max(1, -(-length // WRAP)) for length in beside)
    return 1 + max(sum(columns > wide for wide in WIDTHS), sum(rows > many for many in MANY_LINES))


def short_head(head: str) -> str:
    """A head of one line as it is; of a longer one the names of its arguments."""
    if "\n" not in head and "#" not in head:
        return head
    function = ast.parse(f"{head.partition('  #')[0]}\n    pass").body[0]
    names = [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]
    return f"def {function.name}({', '.join(names)}):"


def value_html(name: str, text: str, colour: bool) -> str:
    """A large array by its shape and its range."""
    css = symbol_class(name) if colour else ""
    label = f"{escape(name)} = " if name else "&rarr; "
    text = re.sub(r"\w+ (\([\d, ]+\)), min (\S+), mean \S+, max ([^\s,]+)", r"\1 from \2 to \3", text)
    return f'<span class="v {css}">{label}{escape(text)}</span>'


def checks_html(id: str) -> str:
    """The tests that check the equation, and the planted bugs that they find."""
    tests = tests_by_equation().get(id, [])
    links = " ".join(
        f'<a href="{source_url(f"{file}:{line}")}" title="{file}:{line}">{name.removeprefix("test_").replace("_", " ")}</a>'
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


def source_url(place: str) -> str:
    """From a page of the deck to file:line on the site."""
    file, _, line = place.rpartition(":")
    return f"../source/{file}.html#L{line}"


def place_link(place: str) -> str:
    return f'<a class="place" href="{source_url(place)}">{escape(place)}</a>'


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
