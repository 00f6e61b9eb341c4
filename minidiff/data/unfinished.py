"""Folders `.download-*`: where files wait until all are there, and what killed downloads leave.

A download is settled in two steps: all files are fetched into such a folder and verified, then each
is moved. A process that is killed between two moves leaves the rest in its folder, and the next one
moves it.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .files import is_file
from .sources import md5_of_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX = ".download-"
OLD = 3600.0  # seconds; where folders can't be locked, age says whether one is still filled


@contextmanager
def download_folder(target: Path, md5: dict[str, str]) -> Iterator[Path]:
    """A folder to fetch the files of `md5` into. At the end all are moved to `target`, or none."""
    folder, lock = _make(target)
    try:
        try:
            yield folder
        finally:  # after Ctrl-C between two moves too
            _settle(folder, target, md5)
    finally:
        _unlock(lock)


def settle_abandoned(target: Path, md5: dict[str, str]) -> bool:
    """Finish or remove what killed downloads left in `target`.

    -> whether some is left: the folder can't be written, or another process is at work.
    """
    left = False
    for folder in _download_folders(target):
        if not _is_ours(folder, md5):
            continue
        lock = _lock(folder)
        try:
            if lock is None:
                left = True
            else:
                _settle(folder, target, md5)
        except OSError:
            left = True
        finally:
            _unlock(lock)
    return left


def _settle(folder: Path, target: Path, md5: dict[str, str]) -> None:
    """Move the files to `target` if with them all are there, verified; then remove the folder."""
    if not folder.exists():
        return
    moves, complete = [], True
    for name, checksum in md5.items():
        if is_file(target / name):
            complete &= md5_of_file(target / name) == checksum
        elif is_file(folder / name) and md5_of_file(folder / name) == checksum:
            moves.append(name)
        else:
            complete = False
    if complete:
        for name in moves:
            os.replace(folder / name, target / name)
    shutil.rmtree(folder, ignore_errors=True)


def _make(target: Path) -> tuple[Path, int | None]:
    """A new folder that is known to be in use: locked until this process ends, in whatever way."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=target))
        lock = _lock(folder)
        if folder.exists():  # another process may take it for abandoned before it is locked
            return folder, lock
        _unlock(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder that no process uses.    -> what `_unlock` takes; None if one uses it."""
    try:
        if fcntl is None:
            return -1 if time.time() - folder.stat().st_mtime > OLD else None
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _unlock(lock: int | None) -> None:
    if lock is not None and lock >= 0:
        os.close(lock)


def _download_folders(target: Path) -> list[Path]:
    try:
        with os.scandir(target) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(PREFIX)]
    except OSError:
        return []
    return [target / name for name in sorted(names) if (target / name).is_dir()]


def _is_ours(folder: Path, md5: dict[str, str]) -> bool:
    """Whether nothing is in it that a download of these files would not make."""
    try:
        inside = os.listdir(folder)
    except OSError:
        return False
    return all(
        name in md5 or (name.endswith(".part") and name[1:].startswith(tuple(md5)))
        for name in inside
    )
