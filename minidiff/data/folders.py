"""Where data are looked for: in the folder that was named, $MINIDIFF_DATA, the user's cache."""

import os
import stat
import sys
from pathlib import Path

HOW_TO_SAY_WHERE = (
    "name a folder (--data-dir, or data_dir in a program), "
    "or set MINIDIFF_DATA, HOME or XDG_CACHE_HOME"
)


def data_folders(data_dir: str | os.PathLike[str] | None) -> tuple[list[Path], Path | None]:
    """-> the folders in the order in which they are searched, and which of them is the cache.

    There is no cache for a user without a home: the list may be empty.

    Raises: NotADirectoryError if what was named is a file; FileNotFoundError for the home of an
    unknown user.
    """
    named = [Path(folder) for folder in (data_dir, os.environ.get("MINIDIFF_DATA")) if folder]
    folders = [_named_folder(folder) for folder in named]
    try:
        cache = user_cache()
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return folders, None
    return [*folders, cache], cache


def user_cache() -> Path:
    """The folder where this user's programs keep what they can fetch again: minidiff's part of it.

    Raises: RuntimeError if it would be in the user's home, and there is none.
    """
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        xdg = os.environ.get("XDG_CACHE_HOME")
        base = Path(xdg) if xdg else Path.home() / ".cache"
    return base / "minidiff"


def _named_folder(folder: Path) -> Path:
    try:
        folder = folder.expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(f"data_dir or $MINIDIFF_DATA: {folder}: {error}") from error
    check_folder(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Take what is a folder, or is not there at all.

    Raises: NotADirectoryError if it is a file; PermissionError if this user may not read it.
    """
    try:
        mode = os.stat(folder).st_mode
        if stat.S_ISDIR(mode):
            os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError as error:
        message = f"this user may not read the folder ({error.strerror})"
        raise PermissionError(error.errno, message, str(folder)) from error
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(
            f"data_dir or $MINIDIFF_DATA: {folder} is a file but must be a folder"
        )
