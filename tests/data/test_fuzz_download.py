"""Servers that answer anything: a download succeeds or is a DownloadError, in one line, soon, in little memory."""

import hashlib
import os
import socket
import threading

import pytest
from support.fuzzing import bounded_memory, cases, damaged, no_hang

from minidiff.data import DownloadError, fetch

pytest.importorskip("resource")

BODY = bytes(range(256)) * 40
MD5 = hashlib.md5(BODY).hexdigest()
LIMIT = 1 << 20

HOSTS = ["http://[::1", "http://[fe80::%25/a", "http://a..b/", "http://" + "x" * 300 + "/", "http://\xe9\x00/", "http:///a", "http://127.0.0.1:99999/a", "//",
         "http://127.0.0.1:1/a", "file:///etc/passwd", "ftp://127.0.0.1:1/a", "gopher://a", "?", "", "http://user:pass word@h/ a", "http://127.0.0.1:x/", "/a\t b", "data:,a"]  # fmt: skip
LENGTHS = ["-1", "0", "1", "\xb2", "9" * 5000, "9" * 18, "1e9", "0x10", " ", "", "10, 10", "+5", "5_0", str(len(BODY)), str(len(BODY) + 1), str(LIMIT + 1)]
STATUS = ["HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 404 Not\x0b Found", "HTTP/1.1 302 Found", "HTTP/1.1 308 x", "HTTP/1.1 204 No", "HTTP/1.1 999 x", "HTTP/9 200",
          "HTTP/1.1 100 Continue", "HTTP/1.1 abc", "ICY 200 OK", "", "HTTP/1.1 200", "HTTP/1.1 500 " + "x" * 3000, "HTTP/1.1 401 x", "HTTP/1.1 200 " + "y" * 70_000]  # fmt: skip
CHUNKED = b"".join(b"%x\r\n%s\r\n" % (len(BODY[i : i + 999]), BODY[i : i + 999]) for i in range(0, len(BODY), 999)) + b"0\r\n\r\n"


def answer(random):
    """Bytes that a server might send: a whole answer, an odd one, or a damaged one."""
    pick = lambda values: values[random.integers(len(values))]  # noqa: E731
    if random.random() < 0.1:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    lines = [pick(STATUS) if random.random() < 0.5 else STATUS[0]]
    if random.random() < 0.7:
        lines.append(f"Content-Length: {pick(LENGTHS)}")
    if random.random() < 0.4 or " 30" in lines[0]:
        lines.append(f"Location: {pick(HOSTS)}")
    chunked = random.random() < 0.3
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    if random.random() < 0.2:
        lines.append(pick(["WWW-Authenticate: Basic realm=", "Content-Encoding: gzip", "Set-Cookie: " + "a" * 9000, "X: \x00", ": :", "X" * 70_000]))
    if random.random() < 0.1:
        lines += [f"X-{i}: y" for i in range(150)]
    head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
    body = pick([BODY, BODY[:99], b"", BODY * 200, CHUNKED])
    data = head + (CHUNKED if chunked and random.random() < 0.7 else body)
    return damaged(data, random) if random.random() < 0.5 else data


class RawServer:
    """Sends `self.answer` to whoever connects, then hangs up."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.answer = b""
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(5)
                    connection.recv(65536)
                    connection.sendall(self.answer)
                except OSError:
                    pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


@pytest.fixture
def raw_server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = RawServer()
    yield server
    server.close()


def test_servers_that_answer_anything(raw_server, tmp_path):
    good = refused = 0
    with bounded_memory(64):
        for i, random in cases(600, 5):
            raw_server.answer = answer(random)
            url = f"http://127.0.0.1:{raw_server.port}/a"
            with no_hang():
                try:
                    fetch(url, tmp_path / "a", MD5, timeout=0.5, limit=LIMIT)
                    assert (tmp_path / "a").read_bytes() == BODY
                    good += 1
                except DownloadError as caught:
                    assert str(caught).startswith(url) and "\n" not in str(caught), f"case {i}: {caught}"
                    assert len(str(caught)) < 600, f"case {i}: {len(str(caught))} characters"
                    assert not (tmp_path / "a").exists()
                    refused += 1
                except Exception as other:
                    raise AssertionError(f"case {i}: {type(other).__name__}: {other}") from other
            (tmp_path / "a").unlink(missing_ok=True)
            assert os.listdir(tmp_path) == []
    assert good > 20 and refused > 300
