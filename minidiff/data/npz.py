"""Reading an npz file of anybody's: every header first, and never more than it may hold.

An npz file is a zip archive with one npy file for each array. `np.load` believes what such a file
says about itself: a header that declares a petabyte is an attempt to allocate it. And 1 MB of zip
can unpack to 1 GB.
"""

import io
import math
import os
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from .files import open_file

LIMIT = 1 << 29  # bytes of one array: 170,000 pictures of 28 x 28 in float32
CHUNK = 1 << 20
MOST_HEADER_BYTES = 10_000  # NumPy's own limit
MOST_DIRECTORY_BYTES = 1 << 20  # of names in the archive; Python keeps ten times that in memory
END_OF_ARCHIVE, END_BYTES = b"PK\x05\x06", 22
END_OF_ARCHIVE_64, LOCATOR_BYTES = b"PK\x06\x07", 20
HEADER_ERRORS = (
    ValueError, TypeError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError,
)  # fmt: skip
HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class NpzError(ValueError):
    """An npz file that is damaged, too large, or lacks an array. Its message names it."""


class Header(NamedTuple):
    """What the first bytes of an npy file say about the rest."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    n_bytes: int  # of the numbers


def read_npz(
    path: str | os.PathLike[str],
    names: tuple[str, ...],
    optional: tuple[str, ...] = (),
    limit: int = LIMIT,
) -> dict[str, np.ndarray]:
    """The arrays `names` of an npz file, and those of `optional` that it holds.

    Other arrays are not looked at.
    limit: the most bytes of one array. Arrays of Python objects are refused: to read one runs its
    code.

    Raises: NpzError in one line; FileNotFoundError, IsADirectoryError or PermissionError if the
    file can't be opened.
    """
    with _opened(Path(path), _wanted(names)) as archive:
        members = archive.namelist()
        present = [name for name in (*names, *optional) if f"{name}.npy" in members]
        for name in names:
            if name not in present:
                raise NpzError(f"there is no array of that name, only {_listed(members)}")
        return {name: _read_member(archive, f"{name}.npy", limit) for name in present}


def read_whole_npz(
    path: str | os.PathLike[str], wanted: str, needs: str, limit: int
) -> dict[str, np.ndarray]:
    """All arrays of an npz file.

    wanted: what it should be, for the message. needs: the name of an array that it must have.
    limit: the most bytes of all arrays together.

    Raises: as `read_npz`.
    """
    with _opened(Path(path), wanted) as archive:
        members = archive.namelist()
        if f"{needs}.npy" not in members:
            raise NpzError(f"there is no array `{needs}`, only {_listed(members)}")
        arrays: dict[str, np.ndarray] = {}
        for member in members:
            if not member.endswith(".npy"):
                raise NpzError(f"{member} is no array")
            array = _read_member(archive, member, limit)
            limit -= array.nbytes
            arrays[member.removesuffix(".npy")] = array
        return arrays


@contextmanager
def _opened(path: Path, wanted: str) -> Iterator[zipfile.ZipFile]:
    """The archive. Whatever is wrong with it becomes an NpzError of one line."""
    with open_file(path) as file:
        try:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                yield archive
        except NpzError as error:
            raise NpzError(f"{path}: wanted {wanted}: {error}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise NpzError(f"{path}: wanted {wanted}: it is damaged ({error})") from error
        except (ValueError, NotImplementedError, RuntimeError, IndexError, KeyError) as error:
            # zipfile's own words for fields that contradict each other, and for encrypted members
            raise NpzError(f"{path}: wanted {wanted}: it can't be read ({error})") from error


def npz_names(path: str | os.PathLike[str]) -> list[str]:
    """The names of the arrays in an npz file. No array is read.

    Raises: as `read_npz`.
    """
    with _opened(Path(path), "an npz file") as archive:
        members = archive.namelist()
    return [name.removesuffix(".npy") for name in members if name.endswith(".npy")]


def _check_directory(file: BinaryIO) -> None:
    """Refuse an archive with a directory that would take much memory, before zipfile reads it."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - END_BYTES - (1 << 16) - LOCATOR_BYTES))  # a comment has at most 64 KB
    tail = file.read()
    end = tail.rfind(END_OF_ARCHIVE)
    if end < 0:
        raise NpzError("it is no npz file, or it is cut off")
    n_bytes = int.from_bytes(tail[end + 12 : end + 16], "little")
    if n_bytes > MOST_DIRECTORY_BYTES or tail[: max(0, end)].rfind(END_OF_ARCHIVE_64) >= 0:
        raise NpzError(f"its directory has more than {MOST_DIRECTORY_BYTES:,} bytes")
    file.seek(0)


def _read_member(archive: zipfile.ZipFile, member: str, limit: int) -> np.ndarray:
    """One array. Its declared size must fit the limit and what the archive says of it."""
    info = archive.getinfo(member)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NpzError(f"{member} is packed in a way that npz files aren't")
    if info.file_size > limit + MOST_HEADER_BYTES + 12:
        raise NpzError(f"{member} has {info.file_size:,} bytes, more than {limit:,}")
    with archive.open(info) as stream:
        # 12: the magic, the version and the length of the header
        start = stream.read(MOST_HEADER_BYTES + 12)
        header, offset = _parse_header(member, start)
        if header.n_bytes > limit:
            raise NpzError(
                f"{member} declares {header.shape} {header.dtype}, {header.n_bytes:,} bytes, "
                f"more than {limit:,}"
            )
        if offset + header.n_bytes != info.file_size:
            raise NpzError(
                f"{member} declares {header.shape} {header.dtype}, {header.n_bytes:,} bytes, "
                f"but holds {info.file_size - offset:,}"
            )
        data = bytearray(start[offset:])
        while chunk := stream.read(min(CHUNK, 1 + header.n_bytes - len(data))):
            data += chunk
    if len(data) != header.n_bytes:
        raise NpzError(f"{member} is cut off: wants {header.n_bytes:,} bytes, came {len(data):,}")
    array = np.frombuffer(data, header.dtype)
    if header.fortran_order:
        array = array.reshape(header.shape[::-1]).transpose()
    else:
        array = array.reshape(header.shape)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _parse_header(member: str, start: bytes) -> tuple[Header, int]:
    """The header, and where the numbers begin. NumPy parses it, and sees only these bytes."""
    file = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(file)
        if version not in HEADER_READERS:
            raise ValueError(f"version {version[0]}.{version[1]}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about what it parses
            shape, fortran_order, dtype = HEADER_READERS[version](file, MOST_HEADER_BYTES)
        if dtype.hasobject or dtype.names or dtype.subdtype or dtype.itemsize == 0:
            raise ValueError(f"{dtype} are no plain numbers")
        if len(shape) > 32 or any(isinstance(n, bool) or n < 0 for n in shape):
            raise ValueError(f"the shape {shape}")
    except HEADER_ERRORS as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise NpzError(f"{member} has a header that makes no sense: {reason}") from error
    return Header(shape, fortran_order, dtype, math.prod(shape) * dtype.itemsize), file.tell()


def _wanted(names: tuple[str, ...]) -> str:
    articles = "an array " if len(names) == 1 else "arrays "
    return "an npz file with " + articles + ", ".join(f"`{name}`" for name in names)


def _listed(members: list[str]) -> str:
    names = [member.removesuffix(".npy") for member in members[:5]]
    return ", ".join([*map(repr, names), *(["..."] if len(members) > 5 else [])]) or "nothing"
