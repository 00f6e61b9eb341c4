"""The page as a web server hosts it: Pyodide comes from its CDN, which a route of the browser stands for here, and each file must have its hash."""

import threading
from pathlib import Path

import pytest

from minidiff.classroom.play import CDN, make_server

from .conftest import Play


@pytest.fixture(scope="module")
def hosted():
    server = make_server(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def from_folder(folder, asked, spoiled=None):
    """A route that answers for the CDN; `spoiled` names a file that comes with one more byte."""

    def answer(route):
        name = route.request.url.removeprefix(CDN)
        asked.append(name)
        body = (Path(folder) / name).read_bytes() + (b" " if name == spoiled else b"")
        kind = "application/wasm" if name.endswith(".wasm") else "text/javascript" if name.endswith("js") else "application/octet-stream"
        route.fulfill(body=body, headers={"Access-Control-Allow-Origin": "*", "Content-Type": kind})

    return answer


def test_the_page_runs_with_pyodide_from_its_cdn(browser, hosted, pyodide):
    play, asked = Play(browser, hosted), []
    play.page.route(f"{CDN}**", from_folder(pyodide, asked))
    play.open("points?t=20")
    assert play.page.locator("#panel-points .code .line").count() > 4
    assert set(play.elsewhere) == {CDN + name for name in asked} and "pyodide.asm.wasm" in asked
    assert not play.complaints
    play.context.close()


@pytest.mark.parametrize("name", ["pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm"])
def test_a_file_with_another_hash_is_refused(browser, hosted, pyodide, name):
    play = Play(browser, hosted)
    play.page.route(f"{CDN}**", from_folder(pyodide, [], spoiled=name))
    play.page.goto(hosted)
    play.page.wait_for_selector("#loading-what .note.bad")
    assert f"{name} could not be loaded from cdn.jsdelivr.net, or is not the file that is wanted" in play.text("#loading-what")
    play.context.close()
