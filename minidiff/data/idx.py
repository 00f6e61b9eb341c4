"""IDX, the file format of MNIST: a magic number, the sizes, then the numbers (big-endian).

    00 00 08 03 | 00 00 ea 60 | 00 00 00 1c | 00 00 00 1c | 60000 * 28 * 28 bytes
          |  |    60,000        28            28
          |  number of dimensions
          type of the numbers: 08 = uint8

http://yann.lecun.com/exdb/mnist/ describes it. Files may be gzipped; the first two bytes tell.
"""

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from .atomic import atomic_write
from .files import open_file

IDX_TYPES = {
    0x08: "uint8",
    0x09: "int8",
    0x0B: "int16",
    0x0C: "int32",
    0x0D: "float32",
    0x0E: "float64",
}
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20
MOST_DIMENSIONS = 32
LIMIT = 1 << 30  # bytes of numbers: a gzip file of 1 MB can unpack to a thousand times that


class IdxError(ValueError):
    """An IDX file that is corrupt, cut off, or not what was asked for. Its message names it."""


class Header(NamedTuple):
    """What the first bytes of an IDX file say about the rest."""

    dtype: str
    shape: tuple[int, ...]


def read_idx(
    path: str | os.PathLike[str],
    dtype: str | None = None,
    ndim: int | None = None,
    limit: int = LIMIT,
) -> np.ndarray:
    """Read one IDX file, gzipped or not, as an array in this machine's byte order.

    dtype ("uint8") and ndim are what the caller wants; another type or number of dimensions is
    refused.
    limit: the most bytes of numbers. The header is read first, and a file that asks for more is
    refused before anything is unpacked.

    Raises: IdxError that names the file, what was wanted and what came;
    FileNotFoundError, IsADirectoryError or PermissionError for a file that can't be opened.
    """
    path = Path(path)
    with _unpacked(path) as file:
        header = _read_header(file, path, dtype, ndim)
        return _read_numbers(file, path, header, limit)


def read_idx_header(
    path: str | os.PathLike[str], dtype: str | None = None, ndim: int | None = None
) -> Header:
    """The type and the sizes that an IDX file declares; the numbers are not read.

    Raises: as `read_idx`.
    """
    path = Path(path)
    with _unpacked(path) as file:
        return _read_header(file, path, dtype, ndim)


def write_idx(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write `array` as an IDX file, gzipped when the name ends in .gz.

    TypeError for a type IDX has no code for, ValueError for an array with nothing in it.
    """
    array = np.asarray(array)
    codes = {name: code for code, name in IDX_TYPES.items()}
    if array.dtype.name not in codes:
        raise TypeError(
            f"write_idx: array has dtype {array.dtype} but IDX wants one of {', '.join(codes)}"
        )
    if array.size == 0:
        raise ValueError(f"write_idx: array has shape {array.shape} but wants at least one number")
    header = struct.pack(
        f">BBBB{array.ndim}I", 0, 0, codes[array.dtype.name], array.ndim, *array.shape
    )
    body = header + array.astype(array.dtype.newbyteorder(">")).tobytes()
    with atomic_write(path) as part:
        part.write_bytes(gzip.compress(body, mtime=0) if Path(path).suffix == ".gz" else body)


@contextmanager
def _unpacked(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """The file's bytes, unzipped if need be. Errors of gzip become an IdxError."""
    with open_file(path) as raw:
        gzipped = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        if not gzipped:
            yield raw
            return
        try:
            with gzip.open(raw) as unzipped:
                yield unzipped
        except EOFError as error:
            raise IdxError(f"{path}: the gzip stream is cut off") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise IdxError(f"{path}: the gzip stream is corrupt ({error})") from error


def _read_header(
    file: BinaryIO | gzip.GzipFile, path: Path, dtype: str | None, ndim: int | None
) -> Header:
    magic = _take(file, 4, path, "the magic number")
    zero, code, n_dimensions = struct.unpack(">HBB", magic)
    if zero != 0 or code not in IDX_TYPES or n_dimensions > MOST_DIMENSIONS:
        raise IdxError(
            f"{path}: wants an IDX file, 00 00 TT NN (TT one of {_hex(bytes(IDX_TYPES))}); "
            f"came {_hex(magic)}"
        )
    came = IDX_TYPES[code]
    if dtype is not None and came != dtype:
        raise IdxError(f"{path}: wants {dtype} numbers, came {came} (magic {_hex(magic)})")
    if ndim is not None and n_dimensions != ndim:
        raise IdxError(
            f"{path}: wants {ndim} dimension(s), came {n_dimensions} (magic {_hex(magic)})"
        )
    shape = struct.unpack(f">{n_dimensions}I", _take(file, 4 * n_dimensions, path, "the sizes"))
    if math.prod(shape) == 0:
        raise IdxError(f"{path}: wants at least one number, came the sizes {shape}")
    return Header(came, shape)


def _read_numbers(
    file: BinaryIO | gzip.GzipFile, path: Path, header: Header, limit: int
) -> np.ndarray:
    shape, stored = header.shape, np.dtype(header.dtype).newbyteorder(">")
    n_bytes = math.prod(shape) * stored.itemsize
    what = f"{shape} {header.dtype}"
    if not isinstance(file, gzip.GzipFile):  # its length is known without reading it
        there = os.fstat(file.fileno()).st_size - file.tell()
        if there < n_bytes:
            raise _cut_off(path, n_bytes, what, there)
    if n_bytes > limit:
        raise IdxError(
            f"{path}: wants at most {limit:,} bytes of numbers, but {what} are {n_bytes:,} bytes"
        )
    data = _take(file, n_bytes, path, what)
    if file.read(1):  # also makes gzip compare its checksum, which it keeps at the end
        raise IdxError(
            f"{path}: wants {n_bytes:,} bytes for {what}, came more: something follows the data"
        )
    return np.frombuffer(data, stored).reshape(shape).astype(header.dtype, copy=False)


def _take(file: BinaryIO | gzip.GzipFile, n_bytes: int, path: Path, what: str) -> bytearray:
    """Read exactly n_bytes, in chunks: a corrupt header may ask for more than the file holds."""
    data = bytearray()
    while len(data) < n_bytes:
        chunk = file.read(min(CHUNK, n_bytes - len(data)))
        if not chunk:
            raise _cut_off(path, n_bytes, what, len(data))
        data += chunk
    return data


def _cut_off(path: Path, wanted: int, what: str, came: int) -> IdxError:
    return IdxError(
        f"{path}: wants {wanted:,} bytes for {what}, came {came:,}: the file is cut off"
    )


def _hex(data: bytes | bytearray) -> str:
    return data.hex(" ")
