"""A page for each chapter after the deck, in the form of a slide's page, with numbers beside their exact answers.

`docs/after/` is written before Sphinx reads the sources and never edited by hand.
"""

from __future__ import annotations

from pathlib import Path

from exact_answers import answers_html
from slide_pages import Neighbour, bar_html, body_html, panels_of_slide, write

from minidiff.classroom.tables.after_the_deck import AFTER, SENTENCES
from minidiff.classroom.tables.slide import Slide
from minidiff.classroom.tables.slides import SLIDES

PICTURES = {
    "A1": ("after_flow", "Left: exact paths of the ODE, from the data to noise. Right: errors of four solvers over network calls."),
    "A2": ("after_flow", "Right: the distance from the exact map over network calls, for four solvers."),
    "A4": ("after_weights", "Left: weights of the squared error of x_0 over SNR; red are two forms for v that were shipped."),
    "A5": ("after_weights", "Right: the share of samples in the first of two modes, over T."),
    "A6": ("after_guidance", "Left: what guidance samples and what was meant. Right: the distance, for guidance in an interval of t."),
    "A7": ("after_holes", "Left: where the path through a point ends, at four times; dashed is the mean of the images that it may come from."),
    "A8": ("after_holes", "Right: the unknown number of points whose first is 0.3, by putting that back, and exactly."),
}


def file_of(chapter: Slide) -> str:
    """The name of its page without an ending."""
    return str(chapter.number).lower()


def neighbours(place: int) -> tuple[Neighbour, Neighbour | None]:
    """The page before and the page after; before the first chapter is the last slide."""
    before = Neighbour(f"../deck/{len(SLIDES):02}.html", str(len(SLIDES)))
    if place > 0:
        before = Neighbour(f"{file_of(AFTER[place - 1])}.html", str(AFTER[place - 1].number))
    if place + 1 == len(AFTER):
        return before, None
    return before, Neighbour(f"{file_of(AFTER[place + 1])}.html", str(AFTER[place + 1].number))


def page(place: int) -> str:
    """The page as MyST."""
    chapter = AFTER[place]
    section = f'<a href="../after_the_deck.html#{section_of(chapter)}">After the deck</a>'
    name, caption = PICTURES.get(chapter.number, (None, None))
    return "\n".join([
        f"```{{raw}} html\n{bar_html(*neighbours(place), section)}\n```\n",
        f"# {chapter.number}. {chapter.title}\n",
        "```{rst-class} sentence\n```\n",
        SENTENCES[chapter.number] + "\n",
        f"````{{raw}} html\n{body_html(panels_of_slide(chapter))}\n{answers_html(chapter.number)}\n````\n",
        f"```{{figure}} ../images/{name}.png\n{caption}\n```\n" if name else "",
    ])  # fmt: skip


def section_of(chapter: Slide) -> str:
    """The anchor of the chapter's section in after_the_deck.md, whose headings begin with the number."""
    text = (Path(__file__).parents[1] / "after_the_deck.md").read_text(encoding="utf-8")
    (title,) = (line[3:] for line in text.splitlines() if line.startswith(f"## {chapter.number}. "))
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def read_source(app, docname: str, source: list[str]) -> None:
    """The chapters hang below the page After the deck."""
    if docname == "after_the_deck":
        entries = "\n".join(f"after/{file_of(chapter)}" for chapter in AFTER)
        source[0] += f"\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n"


def write_pages(app) -> None:
    for place, chapter in enumerate(AFTER):
        write(Path(app.srcdir) / "after" / f"{file_of(chapter)}.md", page(place))


def setup(app):
    app.connect("builder-inited", write_pages)
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True}
