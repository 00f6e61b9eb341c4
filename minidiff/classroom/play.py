"""`python -m minidiff play` serves the page docs/play, on which the package runs in the browser.

The page needs three things: its own files, this package in a zip, and Pyodide, which is Python
for browsers. Pyodide comes from its public CDN, or from a folder for a class without a network.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import importlib.util
import io
import json
import shutil
import sys
import urllib.request
import webbrowser
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minidiff.classroom.coverage import repository, tests_by_equation
from minidiff.engine.printing import PACKAGE

VERSION = "0.27.7"
CDN = f"https://cdn.jsdelivr.net/pyodide/v{VERSION}/full/"
FILES = {  # of Pyodide, with the hashes that the browser checks; the last one names those of NumPy
    "pyodide.mjs": "sha384-z8L8kZDaddEtk+VNtmPcXLY83XSVlBjlabpCtT6GghMW3jSyzOEzNsL9BiKsfjcL",
    "pyodide.asm.js": "sha384-J3SxzZJh4tkb2bgoUc72zArF45FJ+ngsbiqNsmxqkkecNVpZ/bUHAM0JMp+YPVpx",
    "pyodide.asm.wasm": "sha384-wDap6JvXxf3C8g5beY3kd1xMIjAtw/oTKjTqGltdxc+B9VXnYyYBoM7hveNKilxM",
    "python_stdlib.zip": "sha384-VLeJs79hxVEBNt1hRU5Wo7VmBcyb4sdW564EJAvEWDin3Aa3QXLHm3E5mOg2GiFH",
    "pyodide-lock.json": "sha384-1cFE0bj3+mm1a83kcqiWxoaBhrf6jPPJJORlx1TComnZ0WaHwE4znlohwPXL5tUL",
}
TESTERS = ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments")
MIME = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm"}


def page_folder() -> Path:
    """The folder docs/play of the clone.

    Raises: RuntimeError if only the package is here.
    """
    root = repository()
    if root is None or not (root / "docs" / "play" / "index.html").exists():
        raise RuntimeError(
            "play: the page is not here; it needs a clone of the project, with docs/play"
        )
    return root / "docs" / "play"


def check_pyodide(folder: str | Path) -> Path:
    """The folder, if it holds Pyodide as the page wants it, and NumPy for it.

    Raises: ValueError that names what is missing or of another version.
    """
    folder = Path(folder)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"play: {folder} holds no {', '.join(missing)}: it must be the folder of the npm "
            f"package pyodide@{VERSION}, with NumPy's wheel for it beside them"
        )
    for name, expected in FILES.items():
        if integrity((folder / name).read_bytes()) != expected:
            raise ValueError(f"play: {folder / name} is not the file of Pyodide {VERSION}")
    lock = json.loads((folder / "pyodide-lock.json").read_text())
    wheel = lock["packages"]["numpy"]
    path = folder / wheel["file_name"]
    if not path.is_file():
        raise ValueError(f"play: {folder} holds no {wheel['file_name']}, NumPy for Pyodide")
    if hashlib.sha256(path.read_bytes()).hexdigest() != wheel["sha256"]:
        raise ValueError(f"play: {path} has not the checksum of pyodide-lock.json")
    return folder


def integrity(data: bytes) -> str:
    """The hash as browsers write it."""
    return "sha384-" + base64.b64encode(hashlib.sha384(data).digest()).decode()


def fetch_pyodide(folder: str | Path, address: str = CDN) -> Path:
    """Load Pyodide and NumPy for it into a folder, for a class without a network.

    Raises: OSError if the network fails; ValueError if a file is not the one that is wanted.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, expected in FILES.items():
        data = _fetched(address + name)
        if integrity(data) != expected:
            raise ValueError(f"play: {address}{name} is not the file of Pyodide {VERSION}")
        (folder / name).write_bytes(data)
    lock = json.loads((folder / "pyodide-lock.json").read_text())
    wheel = lock["packages"]["numpy"]["file_name"]
    (folder / wheel).write_bytes(_fetched(address + wheel))
    return check_pyodide(folder)


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as reply:
        return reply.read()


# -- the package as a zip --------------------------------------------------------------------------


def has_checks() -> bool:
    """Whether the exact checks can come with the page: they need the clone's tests and pytest."""
    return repository() is not None and importlib.util.find_spec("pytest") is not None


