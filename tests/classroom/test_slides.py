"""The index against the deck itself, where the deck is at hand."""

import re
from pathlib import Path

import pytest

from minidiff.classroom.tables.slide import normalised
from minidiff.classroom.tables.slides import SLIDES

DECK = Path(__file__).resolve().parents[3] / "shared" / "deck" / "slides.txt"
FORMULA = re.compile(r"=|\\sim|\\mathcal|\\propto|\\frac|\\sqrt|\\int|\\in ")

needs_deck = pytest.mark.skipif(not DECK.exists(), reason="the deck's text (../shared/deck/slides.txt) is not here")


def slides_of_the_deck():
    parts = re.split(r"^# ", DECK.read_text(encoding="utf-8"), flags=re.M)[1:]
    return [part.partition("\n")[::2] for part in parts]


def formulas_on(body):
    """Displayed formulas line by line, inline ones that say something, and each algorithm box as one."""
    boxes = re.findall(r"```\s*\n1:.*?```", body, flags=re.S)
    body = re.sub(r"```.*?```", " ", body, flags=re.S)
    displayed = re.findall(r"\$\$(.*?)\$\$", body, flags=re.S)
    inline = re.findall(r"\$(.+?)\$", re.sub(r"\$\$.*?\$\$", " ", body, flags=re.S), flags=re.S)
    return boxes + [line for formula in displayed for line in formula.split(r"\\")] + [f for f in inline if FORMULA.search(f)]


@needs_deck
def test_every_slide_is_in_the_index_under_its_title():
    assert [(i, title.strip()) for i, (title, _) in enumerate(slides_of_the_deck(), 1)] == [(s.number, s.title) for s in SLIDES]


@needs_deck
def test_every_formula_on_the_deck_is_in_the_index():
    count = 0
    for (_, body), slide in zip(slides_of_the_deck(), SLIDES, strict=True):
        for formula in formulas_on(body):
            count += 1
            marks = [f.mark for f in slide.formulas if f.mark]
            assert any(mark in normalised(formula) for mark in marks), f"slide {slide.number}: {formula.strip()[:120]}"
    assert count > 80


@needs_deck
def test_every_mark_of_the_index_is_on_its_slide():
    for (_, body), slide in zip(slides_of_the_deck(), SLIDES, strict=True):
        missing = [f.name for f in slide.formulas if f.mark is not None and f.mark not in normalised(body)]
        assert not missing, f"slide {slide.number}"


def test_every_line_of_slide_13_has_a_function_of_its_own():
    first = [formula.equations[0] for formula in SLIDES[12].formulas]
    assert len(set(first)) == len(first) == 9
    from_slide_12 = [formula.equations[0] for formula in SLIDES[11].formulas[:3]]
    assert len(set(from_slide_12)) == 3 and not set(from_slide_12) & set(first)


def test_normalised_forgets_how_latex_was_typed():
    assert normalised(r"\sqrt{1 - \bar{\alpha}_t}\, \boldsymbol{\epsilon}_{t}") == normalised(r"\sqrt{1-\bar\alpha_t}\epsilon_t")
    assert normalised(r"\mathbf{X}_{t-1}") == "x_t-1"
    assert normalised(r"\text{Swish}(x)") == "Swish(x)"
