"""IDX, the file format of MNIST.

Four bytes of magic come first, then the size of each dimension, then the numbers (big-endian).

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
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .atomic import atomic_write

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


class IdxError(ValueError):
    """An IDX file that is corrupt, cut off, or not what was asked for.

    The message begins with the file's name.
    """


def read_idx(
    path: str | os.PathLike[str], dtype: str | None = None, ndim: int | None = None
) -> np.ndarray:
    """Read one IDX file, gzipped or not, as an array in this machine's byte order.

    dtype ("uint8") and ndim: what the caller wants. Another type or number of dimensions is
    refused.

    Raises: IdxError, which names the file, what was wanted and what came; FileNotFoundError if
    there is no file.
    """
    path = Path(path)
    with path.open("rb") as raw:
        gzipped = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        if not gzipped:
            return _read(raw, path, dtype, ndim)
        try:
            with gzip.open(raw) as unzipped:
                return _read(unzipped, path, dtype, ndim)
        except EOFError as error:
            raise IdxError(f"{path}: the gzip stream is cut off") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise IdxError(f"{path}: the gzip stream is corrupt ({error})") from error


def write_idx(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write `array` as an IDX file, gzipped if the name ends in .gz.

    Raises: TypeError for a type that IDX has no code for, ValueError for an array with nothing in
    it.
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


def _read(
    file: BinaryIO | gzip.GzipFile, path: Path, dtype: str | None, ndim: int | None
) -> np.ndarray:
    magic = _take(file, 4, path, "the magic number")
    zero, code, n_dimensions = struct.unpack(">HBB", magic)
    if zero != 0 or code not in IDX_TYPES or n_dimensions > MOST_DIMENSIONS:
        raise IdxError(
            f"{path}: wants an IDX file, 00 00 TT NN (TT one of {_hex(bytes(IDX_TYPES))}); came "
            f"{_hex(magic)}"
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
    stored = np.dtype(came).newbyteorder(">")
    data = _take(file, math.prod(shape) * stored.itemsize, path, f"{shape} {came}")
    if file.read(1):  # also makes gzip compare its checksum, which it keeps at the end
        raise IdxError(
            f"{path}: wants {len(data):,} bytes for {shape} {came}, came more: something follows "
            f"the data"
        )
    return np.frombuffer(data, stored).reshape(shape).astype(came)


def _take(file: BinaryIO | gzip.GzipFile, n_bytes: int, path: Path, what: str) -> bytes:
    """Read exactly n_bytes, in chunks: a corrupt header may ask for more than there is memory."""
    data = bytearray()
    while len(data) < n_bytes:
        chunk = file.read(min(CHUNK, n_bytes - len(data)))
        if not chunk:
            raise IdxError(
                f"{path}: wants {n_bytes:,} bytes for {what}, came {len(data):,}: the file is cut "
                f"off"
            )
        data += chunk
    return bytes(data)


def _hex(data: bytes) -> str:
    return data.hex(" ")
