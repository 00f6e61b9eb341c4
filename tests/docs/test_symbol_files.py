"""One table of symbols: the files that browsers read are written from it, and every colour can be read on the grounds that it stands on."""

import re
from pathlib import Path

import pytest

from minidiff.classroom.tables.symbols import SYMBOLS

DOCS = Path(__file__).parents[2] / "docs"
LIGHT_GROUNDS = ("#ffffff", "#f7f7f5", "#fbfaf7", "#f2f0ea")  # the site, its code; the page, its code
DARK_GROUNDS = ("#131416", "#1d2125", "#14161b", "#0f1115", "#1c1f26")


@pytest.fixture
def files(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    from symbol_files import FILES

    return FILES


def test_the_files_are_those_of_the_table(files):
    for name, text in files.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text(), f"{name}: python docs/_ext/symbol_files.py"


def test_no_other_file_has_a_colour_of_its_own_for_a_symbol():
    style, script = ((DOCS / "play" / name).read_text(encoding="utf-8") for name in ("style.css", "symbols.js"))
    assert "sym-" not in style + script and "--s-x_0: " not in style
    pictures = dict(re.findall(r"--(data|noisy|noise|field): (.*?);", style))
    assert set(pictures) == {"data", "noisy", "noise", "field"}
    assert all(re.fullmatch(rf"var\(--s-({'|'.join(s.name for s in SYMBOLS)})\)", value) for value in pictures.values())


def luminance(colour):
    """Of WCAG 2, 0 for black to 1 for white."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21) and contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("symbol", SYMBOLS, ids=lambda symbol: symbol.name)
def test_a_symbol_can_be_read_on_each_ground(symbol):
    """4.5 is what WCAG 2 asks of text of normal size."""
    assert min(contrast(symbol.light, ground) for ground in LIGHT_GROUNDS) >= 4.5
    assert min(contrast(symbol.dark, ground) for ground in DARK_GROUNDS) >= 4.5


def test_the_grounds_are_those_of_the_style_sheets():
    text = (DOCS / "play" / "style.css").read_text(encoding="utf-8") + (DOCS / "_static" / "site.css").read_text(encoding="utf-8")
    for ground in (*LIGHT_GROUNDS[1:], *DARK_GROUNDS[1:]):  # the first are furo's own
        assert ground in text
