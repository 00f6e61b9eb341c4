"""Fetch one file: with a timeout, a progress bar and a checksum; all of it or none of it."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from .atomic import atomic_write

CHUNK = 1 << 16


class DownloadError(OSError):
    """A file could not be fetched. The message begins with the URL."""


def fetch(url: str, path: str | os.PathLike[str], md5: str, timeout: float = 15.0) -> None:
    """Fetch `url` into the file `path`, whose content must have the checksum `md5` (hexadecimal).

    timeout: seconds that the server may be silent. The file appears under its name only when it is
    complete and verified. A failure or Ctrl-C leaves nothing behind.

    Raises: DownloadError, which says what went wrong with the server; OSError if `path` can't be
    written.
    """
    path = Path(path)
    with atomic_write(path) as part, part.open("wb") as file:
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in _receive(url, path.name, timeout):
            file.write(chunk)
            digest.update(chunk)
        if digest.hexdigest() != md5:
            raise DownloadError(
                f"{url}: wants the MD5 checksum {md5}, came {digest.hexdigest()}: not the "
                f"published file"
            )


def _receive(url: str, label: str, timeout: float) -> Iterator[bytes]:
    """The body of `url` in chunks, under a progress bar.

    Raises: DownloadError, whatever goes wrong on the way.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "minidiff"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            yield from _body(response, url, label)
    except DownloadError:
        raise
    except urllib.error.HTTPError as error:
        raise DownloadError(f"{url}: the server answered {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise DownloadError(f"{url}: the server was silent for {timeout:g} s") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise DownloadError(f"{url}: no connection within {timeout:g} s") from error
        raise DownloadError(f"{url}: no connection ({error.reason})") from error
    except (http.client.HTTPException, OSError) as error:
        raise DownloadError(f"{url}: the connection broke ({error!r})") from error


def _body(response: http.client.HTTPResponse, url: str, label: str) -> Iterator[bytes]:
    length = response.headers.get("Content-Length")
    total = int(length) if length and length.isdigit() else None
    received = 0
    # disable=None: no bar where nobody watches, in a log file for example
    with tqdm(total=total, desc=label, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        while chunk := response.read1(CHUNK):
            received += len(chunk)
            bar.update(len(chunk))
            yield chunk
    if total is not None and received != total:
        raise DownloadError(
            f"{url}: wants {total:,} bytes, came {received:,}: the download was cut off"
        )
