import hashlib
import os
import socket

import pytest

from minidiff.data import DownloadError, fetch

BODY = bytes(range(256)) * 1000
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def failing(server, tmp_path):
    """Download "a" from the server, which must fail and leave nothing; gives the message, without the server's changing address."""

    def run(md5=MD5, timeout=5.0):
        with pytest.raises(DownloadError) as caught:
            fetch(server.url + "a", tmp_path / "a.gz", md5, timeout)
        assert os.listdir(tmp_path) == []
        assert str(caught.value).startswith(server.url + "a: ")
        return str(caught.value).removeprefix(server.url + "a: ")

    return run


def test_a_good_file_is_stored_under_its_name(server, tmp_path):
    server.files["a"] = BODY
    fetch(server.url + "a", tmp_path / "a.gz", MD5)
    assert (tmp_path / "a.gz").read_bytes() == BODY
    assert os.listdir(tmp_path) == ["a.gz"]


def test_the_progress_bar_counts_every_byte(server, tmp_path, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, **options):
            self.total, self.n = options["total"], 0
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def update(self, n):
            self.n += n

    monkeypatch.setitem(fetch.__globals__, "tqdm", Bar)
    server.files["a"] = BODY
    fetch(server.url + "a", tmp_path / "a.gz", MD5)
    assert [(bar.n, bar.total) for bar in bars] == [(len(BODY), len(BODY))]


def test_a_wrong_checksum_is_refused(server, failing):
    server.files["a"] = BODY[:-1] + b"!"
    assert failing() == f"wants the MD5 checksum {MD5}, came {hashlib.md5(server.files['a']).hexdigest()}: not the published file"


def test_a_truncated_body_is_refused(server, failing):
    server.files["a"] = BODY
    server.cut_off.add("a")
    assert failing() == "wants 256,000 bytes, came 128,000: the download was cut off"


def test_a_silent_server_is_given_up(server, failing):
    server.files["a"] = BODY
    server.silent.add("a")
    assert failing(timeout=0.2) == "the server was silent for 0.2 s"


def test_a_missing_file_is_told_with_the_servers_answer(failing):
    assert failing() == "the server answered 404 Not Found"


def test_no_server_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a"
        with pytest.raises(DownloadError, match=r"/a: no connection \(.*refused"):
            fetch(url, tmp_path / "a.gz", MD5)
    assert os.listdir(tmp_path) == []


def test_no_network(tmp_path, monkeypatch):
    def no_name(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    with pytest.raises(DownloadError, match=r"http://nowhere.invalid/a: no connection \(.*Temporary failure in name resolution"):
        fetch("http://nowhere.invalid/a", tmp_path / "a.gz", MD5)


def test_ctrl_c_leaves_nothing_behind(server, tmp_path, monkeypatch):
    class Digest:
        def update(self, chunk):
            assert any(name.endswith(".part") for name in os.listdir(tmp_path))
            raise KeyboardInterrupt

    monkeypatch.setattr(hashlib, "md5", lambda **options: Digest())
    server.files["a"] = BODY
    with pytest.raises(KeyboardInterrupt):
        fetch(server.url + "a", tmp_path / "a.gz", MD5)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_not_the_servers_fault(server, tmp_path):
    server.files["a"] = BODY
    with pytest.raises(FileNotFoundError, match="cannot write"):
        fetch(server.url + "a", tmp_path / "missing" / "a.gz", MD5)
    assert server.asked == []
