"""A headless Chromium on the page, served from here. Without Chromium, Playwright or Pyodide the tests skip and say why.

MINIDIFF_PYODIDE names the folder with Pyodide (`python .ci/pyodide.py FOLDER`); MINIDIFF_CHROMIUM the browser, if it is not in the PATH.
"""

import os
import shutil
import threading
from urllib.parse import urlsplit

import pytest

from minidiff.classroom.play import make_server

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SECONDS = 90_000  # milliseconds to wait for the page: a busy machine starts Python slowly


@pytest.fixture(scope="session")
def pyodide():
    folder = os.environ.get("MINIDIFF_PYODIDE")
    if not folder:
        pytest.skip("MINIDIFF_PYODIDE names no folder with Pyodide: python .ci/pyodide.py FOLDER makes one")
    return folder


@pytest.fixture(scope="module")  # Playwright runs once at a time, and files may be run in any order
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    path = os.environ.get("MINIDIFF_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("there is no Chromium: apt-get install chromium, or MINIDIFF_CHROMIUM")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(pyodide):
    server = make_server(0, pyodide)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


class Play:
    """The page in one tab of the browser, with what it complained about and what it asked for elsewhere."""

    def __init__(self, browser, address, width=1280, height=720):
        self.address, self.complaints, self.elsewhere = address, [], []
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.page = self.context.new_page()
        self.page.set_default_timeout(SECONDS)
        self.page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self.note)

    def note(self, request):
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in ("localhost", "127.0.0.1"):
            self.elsewhere.append(request.url)

    def open(self, state="points"):
        """Go to a state of the page and wait until it shows it."""
        self.page.goto(f"{self.address}#{state}")
        self.page.wait_for_selector("html[data-ready=yes]")
        self.settle(state)

    def settle(self, state):
        self.page.wait_for_function(
            "name => { const p = document.getElementById('panel-' + name); return p && !p.hidden && p.children.length && !p.hasAttribute('aria-busy'); }",
            arg=state.partition("?")[0],
        )

    def call(self, name, **arguments):
        """What Python in the page answers; arrays come as {"shape", "data"}."""
        plain = "v => JSON.parse(JSON.stringify(v, (k, x) => ArrayBuffer.isView(x) ? Array.from(x) : x))"
        return self.page.evaluate(f"async ([name, args]) => ({plain})(await window.minidiff.python.call(name, args))", [name, arguments])

    def text(self, selector):
        return self.page.inner_text(selector)


@pytest.fixture(scope="module")
def shared(browser, address):
    play = Play(browser, address)
    play.open()
    yield play
    play.context.close()


@pytest.fixture
def play(shared):
    """The page, already started; a test opens the state that it wants. It must leave no complaint."""
    shared.complaints.clear()
    yield shared
    assert not shared.complaints
    assert not shared.elsewhere
