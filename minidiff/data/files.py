"""Opening a file that a user named: an ordinary one, or an error that says what it is instead."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open an ordinary file for reading its bytes.

    A pipe or a device has no end that could be checked, and opening a pipe can wait for ever.

    Raises: FileNotFoundError if there is none; IsADirectoryError if it is a folder;
    PermissionError if this user may not read it; OSError if it is a pipe or a device.
    """
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # a name that no file can have, with a NUL in it
        raise FileNotFoundError(errno.ENOENT, f"no such file ({error})", str(path)) from error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "wants a file, this is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "wants an ordinary file, this is a pipe or device", str(path))
    return open(path, "rb")


def is_file(path: Path) -> bool:
    """Whether there is a file of this name. It is no answer that one may not search its folder.

    Raises: PermissionError.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