@functools.cache
def package_zip() -> bytes:
    """What the browser unpacks: the package, its weights, the exact checks, and pytest for them.

    Without a clone or without pytest the checks are left out, and the page says so.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in _contents():
            facts = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))  # the same bytes every time
            facts.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(facts, path.read_bytes())
    return buffer.getvalue()


def _contents() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".npz") and "__pycache__" not in path.parts:
            yield f"minidiff/{path.relative_to(PACKAGE).as_posix()}", path
    root = repository()
    if root is None or not has_checks():
        return
    tests = {root / test.partition("::")[0] for ids in tests_by_equation().values() for test in ids}
    tests |= {*(root / "tests").rglob("conftest.py"), *(root / "tests" / "support").glob("*.py")}
    settings = [path for path in (root / "pyproject.toml",) if path.is_file()]
    for path in [*settings, *sorted(tests)]:
        yield path.relative_to(root).as_posix(), path
    for module in TESTERS:
        yield from _module(module)


def _module(name: str) -> Iterator[tuple[str, Path]]:
    """The Python files of an installed package or module."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return
    if spec.submodule_search_locations is None:
        yield f"{name}.py", Path(spec.origin)
        return
    folder = Path(spec.origin).parent
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder)
        if name == "pygments" and inside.parts[0] in ("lexers", "styles") and not _small(path):
            continue
        yield f"{name}/{inside.as_posix()}", path


def _small(path: Path) -> bool:
    return path.name in ("__init__.py", "_mapping.py", "python.py", "default.py", "diff.py")


# -- the page --------------------------------------------------------------------------------------


def page_config(pyodide: str) -> dict[str, Any]:
    """What config.json tells the page.    pyodide: the address of its folder, with / at its end"""
    return {"pyodide": pyodide, "package": "minidiff.zip", "files": FILES, "version": VERSION}


def write_page(folder: str | Path, pyodide: str | Path | None = None) -> Path:
    """Write the whole page as plain files, for any web server.    pyodide: a folder to copy, too"""
    folder = Path(folder)
    source = check_pyodide(pyodide) if pyodide is not None else None
    shutil.copytree(page_folder(), folder, dirs_exist_ok=True)
    (folder / "minidiff.zip").write_bytes(package_zip())
    address = CDN
    if source is not None:
        address = "pyodide/"
        (folder / "pyodide").mkdir(exist_ok=True)
        lock = json.loads((source / "pyodide-lock.json").read_text())
        for name in (*FILES, lock["packages"]["numpy"]["file_name"]):
            shutil.copyfile(source / name, folder / "pyodide" / name)
    (folder / "config.json").write_text(json.dumps(page_config(address), indent=1))
    return folder


class Handler(http.server.SimpleHTTPRequestHandler):
    """The files of docs/play, the zip, config.json, and Pyodide's folder if there is one."""

    pyodide: Path | None = None
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **MIME}

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].partition("#")[0]
        if path == "/config.json":
            address = "pyodide/" if self.pyodide else CDN
            self.answer(json.dumps(page_config(address)).encode(), "application/json")
        elif path == "/minidiff.zip":
            self.answer(package_zip(), "application/zip")
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        """Below /pyodide/ lies the folder of --pyodide; everything else is of the page."""
        if self.pyodide is not None and path.startswith("/pyodide/"):
            name = Path(path.partition("?")[0]).name  # a name alone: nothing outside can be asked
            return str(self.pyodide / name)
        return super().translate_path(path)

    def answer(self, data: bytes, kind: str) -> None:
        """Send bytes that are no file."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")  # asked for again, sent again if it changed
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """A class wants to see no list of requests."""


class Server(http.server.ThreadingHTTPServer):
    """A server that is silent when a browser leaves before a file has come."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def make_server(port: int = 0, pyodide: str | Path | None = None) -> http.server.HTTPServer:
    """A server on localhost.    port: 0 takes a free one; pyodide: a folder, else the CDN

    Raises: ValueError if the folder is not Pyodide's; RuntimeError without docs/play; OSError if
    the port is taken.
    """
    folder = check_pyodide(pyodide).resolve() if pyodide is not None else None
    of_page = type("PageHandler", (Handler,), {"pyodide": folder})
    handler = functools.partial(of_page, directory=str(page_folder()))
    return Server(("127.0.0.1", port), handler)


def play(port: int = 8000, pyodide: str | None = None, browser: bool = True) -> int:
    """Serve the page until Ctrl-C.   -> the exit status"""
    try:
        server = make_server(port, pyodide)
    except OSError as error:
        reason = f"port {port} can't be had ({error.strerror})"
        raise OSError(f"play: {reason}: --port 0 takes a free one") from error
    size = len(package_zip()) / 1e6
    address = f"http://localhost:{server.server_address[1]}/"
    origin = "the folder that you gave" if pyodide else "its CDN (about 15 MB once, then cached)"
    print(f"The page is at {address}    (Ctrl-C ends it)")
    print(f"minidiff is {size:.1f} MB; Python for the browser comes from {origin}.", flush=True)
    if not has_checks():
        print("pytest is not installed, so the page can't check formulas: pip install pytest")
    if browser:
        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
    return 0
