"""A file appears under its name only when it is complete."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a temporary file, which becomes `path` when the block ends well.

    On any failure, Ctrl-C included, the temporary file is removed and the old file at `path` is
    still there.

    Raises: OSError, which names `path`, if its folder can't be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        # not tempfile: its files are private to the user, and os.replace would keep that
        part.touch(exist_ok=False)
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror}", str(path)) from error
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def save_npz(path: str | os.PathLike[str], **arrays: Any) -> None:
    """np.savez_compressed, complete or not at all."""
    with atomic_write(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, **arrays)
