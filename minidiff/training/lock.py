"""One run at a time in a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None  # type: ignore[assignment]

_held: set[int] = set()  # descriptors


@contextmanager
def only_run_in(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Lock a folder, until the block or the process ends, in whatever way.

    Worker processes do not hold the lock. Nothing is written.

    Raises: ValueError if another process has it.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(Path(folder), os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # some network folders have no locks
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise ValueError(
                    f"{folder}: another run works in this folder: wait for its end, or choose "
                    "another --out"
                ) from None
        _held.add(descriptor)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _let_go() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
