from minidiff.classroom.coverage import repository
from minidiff.classroom.index import all_equations
from minidiff.classroom.markdown import deck_markdown
from minidiff.classroom.tables.latex import LATEX
from minidiff.classroom.tables.slides import SLIDES


def test_the_page_in_the_docs_is_what_the_registry_says():
    page = (repository() / "docs" / "deck.md").read_text(encoding="utf-8")
    assert page == deck_markdown(), "write it again: python -m minidiff deck --markdown docs/deck.md"


def test_every_slide_has_a_heading_and_every_equation_is_written_out_once():
    page = deck_markdown()
    assert all(f"## {slide.number}. {slide.title}\n" in page for slide in SLIDES)
    for id in all_equations():
        assert page.count(f"- `{id}`: [`") == 1
        assert f"$$\n{LATEX[id]}\n$$" in page


def test_every_link_leads_to_a_file():
    import re

    links = re.findall(r"\]\(\.\./([^)]+)\)", deck_markdown())
    assert len(links) > 100
    assert all((repository() / link).is_file() for link in links)
