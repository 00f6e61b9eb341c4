"""Fetch one file: with a timeout, a progress bar and a checksum; all of it or none of it."""

import contextlib
import hashlib
import http.client
import io
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .atomic import atomic_write

CHUNK = 1 << 16
LIMIT = 1 << 26  # bytes of a file; the largest of those that are known has 27 million
SLOWEST = 1000  # bytes a second; a server that sends less is given up


class DownloadError(OSError):
    """A file could not be fetched. The message begins with the URL."""


def fetch(
    url: str,
    path: str | os.PathLike[str],
    md5: str,
    timeout: float = 15.0,
    limit: int = LIMIT,
) -> None:
    """Fetch `url` into the file `path`, whose content must have the checksum `md5` (hexadecimal).

    timeout: seconds the server may be silent; in twice that time it must send 1 kB for each second.
    limit: the most bytes. The file appears under its name only when complete and verified; a
    failure or Ctrl-C leaves nothing behind.

    Raises: DownloadError that says what went wrong with the server; OSError if `path` can't be
    written.
    """
    path = Path(path)
    with atomic_write(path) as part, part.open("wb") as file:
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in _receive(url, path.name, timeout, limit):
            file.write(chunk)
            digest.update(chunk)
        if digest.hexdigest() != md5:
            raise DownloadError(
                f"{url}: wants the MD5 checksum {md5}, came {digest.hexdigest()}: "
                "not the published file"
            )


def _receive(url: str, label: str, timeout: float, limit: int) -> Iterator[bytes]:
    """The body of `url` in chunks. Whatever goes wrong on the way is a DownloadError."""
    request = urllib.request.Request(url, headers={"User-Agent": "minidiff"})
    watch = _Watch(2 * timeout)
    try:
        with watch, watch.opener().open(request, timeout=timeout) as response:
            yield from _body(response, url, label, watch, limit)
    except DownloadError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(
            f"{url}: the server answered {error.code} {_line(error.reason)}"
        ) from error
    except TimeoutError as error:
        raise DownloadError(f"{url}: the server was silent for {timeout:g} s") from error
    except urllib.error.URLError as error:
        if watch.gave_up:
            raise _slow(url, watch) from error
        if isinstance(error.reason, TimeoutError):
            raise DownloadError(f"{url}: no connection within {timeout:g} s") from error
        raise DownloadError(f"{url}: no connection ({_line(error.reason)})") from error
    except (http.client.HTTPException, OSError) as error:
        if watch.gave_up:
            raise _slow(url, watch) from error
        raise DownloadError(f"{url}: the connection broke ({_line(repr(error))})") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # the library's errors about addresses and headers, of redirections above all
        if watch.gave_up:
            raise _slow(url, watch) from error
        raise DownloadError(
            f"{url}: the server's answer makes no sense ({_line(repr(error))})"
        ) from error


def _body(
    response: http.client.HTTPResponse, url: str, label: str, watch: "_Watch", limit: int
) -> Iterator[bytes]:
    total = _content_length(response.headers.get("Content-Length"))
    if total is not None and total > limit:
        raise DownloadError(f"{url}: wants at most {limit:,} bytes, the server announces {total:,}")
    received = 0
    # disable=None: no bar where nobody watches, in a log file for example
    from tqdm import tqdm  # here: in a browser there is none

    with tqdm(total=total, desc=label, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        while chunk := response.read1(CHUNK):
            received += len(chunk)
            watch.received = received
            if received > limit:
                raise DownloadError(f"{url}: wants at most {limit:,} bytes, came more: given up")
            bar.update(len(chunk))
            yield chunk
    if watch.gave_up:  # a broken connection looks like the end of the body
        raise _slow(url, watch)
    if total is not None and received != total:
        raise DownloadError(
            f"{url}: wants {total:,} bytes, came {received:,}: the download was cut off"
        )


def _content_length(text: str | None) -> int | None:
    """The announced length; None if it is no number: then the checksum decides alone."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        return None
    return int(text)


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follows redirections without their bodies. urllib would read those, of whatever length."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any
    ) -> Any:
        fp.close()
        return super().http_error_302(req, io.BytesIO(), code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Watch:
    """Breaks the connection to a server that sends next to nothing. No timeout of a read does.

    A byte now and then, in the headers or in the body, would keep a download waiting for ever.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.received = 0  # bytes of the body
        self.gave_up = False
        self._sockets: list[socket.socket] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def opener(self) -> urllib.request.OpenerDirector:
        """What opens a URL over connections that are watched."""
        watch = self

        class Plain(urllib.request.HTTPHandler):
            def http_open(self, request: urllib.request.Request) -> Any:
                return self.do_open(watch.watched(http.client.HTTPConnection), request)

        handlers: list[Any] = [Plain, _Redirect]
        if hasattr(http.client, "HTTPSConnection"):

            class Encrypted(urllib.request.HTTPSHandler):
                def https_open(self, request: urllib.request.Request) -> Any:
                    return self.do_open(watch.watched(http.client.HTTPSConnection), request)

            handlers.append(Encrypted)
        return urllib.request.build_opener(*handlers)

    def watched(self, kind: type[http.client.HTTPConnection]) -> Any:
        """A class of connections like `kind`, which tells this watch its socket."""
        sockets = self._sockets

        class Watched(kind):  # type: ignore[valid-type, misc]
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        return Watched

    def _run(self) -> None:
        before = 0
        while not self._over.wait(self.seconds):
            if self.received - before < SLOWEST * self.seconds:
                self.gave_up = True
                for connection in self._sockets:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
                if self._sockets:
                    return
            before = self.received


def _slow(url: str, watch: _Watch) -> DownloadError:
    return DownloadError(
        f"{url}: the server sent less than {SLOWEST:,} bytes a second for {watch.seconds:g} s"
    )


def _line(reason: object) -> str:
    """What a server said, in one short line."""
    return " ".join(str(reason).split())[:200]
