"""The slides in Chromium, as a teacher uses them: on a projector, with arrow keys and a remote control."""

import importlib.util
import shutil

import pytest

from minidiff.classroom.tables.slides import SLIDES

ALL_PANELS = """() => [...document.querySelectorAll('.panel')].map((panel, i, all) => {
  all.forEach((other) => other.classList.toggle('current', other === panel));
  const box = panel.querySelector('table.run').getBoundingClientRect();
  const formula = panel.querySelector('.big');
  const wide = formula ? formula.scrollWidth - formula.clientWidth : 0;
  return [panel.id, box.bottom + window.scrollY, box.right, wide];
})"""


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("the slides are looked at with Chromium and Playwright: apt-get install chromium, pip install playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_first_screen_has_formula_code_and_values_of_every_equation(browser, site, size):
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    beyond = []
    for slide in SLIDES:
        page.goto(f"file://{site}/deck/{slide.number:02}.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], slide.number
        for panel, bottom, right, wide in page.evaluate(ALL_PANELS):
            if bottom > size[1] or right > size[0] or wide > 0:
                beyond.append((slide.number, panel, bottom, right, wide))
    page.close()
    assert beyond == []
    assert said == [] and {url.partition(":")[0] for url in asked} == {"file"}, "no error, and nothing from elsewhere"


def test_arrows_go_from_slide_to_slide_and_page_keys_from_formula_to_formula(browser, site):
    page = browser.new_page(viewport={"width": 1280, "height": 720})

    def at():
        page.wait_for_selector(".panel.current")
        return page.evaluate("[location.pathname.slice(-7, -5), document.querySelector('.panel.current').id, window.scrollY]")

    page.goto(f"file://{site}/deck/13.html#telescoped")
    assert at() == ["13", "telescoped", 0], "the title is on the screen, too"
    page.keyboard.press("PageDown")
    assert at() == ["13", "cancelled", 0]
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    assert at() == ["13", "two-sums", 0]
    page.click(".steps a[href='#kl-terms']")
    assert at() == ["13", "kl-terms", 0] and page.url.endswith("#kl-terms")
    with page.expect_navigation():
        page.keyboard.press("ArrowRight")
    assert at()[0] == "14"
    with page.expect_navigation():
        page.keyboard.press("PageUp")
    slide, panel, _ = at()
    assert slide == "13" and panel == "kl-terms.kl", "back at the end of the slide before"
    with page.expect_navigation():
        page.keyboard.press("ArrowLeft")
    assert at()[0] == "12"
    page.goto(f"file://{site}/deck/13.html#vlb.telescoped")
    assert at()[1] == "telescoped", "an equation's id is an address, too"
    page.close()


@pytest.mark.parametrize("name", ["index.html", "deck/05.html", "deck/13.html", "guide/forward.html", "notebooks/forward.html", "errata.html"])
def test_a_page_fits_a_phone_and_a_projector(browser, site, name):
    for width in (390, 1920):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(f"file://{site}/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} at {width}"
        page.close()


def test_without_a_script_every_formula_is_on_the_page(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{site}/deck/13.html")
    shown = page.locator(".panel")
    assert all(shown.nth(i).is_visible() for i in range(shown.count())) and shown.count() > 9
    context.close()
