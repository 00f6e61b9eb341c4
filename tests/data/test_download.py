import hashlib
import os
import socket
import threading

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

    monkeypatch.setattr("tqdm.tqdm", Bar)
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


class OddServer:
    """Answers each connection with what `answer(send)` sends, byte for byte."""

    def __init__(self, answer):
        self.over = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"
        self.sent = 0
        self.thread = threading.Thread(target=self.serve, args=(answer,))
        self.thread.start()

    def serve(self, answer):
        while not self.over.is_set():
            try:
                connection, _ = self.socket.accept()
                with connection:
                    connection.settimeout(5)
                    connection.recv(65536)

                    def send(data, connection=connection):
                        connection.sendall(data)
                        self.sent += len(data)

                    answer(send, self.over)
            except OSError:
                pass

    def close(self):
        self.over.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


@pytest.fixture
def odd(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def start(answer):
        servers.append(OddServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def of_bytes(data):
    return lambda send, over: send(data)


@pytest.mark.parametrize("length", ["²", "9" * 5000, "-5", "1e3", "12, 12", "abc", ""])
def test_a_length_that_is_no_number_leaves_it_to_the_checksum(odd, tmp_path, length):
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode("latin-1")
    fetch(odd(of_bytes(head + BODY)).url + "a", tmp_path / "a", MD5, 2)
    assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://a..b/", "http://" + "x" * 300, "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "http:///", "file:///etc/passwd", "gopher://a/"]
)
def test_a_redirection_to_an_impossible_place_is_refused(odd, tmp_path, location):
    server = odd(of_bytes(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()))
    with pytest.raises(DownloadError, match=rf"^{server.url}a: (no connection|the server's answer makes no sense|the connection broke|the server answered 302)") as caught:
        fetch(server.url + "a", tmp_path / "a", MD5, 2)
    assert "\n" not in str(caught.value) and os.listdir(tmp_path) == []


def test_redirections_in_a_circle_are_refused(odd, tmp_path):
    server = odd(of_bytes(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"))
    with pytest.raises(DownloadError, match="a: the server answered 302"):
        fetch(server.url + "a", tmp_path / "a", MD5, 2)


def endless_redirection(send, over):
    send(b"HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n")
    while not over.is_set():
        send(bytes(1 << 16))


def long_redirection(send, over):
    send(b"HTTP/1.1 307 x\r\nLocation: /a\r\nContent-Length: %d\r\n\r\n" % 2**62)


@pytest.mark.parametrize("answer", [endless_redirection, long_redirection])
def test_what_comes_with_a_redirection_is_not_read(odd, tmp_path, answer):
    from support.fuzzing import bounded_memory

    server = odd(answer)
    with bounded_memory(30), pytest.raises(DownloadError, match="a: (the server answered 30|the connection broke|no connection)"):
        fetch(server.url + "a", tmp_path / "a", MD5, 2)
    assert server.sent < 300_000_000


def endless(send, over):
    send(b"HTTP/1.1 200 OK\r\n\r\n")
    while not over.is_set():
        send(bytes(1 << 16))


def test_an_endless_body_is_given_up_at_the_limit(odd, tmp_path):
    server = odd(endless)
    with pytest.raises(DownloadError, match="a: wants at most 3,000,000 bytes, came more: given up"):
        fetch(server.url + "a", tmp_path / "a", MD5, 2, limit=3_000_000)
    assert os.listdir(tmp_path) == [] and server.sent < 30_000_000


def test_the_limit_holds_for_every_published_file():
    assert fetch.__defaults__[1] > 2 * 26_421_880  # Fashion-MNIST's training images


def test_a_body_that_is_announced_as_too_long_is_not_read(odd, tmp_path):
    server = odd(of_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 99000000000\r\n\r\n" + BODY))
    with pytest.raises(DownloadError, match="a: wants at most 67,108,864 bytes, the server announces 99,000,000,000"):
        fetch(server.url + "a", tmp_path / "a", MD5, 2)


def drip_body(send, over):
    send(b"HTTP/1.1 200 OK\r\n\r\n")
    while not over.wait(0.02):
        send(b"x")


def drip_header(send, over):
    send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not over.wait(0.02):
        send(b"x")


def continue_for_ever(send, over):
    while not over.wait(0.01):
        send(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize("answer", [drip_body, drip_header, continue_for_ever])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(odd, tmp_path, answer):
    with pytest.raises(DownloadError, match="a: the server sent less than 1,000 bytes a second for 0.8 s"):
        fetch(odd(answer).url + "a", tmp_path / "a", MD5, 0.4)
    assert os.listdir(tmp_path) == []


def test_no_thread_stays_behind(server, tmp_path):
    server.files["a"] = BODY
    before = threading.active_count()
    for i in range(5):
        fetch(server.url + "a", tmp_path / f"{i}", MD5)
    assert threading.active_count() <= before + 1  # the server's own
