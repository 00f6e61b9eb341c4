from minidiff.classroom.coverage import repository
from minidiff.classroom.difference import difference, has_difference
from minidiff.classroom.index import all_equations
from minidiff.classroom.markdown import deck_markdown, errata_markdown, errata_text
from minidiff.classroom.tables.after_the_deck import EVERYTHING
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.printed import PRINTED
from minidiff.classroom.tables.slides import SLIDES


def test_the_page_in_the_docs_is_what_the_registry_says():
    page = (repository() / "docs" / "deck.md").read_text(encoding="utf-8")
    assert page == deck_markdown(), "write it again: python -m minidiff deck --markdown docs/deck.md"


def test_every_formula_is_written_out_wherever_a_slide_has_it():
    sections = [part for part in deck_markdown().split("\n## ")[1:] if not part.startswith("After the deck\n")]
    for slide, section in zip(EVERYTHING, sections, strict=True):
        assert section.startswith(f"{slide.number}. {slide.title}\n")
        for formula in slide.formulas:
            assert all(f"$$\n{LATEX[id]}\n$$" in section for id in formula.equations), (slide.number, formula.name)
    page = deck_markdown()
    assert all(page.count(f"- `{id}`: [`") == 1 for id in all_equations()), "its code stands where it comes first"


def test_the_errata_page_in_the_docs_is_what_the_tables_say():
    page = (repository() / "docs" / "errata.md").read_text(encoding="utf-8")
    assert page == errata_markdown(), "write it again: python -m minidiff errata --markdown docs/errata.md"


def test_every_erratum_says_what_is_printed_what_is_right_and_which_letter():
    assert set(PRINTED) == set(ERRATA)
    page = errata_markdown()
    letters = {"A", "B", "C", "gap", "caution"}
    for number, (letter, _) in ERRATA.items():
        section = page.split(f"## Erratum {number}\n")[1].split("\n## ")[0]
        assert "- The slide says: " in section and "- Right is: " in section and f"**{letter}**, slide " in section
        assert set(letter.split("/")) <= letters and all(1 <= slide <= len(SLIDES) for slide in PRINTED[number].slides)
    for letter in letters:
        assert f"- **{letter}**: " in page, "each letter is explained"


def test_what_breaks_numbers_has_its_difference_in_numbers():
    """Class A, but for 23: an undefined t raises a NameError and has no number."""
    broken = {number for number, (letter, _) in ERRATA.items() if letter == "A"} - {23}
    assert broken <= set(has_difference())
    assert all(any(c.isdigit() for c in difference(number)) for number in has_difference())
    assert "printed 0.0100, right 1.0000" in difference(25) and difference(7) is None


def test_the_errata_in_the_terminal():
    text = errata_text()
    assert "24 (A), slide 20\n    says   Noise is added if i > 1.\n    right  " in text


def test_every_link_leads_to_a_file():
    import re

    links = re.findall(r"\]\(\.\./([^)]+)\)", deck_markdown() + errata_markdown())
    assert len(links) > 100
    assert all((repository() / link).is_file() for link in links)
