"""Damaged IDX, npz and picture files: each is read or refused by its documented error, in one line, soon, in little memory."""

import gzip
import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from support.fuzzing import bounded_memory, cases, damaged, no_hang

from minidiff.data import IdxError, NpzError, PictureError, read_idx, read_npz, read_picture

pytest.importorskip("resource")

LIMIT = 1 << 20  # bytes that the readers may unpack here


def attack(n, seed, good, read, error, path, megabytes=64):
    """n damaged files, from the whole ones in `good`.    -> how many were refused"""
    refused = 0
    with bounded_memory(megabytes):
        for i, random in cases(n, seed):
            path.write_bytes(damaged(good[i % len(good)], random))
            with no_hang():
                try:
                    read(path)
                except error as caught:
                    assert str(path) in str(caught) and "\n" not in str(caught), f"case {i} of seed {seed}: {caught}"
                    refused += 1
                except Exception as other:
                    raise AssertionError(f"case {i} of seed {seed}: {type(other).__name__}: {other}") from other
    return refused


def test_damaged_idx_files(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 7), np.uint8)
    plain = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape) + images.tobytes()
    floats = bytes([0, 0, 0x0E, 1]) + struct.pack(">I", 40) + np.arange(40.0).astype(">f8").tobytes()
    bomb = gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 30 * LIMIT) + bytes(30 * LIMIT))
    good = [plain, gzip.compress(plain), floats, gzip.compress(floats), bomb]
    refused = attack(3000, 1, good, lambda path: read_idx(path, limit=LIMIT), IdxError, tmp_path / "a")
    assert refused > 1500


def npz(compress, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(file, **arrays)
    return file.getvalue()


def npz_of_header(header, body=b"", version=b"\x01\x00", method=zipfile.ZIP_DEFLATED):
    """An npz file whose array `samples` has this text as its header, not damaged otherwise."""
    file = io.BytesIO()
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("samples.npy", b"\x93NUMPY" + version + length + header + body)
    return file.getvalue()


def test_damaged_npz_files(tmp_path):
    random = np.random.default_rng(0)
    samples = random.random((4, 1, 5, 5), np.float32)
    good = [
        npz(False, samples=samples, labels=np.arange(4)),
        npz(True, samples=samples, labels=np.arange(4)),
        npz(True, samples=np.zeros((400_000,), np.float32)),
        npz(False, samples=np.asfortranarray(samples), labels=np.arange(4).astype(">i8")),
    ]
    refused = attack(
        3000, 2, good, lambda path: read_npz(path, ("samples",), ("labels",), limit=LIMIT), NpzError, tmp_path / "a.npz"
    )
    assert refused > 1500


def test_damaged_npz_headers_in_whole_archives(tmp_path):
    """The archive's checksums hold here, so that the header is what has to be judged."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 1, 5, 5), }"
    path = tmp_path / "a.npz"
    with bounded_memory(64):
        for i, random in cases(3000, 3):
            spoilt = damaged(header, random)
            version = [b"\x01\x00", b"\x02\x00"][i % 2]
            path.write_bytes(npz_of_header(spoilt, bytes(400), version, [0, 8][i // 2 % 2]))
            with no_hang():
                try:
                    array = read_npz(path, ("samples",), limit=LIMIT)["samples"]
                    assert array.nbytes <= LIMIT and not array.dtype.hasobject
                except NpzError as caught:
                    assert str(path) in str(caught) and "\n" not in str(caught), f"case {i}: {caught}"
                except Exception as other:
                    raise AssertionError(f"case {i}: {type(other).__name__}: {other}") from other


def pictures():
    """Small whole pictures of every format and many modes."""
    random = np.random.default_rng(0)
    grey = Image.fromarray(random.integers(0, 256, (20, 16), np.uint8))
    words = Image.fromarray(random.integers(0, 65536, (20, 16)).astype(np.uint16))
    colour = Image.fromarray(random.integers(0, 256, (20, 16, 3), np.uint8))
    kinds = [
        (grey, "PNG", {}), (words, "PNG", {}), (colour.convert("P"), "PNG", {}), (colour.convert("RGBA"), "PNG", {}), (grey.convert("1"), "PNG", {}),
        (colour, "JPEG", {}), (colour.convert("CMYK"), "JPEG", {}), (colour.convert("P"), "GIF", {}), (colour, "BMP", {}),
        (words, "TIFF", {}), (colour, "TIFF", {"compression": "tiff_lzw"}), (colour, "WEBP", {}), (colour, "PPM", {}),
        (grey, "GIF", {"save_all": True, "append_images": [grey.rotate(90)]}),
    ]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds.append((colour, "JPEG", {"exif": exif}))
    for picture, format, options in kinds:
        file = io.BytesIO()
        picture.save(file, format, **options)
        yield file.getvalue()
    yield b"P5 16 20 65535\n" + random.integers(0, 65536, (20, 16)).astype(">u2").tobytes()  # old Pillows can't write it


def with_right_checksums(data):
    """A damaged PNG file whose chunks have right checksums again, so that Pillow looks into them."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    parts, at = [data[:8]], 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        parts += [data[at : at + 4], body, zlib.crc32(body).to_bytes(4, "big")]
        at += 12 + length
    return b"".join(parts)


@pytest.mark.parametrize("checksums", ["broken", "right"])
def test_damaged_pictures(tmp_path, checksums):
    good = list(pictures())
    if checksums == "right":
        good = [data for data in good if data.startswith(b"\x89PNG")]

    def read(path):
        if checksums == "right":
            path.write_bytes(with_right_checksums(path.read_bytes()))
        for channels in (1, 3):
            x_0 = read_picture(path, (channels, 8, 8))
            assert x_0.shape == (1, channels, 8, 8) and x_0.dtype == np.float32 and abs(x_0).max() <= 1

    assert attack(1500, 4, good, read, PictureError, tmp_path / "a.png", megabytes=700) > 300
