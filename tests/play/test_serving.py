"""`python -m minidiff play`: the zip, the server, the folder for a class without a network."""

import io
import json
import threading
import urllib.error
import urllib.request
import zipfile

import pytest

from minidiff.__main__ import main
from minidiff.classroom import play


@pytest.fixture(scope="module")
def archive():
    return zipfile.ZipFile(io.BytesIO(play.package_zip()))


@pytest.fixture
def pretended(tmp_path, monkeypatch):
    """A folder that holds Pyodide as far as its hashes tell."""
    lock = {"packages": {"numpy": {"file_name": "numpy.whl", "sha256": "39a5bb1ad10b5ae1ba1ffe5d8b9a3a4d3a5e5cb8f0f8bd3d9a6fe3c1f2be1d5c"}}}
    folder = tmp_path / "pyodide"
    folder.mkdir()
    import hashlib

    lock["packages"]["numpy"]["sha256"] = hashlib.sha256(b"numpy").hexdigest()
    contents = {name: name.encode() for name in play.FILES} | {"pyodide-lock.json": json.dumps(lock).encode()}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    (folder / "numpy.whl").write_bytes(b"numpy")
    monkeypatch.setattr(play, "FILES", {name: play.integrity(data) for name, data in contents.items()})
    return folder


def get(address):
    with urllib.request.urlopen(address) as reply:
        return reply.read(), reply.headers


def test_the_zip_holds_the_package_its_weights_and_the_checks(archive):
    names = set(archive.namelist())
    assert {"minidiff/__init__.py", "minidiff/classroom/page/wire.py", "minidiff/weights/mnist/checkpoint.npz"} <= names
    assert {"tests/diffusion/test_forward.py", "tests/conftest.py", "_pytest/config/__init__.py", "py.py", "pyproject.toml"} <= names
    assert not any("__pycache__" in name or name.endswith((".so", ".pyc")) for name in names)
    assert len(play.package_zip()) < 8e6


def test_the_zip_is_the_same_every_time():
    first = play.package_zip()
    play.package_zip.cache_clear()
    assert play.package_zip() == first


def test_the_server_has_the_page_the_zip_and_pyodide_and_nothing_else(pretended):
    server = play.make_server(0, pretended)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://localhost:{server.server_address[1]}/"
    try:
        assert b"<title>minidiff" in get(base)[0]
        config = json.loads(get(base + "config.json")[0])
        assert config["pyodide"] == "pyodide/" and config["files"] == play.FILES
        assert get(base + "minidiff.zip")[0] == play.package_zip()
        data, headers = get(base + "pyodide/pyodide.mjs")
        assert data == b"pyodide.mjs" and headers["Content-Type"] == "text/javascript"
        assert get(base + "pyodide/pyodide.asm.wasm")[1]["Content-Type"] == "application/wasm"
        for outside in ("../conftest.py", "pyodide/../../conf.py", "..%2f..%2fpyproject.toml", "pyodide/%2e%2e/pretended"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(base + outside)
    finally:
        server.shutdown()
        server.server_close()


def test_a_hosted_page_names_the_cdn_and_its_hashes(tmp_path):
    folder = play.write_page(tmp_path / "page")
    config = json.loads((folder / "config.json").read_text())
    assert config["pyodide"] == play.CDN and play.VERSION in play.CDN
    assert all(value.startswith("sha384-") and len(value) == 71 for value in config["files"].values())
    assert {"index.html", "minidiff.zip", "worker.js", "tabs"} <= {path.name for path in folder.iterdir()}


def test_a_page_with_its_own_pyodide_is_written(tmp_path, pretended):
    folder = play.write_page(tmp_path / "page", pretended)
    assert json.loads((folder / "config.json").read_text())["pyodide"] == "pyodide/"
    assert (folder / "pyodide" / "numpy.whl").read_bytes() == b"numpy"


def test_pyodide_is_fetched_for_a_class_without_a_network(tmp_path, pretended):
    found = play.fetch_pyodide(tmp_path / "fetched", pretended.as_uri() + "/")
    assert sorted(path.name for path in found.iterdir()) == sorted(path.name for path in pretended.iterdir())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "pyodide.mjs").unlink(), "holds no pyodide.mjs"),
        (lambda folder: (folder / "pyodide.mjs").write_bytes(b"other"), "is not the file of Pyodide"),
        (lambda folder: (folder / "numpy.whl").unlink(), "holds no numpy.whl"),
        (lambda folder: (folder / "numpy.whl").write_bytes(b"other"), "has not the checksum"),
    ],
)
def test_a_wrong_folder_is_told(pretended, spoil, said, capsys):
    spoil(pretended)
    assert main(["play", "--pyodide", str(pretended), "--no-browser"]) == 2
    assert said in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(capsys):
    server = play.make_server(0)
    try:
        port = server.server_address[1]
        assert main(["play", "--port", str(port), "--no-browser"]) == 2
        assert f"port {port} can't be had" in capsys.readouterr().err
    finally:
        server.server_close()


def test_without_pytest_the_page_comes_without_its_checks_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(play.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(play.Server, "serve_forever", lambda server: None)
    play.package_zip.cache_clear()
    try:
        assert main(["play", "--port", "0", "--no-browser"]) == 0
        names = zipfile.ZipFile(io.BytesIO(play.package_zip())).namelist()
    finally:
        play.package_zip.cache_clear()
    assert "pytest is not installed, so the page can't check formulas: pip install pytest" in capsys.readouterr().out
    assert not any(name.startswith(("tests/", "_pytest/")) for name in names)


def test_without_a_clone_the_page_is_missed(monkeypatch, capsys):
    monkeypatch.setattr(play, "repository", lambda: None)
    assert main(["play", "--no-browser"]) == 2
    assert "it needs a clone of the project" in capsys.readouterr().err
