"""The site: it builds without a warning, needs nothing from elsewhere, no link is dead, and each slide and equation is all there."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from minidiff.classroom.index import all_equations
from minidiff.classroom.plans import PLANS
from minidiff.classroom.tables.after_the_deck import AFTER, SENTENCES
from minidiff.classroom.tables.errata import ERRATA
from minidiff.classroom.tables.printed import PRINTED
from minidiff.classroom.tables.slides import SLIDES

ROOT = Path(__file__).parents[2]
LOADS = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("object", "data"), ("use", "href")}
NOT_LOADED = {"canonical", "alternate", "prev", "next", "index", "search", "author"}  # rel of a <link> that is only named


class Page(HTMLParser):
    """What a page loads, where it links to, and the anchors that it has."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.ids, self.inline = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        for name, value in attributes:
            if (tag, name) in LOADS and found.get("rel") not in NOT_LOADED:
                self.loads.append(value)
            if name == "style" and value:
                self.inline.append(value)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])


@pytest.fixture(scope="module")
def pages(site):
    """{path from the front page: Page}"""
    names = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    return {name: Page((site / name).read_text(encoding="utf-8")) for name in names if not name.startswith("lite/")}  # JupyterLite's own


def is_elsewhere(address):
    return re.match(r"(https?:)?//", address) is not None


def test_nothing_is_loaded_from_elsewhere(pages, site):
    assert {(name, load) for name, page in pages.items() for load in page.loads if is_elsewhere(load)} == set()
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", text), path.name
    for path in [*(site / "_static").glob("*.js"), *(site / "_static" / "scripts").glob("*.js")]:
        assert not re.search(r"""(fetch|import|src\s*=)\s*\(?\s*["'](https?:)?//""", path.read_text(encoding="utf-8")), path.name
    assert not any("mathjax" in load.lower() for page in pages.values() for load in page.loads), "formulas are drawn already"


def test_no_link_within_the_site_is_dead(pages, site):
    dead = []
    for name, page in pages.items():
        for link in {*page.links, *page.loads}:
            if re.match(r"[a-z]+:|//", link) or not link:
                continue
            path, _, anchor = link.split("?")[0].partition("#")
            place = (site / name).parent / unquote(path) if path else site / name
            target = place.resolve()
            if not target.is_file():
                dead.append(f"{name}: {link}")
            elif anchor and target.suffix == ".html":
                other = pages[target.relative_to(site.resolve()).as_posix()]
                tab = target.parent / "tabs" / f"{anchor}.js"  # of the page to play with
                if unquote(anchor) not in other.ids and not tab.is_file():
                    dead.append(f"{name}: {link} (no such anchor)")
    assert dead == [], "\n".join(dead)


def test_the_scan_of_links_would_see_a_dead_one():
    page = Page('<a href="x.html#y">.</a><img src="//elsewhere/z.png"><link rel="canonical" href="https://a"><p id="y">')
    assert page.links == ["x.html#y"] and page.loads == ["//elsewhere/z.png"] and page.ids == {"y"}
    assert is_elsewhere("//elsewhere/z.png") and is_elsewhere("https://a") and not is_elsewhere("../a.css")


def panel_of(text, id):
    """The part of a slide's page that belongs to an equation, from its first mention on."""
    found = re.search(rf'<section class="panel" id="[^"]+" data-equation="{re.escape(id)}">.*?</section>', text, re.DOTALL)
    assert found, f"no panel of {id}"
    return found[0]


@pytest.mark.parametrize("slide", SLIDES, ids=lambda slide: str(slide.number))
def test_a_slide_has_each_formula_with_its_code_numbers_and_checks(site, slide):
    text = (site / "deck" / f"{slide.number:02}.html").read_text(encoding="utf-8")
    assert f"<h1>{slide.number}. " in text
    assert 'class="sentence"' in text or "sentence" in text
    for formula in slide.formulas:
        for id in formula.equations:
            panel = panel_of(text, id)
            assert '<svg class="formula"' in panel, "the formula"
            assert re.search(r'<td class="number"><a href="\.\./source/minidiff/[^"]+\.py\.html#L\d+">\d+</a>', panel), "the code"
            assert re.search(r'<span class="v [^"]*">[^<]*\d', panel), "numbers"
            assert re.search(r'<a href="\.\./source/tests/[^"]+#L\d+"', panel), "the check"
            assert f'id="{id}"' in text, "its own anchor"
    for name in slide.code:
        assert f'data-equation="{name.removeprefix("minidiff.")}"' in text
    assert slide.formulas or slide.code, "something that runs"


@pytest.mark.parametrize("chapter", AFTER, ids=lambda chapter: chapter.number)
def test_a_chapter_after_the_deck_has_what_a_slide_has_and_an_exact_answer(site, chapter):
    text = (site / "after" / f"{chapter.number.lower()}.html").read_text(encoding="utf-8")
    assert f"<h1>{chapter.number}. " in text and SENTENCES[chapter.number][:20] in text
    for formula in chapter.formulas:
        for id in formula.equations:
            panel = panel_of(text, id)
            assert '<svg class="formula"' in panel, "the formula"
            assert re.search(r'<td class="number"><a href="\.\./source/minidiff/[^"]+\.py\.html#L\d+">\d+</a>', panel), "the code"
            assert re.search(r'<span class="v [^"]*">[^<]*\d', panel), "numbers"
            assert re.search(r'<a href="\.\./source/tests/[^"]+#L\d+"', panel), "the check"
            assert f'id="{id}"' in text, "its own anchor"
    assert "Bugs that these checks find" in text, "a mutant"
    assert all(f'data-equation="{name.removeprefix("minidiff.")}"' in text for name in chapter.code)
    assert text.count("<tr><td>", text.index('<table class="answers">')) >= 2, "an exact answer"


