import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from minidiff.data import write_idx

REAL_DATA = Path(os.environ["MINIDIFF_DATA"]) if os.environ.get("MINIDIFF_DATA") else None  # before a test unsets it


class LocalServer:
    """An HTTP server on this machine.    files: by name; cut_off, silent: names it answers badly; asked: names so far."""

    def __init__(self):
        self.files, self.cut_off, self.silent, self.asked = {}, set(), set(), []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                outer.asked.append(name)
                if name not in outer.files:
                    return self.send_error(404)
                body = outer.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if name in outer.cut_off | outer.silent else body)
                if name in outer.silent:
                    outer.released.wait(30)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self):
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = LocalServer()
    yield server
    server.close()


@pytest.fixture
def lonely(monkeypatch, tmp_path):
    """No data set on this machine: $MINIDIFF_DATA is not set and the cache, whose folder is returned, is empty."""
    monkeypatch.delenv("MINIDIFF_DATA", raising=False)
    monkeypatch.setattr("minidiff.data.folders.sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "minidiff"


@pytest.fixture
def write_set():
    """write_set(folder, "train", n): a small set of n random images in the files and the format of MNIST."""

    def write(folder, name, n, ending=".gz", labels=None):
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(n)
        images = random.integers(0, 256, (n, 28, 28), np.uint8)
        labels = random.integers(0, 10, n) if labels is None else labels
        write_idx(folder / f"{name}-images-idx3-ubyte{ending}", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte{ending}", np.asarray(labels, np.uint8))
        return images

    return write


@pytest.fixture
def real_mnist():
    """The folder with MNIST's own test digits."""
    for root in [*filter(None, [REAL_DATA]), Path(__file__).parents[3] / "shared"]:
        for folder in (root, root / "mnist", root / "MNIST" / "raw"):
            if (folder / "t10k-images-idx3-ubyte.gz").is_file():
                return folder
    pytest.skip("real MNIST is neither in $MINIDIFF_DATA nor in ../shared/mnist")
