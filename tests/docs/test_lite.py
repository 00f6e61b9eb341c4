"""The notebooks in JupyterLite on the site: how they are written, and one that runs from its first cell to its last."""

import functools
import http.server
import importlib.util
import json
import os
import shutil
import sys
import threading
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from minidiff.diffusion import make_schedule

ROOT = Path(__file__).parents[2]
CELLS = "[...document.querySelectorAll('.jp-CodeCell')]"
MINUTES = 4 * 60_000  # Python starts slowly in a browser, and more so on a busy machine


@pytest.fixture(scope="module")
def lite(site):
    if not (site / "lite").is_dir():
        pytest.skip("the notebooks want JupyterLite: pip install -e '.[docs]'")
    return site / "lite"


def test_every_notebook_is_there_and_its_page_links_to_it(lite, site):
    listed = json.loads((lite / "api" / "contents" / "all.json").read_text(encoding="utf-8"))["content"]
    names = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert {item["path"] for item in listed} == {f"{name}.ipynb" for name in names}
    for name in names:
        notebook = json.loads((lite / "files" / f"{name}.ipynb").read_text(encoding="utf-8"))
        assert "".join(notebook["cells"][0]["source"]) == "%pip install -q minidiff"
        assert sum(cell["cell_type"] == "code" for cell in notebook["cells"]) >= 6
        page = (site / "notebooks" / f"{name}.html").read_text(encoding="utf-8")
        assert f'href="../lite/notebooks/index.html?path={name}.ipynb"' in page


def test_the_wheel_holds_the_package_and_wants_nothing_that_pyodide_lacks(lite):
    (wheel,) = (lite / "pypi").glob("minidiff-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
        record = archive.read(next(name for name in names if name.endswith("/RECORD"))).decode()
    assert "minidiff/__init__.py" in names and "minidiff/weights/mnist/checkpoint.npz" in names
    assert [line for line in metadata.splitlines() if line.startswith("Requires")] == [f"Requires-Dist: {n}" for n in ("numpy", "matplotlib", "pillow")]
    assert {line.partition(",")[0] for line in record.splitlines()} == set(names)


def test_the_packages_of_pyodide_are_followed_to_the_last_one(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    try:
        from pyodide_packages import wheels
    finally:
        sys.modules.pop("pyodide_packages", None)
    lock = {"packages": {name: {"file_name": f"{name}.whl", "sha256": name, "depends": list(needs)} for name, needs in {"a": ["B_c"], "b-c": ["a", "d"], "d": [], "e": []}.items()}}
    assert wheels(lock, ("a",)) == {"a.whl": "a", "b-c.whl": "b-c", "d.whl": "d"}


class Files(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(lite):
    if not os.environ.get("MINIDIFF_PYODIDE") or not (lite / "static" / "pyodide").is_dir():
        pytest.skip("MINIDIFF_PYODIDE names no folder with Pyodide and all that notebooks need: python .ci/pyodide.py FOLDER makes one")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(lite)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("notebooks run in Chromium by Playwright: apt-get install chromium, pip install playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_a_notebook_runs_in_the_browser_and_asks_for_nothing_elsewhere(browser, address):
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    elsewhere = []
    context.on("request", lambda request: elsewhere.append(request.url) if urlsplit(request.url).hostname not in ("localhost", None) else None)
    page = context.new_page()
    page.set_default_timeout(MINUTES)
    page.goto(f"{address}notebooks/index.html?path=forward.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    wait = f"() => {CELLS}.length > 6 && {CELLS}.every((cell) => /\\d/.test(cell.querySelector('.jp-InputPrompt').innerText) || cell.querySelector('[data-mime-type*=\"error\"]'))"
    page.wait_for_function(wait)
    said = page.evaluate(f"{CELLS}.map((cell) => [...cell.querySelectorAll('.jp-OutputArea-output')].map((e) => e.innerText).join(' '))")
    assert not [text for text in said if "Traceback" in text]
    assert repr(make_schedule("linear", T=1000).at(500)).split() in [text.split() for text in said], "the numbers of CPython"
    assert page.locator(".jp-OutputArea-output img").count() >= 3
    assert elsewhere == []
    context.close()
