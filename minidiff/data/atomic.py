"""A file appears under its name only when it is complete, and on the disk.

It is written beside its place as `.name.12345678.part` and renamed. A process that is killed
meanwhile leaves that file; the next writer removes it. It knows the files at work from the others
by their locks.
"""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PART = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")
OLD = 86_400.0  # seconds; where files can't be locked, age says whether one is still written


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a temporary file; rename it to `path` when the block ends well.

    On any failure, Ctrl-C included, the temporary file is removed and what was at `path` before is
    still there. The bytes reach the disk before the new name does: after a power failure there is
    the old file or the new one.

    Raises: OSError that names `path` when its folder can't be written.
    """
    path = Path(path)
    remove_parts(path.parent, path.name)
    try:
        file = _new_part(path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror}", str(path)) from error
    part = Path(file.name)
    try:
        yield part
        _sync(part)
        os.replace(part, path)
        with contextlib.suppress(OSError):  # not every system can do this to a folder
            _sync(path.parent)
    except BaseException as error:
        part.unlink(missing_ok=True)  # after os.replace there is none, and `path` stays
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(part)):
            message = f"cannot write: {error.strerror}"  # a full disk names no file
            raise OSError(error.errno, message, str(path)) from error
        raise
    finally:
        file.close()


def _new_part(path: Path) -> BinaryIO:
    """An empty file beside `path`, open and locked until it is closed or this process ends.

    It is a file object, not a number, so that it is closed even if Ctrl-C comes in here.
    """
    while True:
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        # not tempfile: its files are private to the user, and os.replace would keep that
        file = open(part, "xb")  # noqa: SIM115
        _lock(file.fileno(), wait=True)
        if fcntl is None or _is_at(part, file.fileno()):
            return file
        file.close()  # a remover saw it before it was locked


def save_npz(path: str | os.PathLike[str], **arrays: Any) -> None:
    """np.savez_compressed, complete or not at all."""
    with atomic_write(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, **arrays)


def remove_parts(folder: str | os.PathLike[str], name: str | None = None) -> None:
    """Remove what killed writers of `name` left in a folder, or those of all files.

    No failure is an error.
    Files that a running process writes stay.
    """
    try:
        with os.scandir(folder) as entries:
            parts = [(PART.fullmatch(entry.name), Path(entry.path)) for entry in entries]
    except OSError:
        return
    for match, part in parts:
        if match and name in (None, match[1]):
            with contextlib.suppress(OSError):
                _remove_if_abandoned(part)


def _remove_if_abandoned(part: Path) -> None:
    if fcntl is None:
        if time.time() - part.stat().st_mtime > OLD:
            part.unlink()
        return
    descriptor = os.open(part, os.O_RDWR)
    try:
        if _lock(descriptor) and _is_at(part, descriptor):
            part.unlink()
    finally:
        os.close(descriptor)


def _is_at(part: Path, descriptor: int) -> bool:
    """Whether the open file still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(part))
    except FileNotFoundError:
        return False


def _lock(descriptor: int, wait: bool = False) -> bool:
    """Lock an open file, if no other process has, or when it no longer has.

    -> whether it is locked
    """
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return fcntl is not None


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