@pytest.mark.parametrize("chapter", AFTER, ids=lambda chapter: chapter.number)
def test_what_stands_beside_an_exact_answer_is_near_it(chapter, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    from exact_answers import ANSWERS

    answers = ANSWERS[chapter.number]()
    assert len(answers) >= 2
    for answer in answers:
        assert abs(answer.found - answer.exact) <= answer.near, answer


def test_the_chapters_follow_the_last_slide_and_lead_on_and_back(pages):
    names = [f"deck/{len(SLIDES):02}.html", *(f"after/{chapter.number.lower()}.html" for chapter in AFTER)]
    for before, after in zip(names, names[1:], strict=False):
        assert any(link in pages[before].links for link in (f"../{after}", after.partition("/")[2]))
        assert any(link in pages[after].links for link in (f"../{before}", before.partition("/")[2]))
    assert set(names[1:]) <= {link.partition("#")[0] for link in pages["after_the_deck.html"].links}
    assert {f"../{name}" for name in names[1:]} <= set(pages["deck/index.html"].links)


def test_each_equation_is_on_a_slide_page(site):
    """Those of the chapters after the deck stand on the page of their chapter, and with the whole deck."""
    every = "".join(path.read_text(encoding="utf-8") for path in sorted((site / "deck").glob("[0-9]*.html")))
    after = {id for chapter in AFTER for formula in chapter.formulas for id in formula.equations}
    on_slides = {id for slide in SLIDES for formula in slide.formulas for id in formula.equations}
    assert on_slides | after == set(all_equations())
    assert all(f'data-equation="{id}"' in every for id in on_slides)
    page = (site / "deck.html").read_text(encoding="utf-8")
    assert all(f">{id}</span>" in page for id in after)


def test_slides_lead_to_the_ones_before_and_after(pages):
    for slide in SLIDES:
        links = pages[f"deck/{slide.number:02}.html"].links
        assert slide.number == 1 or f"{slide.number - 1:02}.html" in links
        assert slide.number == len(SLIDES) or f"{slide.number + 1:02}.html" in links


def test_every_slide_is_one_click_from_the_front_page_and_every_formula_one_from_the_list(pages):
    assert all(f"deck/{slide.number:02}.html" in pages["index.html"].links for slide in SLIDES)
    links = pages["deck/index.html"].links
    assert all(f"{slide.number:02}.html" in links for slide in SLIDES)
    assert "13.html#telescoped" in links


def test_each_erratum_stands_on_its_slides_and_has_its_anchor(site, pages):
    assert all(f"erratum-{number}" in pages["errata.html"].ids for number in ERRATA)
    for number, printed in PRINTED.items():
        for slide in printed.slides:
            text = (site / "deck" / f"{slide:02}.html").read_text(encoding="utf-8")
            folded = re.search(rf'<details class="erratum[^>]*id="erratum-{number}">.*?</details>', text, re.DOTALL)
            assert folded and "the slide says" in folded[0] and "right is" in folded[0]


def test_a_symbol_has_one_colour_in_formula_code_and_values(site):
    panel = panel_of((site / "deck" / "05.html").read_text(encoding="utf-8"), "forward.q_sample")
    formula, code = panel.split("<table", 1)
    for symbol in ("x_0", "x_t", "alpha_bar", "eps"):
        assert f'class="s-{symbol}"' in formula and f'<span class="s-{symbol}">' in code
        assert f'<span class="v s-{symbol}">' in code
    css = (site / "_static" / "symbols.css").read_text(encoding="utf-8")
    assert css.count("--s-alpha_bar: ") == 3, "light, dark, and dark by the system's choice"


def test_each_plan_has_a_page_and_what_it_shows_exists(pages, site):
    for plan in PLANS.values():
        links = pages[f"guide/{plan.name}.html"].links
        for stage in plan.stages:
            assert all(f"../{page}" in links for page in stage.show)
            for page in stage.show:
                path, _, anchor = page.partition("#")
                assert path in pages and (not anchor or anchor in pages[path].ids), page


def test_the_front_page_has_three_doors_an_animation_and_the_wrong_forms(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert [f"<h2>I {what}" in text for what in ("teach", "learn", "write kernels")] == [True] * 3
    assert "digits_appearing.gif" in text and "as_printed.png" in text
    picture = (site / "_static" / "drawn" / "digits_appearing.gif").read_bytes()
    assert picture.startswith(b"GIF89a") and len(picture) > 20_000


def test_the_page_on_attention_links_each_formula_to_its_line(pages):
    links = [link for link in pages["attention_kernel.html"].links if link.startswith("source/csrc/attention/fast_")]
    assert len(links) == 16 and all("#L" in link for link in links)


def test_the_reference_has_the_functions_of_the_deck(pages):
    assert "minidiff.diffusion.forward.q_sample" in pages["api/minidiff.diffusion.html"].ids
    assert "minidiff.functional.conv2d.conv2d" in pages["api/minidiff.functional.html"].ids
