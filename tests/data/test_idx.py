import gzip
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from minidiff.data import IdxError, read_idx, write_idx
from minidiff.data.idx import IDX_TYPES, read_idx_header

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
GOOD = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 4) + IMAGES.tobytes()
ZIPPED = gzip.compress(GOOD, mtime=0)  # a clock in it would be in the names of the tests, other ones in each process


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_reads_the_published_layout(tmp_path, pack):
    (tmp_path / "images").write_bytes(pack(GOOD))
    np.testing.assert_array_equal(read_idx(tmp_path / "images", dtype="uint8", ndim=3), IMAGES)


@pytest.mark.parametrize("dtype", IDX_TYPES.values())
@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
def test_every_type_comes_back_as_it_was(tmp_path, dtype, name):
    array = (np.arange(6).reshape(3, 2) * 20).astype(dtype)
    write_idx(tmp_path / name, array)
    back = read_idx(tmp_path / name)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype and back.dtype.isnative and back.flags.writeable
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")


@given(st_numpy.arrays(st.sampled_from(list(IDX_TYPES.values())), st_numpy.array_shapes(min_dims=0, max_dims=5)))
def test_any_array_comes_back_as_it_was(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("idx") / "a"
    write_idx(path, array)
    np.testing.assert_array_equal(read_idx(path), array)


@given(st.binary(max_size=60) | st.integers(0, 40).map(lambda n: GOOD[:n]) | st.integers(0, 60).map(lambda n: ZIPPED[:n]))
def test_any_other_bytes_are_refused_with_the_name_of_the_file(tmp_path_factory, data):
    if data in (GOOD, ZIPPED):
        return
    path = tmp_path_factory.mktemp("idx") / "a"
    path.write_bytes(data)
    try:
        read_idx(path)
    except IdxError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert data[:2] == b"\0\0"  # random bytes can happen to be IDX


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "wants 4 bytes for the magic number, came 0: the file is cut off"),
        (b"<html>", r"wants an IDX file, 00 00 TT NN .* came 3c 68 74 6d"),
        (GOOD[:10], "wants 12 bytes for the sizes, came 6"),
        (GOOD[:-1], r"wants 24 bytes for \(2, 3, 4\) uint8, came 23: the file is cut off"),
        (GOOD + b"!", r"wants 24 bytes for \(2, 3, 4\) uint8, came more"),
        (GOOD[:2] + b"\x0d" + GOOD[3:], r"wants uint8 numbers, came float32 \(magic 00 00 0d 03\)"),
        (GOOD[:3] + b"\x01" + GOOD[4:], r"wants 3 dimension\(s\), came 1 \(magic 00 00 08 01\)"),
        (GOOD[:4] + b"\0\0\0\0" + GOOD[8:], r"wants at least one number, came the sizes \(0, 3, 4\)"),
        (GOOD[:4] + b"\xff\xff\xff\xff" * 3, "wants [0-9,]+ bytes .* came 0: the file is cut off"),
        (ZIPPED[:-9], "the gzip stream is cut off"),
        (ZIPPED[:-8] + b"\0" * 8, r"the gzip stream is corrupt \(CRC check failed"),
        (ZIPPED[:10] + b"\xff" * 20, r"the gzip stream is corrupt \(Error -3"),
        (ZIPPED + b"!", "the gzip stream is corrupt"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_what_was_wanted(tmp_path, data, message):
    (tmp_path / "images").write_bytes(data)
    with pytest.raises(IdxError, match="images: " + message):
        read_idx(tmp_path / "images", dtype="uint8", ndim=3)


def test_write_refuses_what_idx_cannot_hold(tmp_path):
    with pytest.raises(TypeError, match="write_idx: array has dtype int64 but IDX wants one of uint8, int8"):
        write_idx(tmp_path / "a", np.arange(3))
    with pytest.raises(ValueError, match=r"write_idx: array has shape \(0, 3\) but wants at least one number"):
        write_idx(tmp_path / "a", np.zeros((0, 3), np.uint8))
    assert not (tmp_path / "a").exists()


def test_a_file_that_declares_more_than_the_limit_is_refused_before_it_is_unpacked(tmp_path):
    from support.fuzzing import bounded_memory

    for sizes in [(2**31,), (40_000, 40_000)]:
        header = bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)
        (tmp_path / "bomb").write_bytes(gzip.compress(header + bytes(30_000_000)))
        with bounded_memory(20), pytest.raises(IdxError, match="bomb: wants at most 1,073,741,824 bytes of numbers, but .* uint8 are "):
            read_idx(tmp_path / "bomb")
    (tmp_path / "small").write_bytes(ZIPPED)
    with pytest.raises(IdxError, match=r"small: wants at most 23 bytes of numbers, but \(2, 3, 4\) uint8 are 24 bytes"):
        read_idx(tmp_path / "small", limit=23)


def test_only_the_bytes_that_the_shape_asks_for_are_unpacked(tmp_path):
    from support.fuzzing import bounded_memory

    (tmp_path / "bomb").write_bytes(gzip.compress(GOOD + bytes(100_000_000)))
    with bounded_memory(20), pytest.raises(IdxError, match="wants 24 bytes .* came more"):
        read_idx(tmp_path / "bomb")


def test_the_header_alone(tmp_path):
    (tmp_path / "images").write_bytes(ZIPPED[:30])  # cut off behind the header
    assert read_idx_header(tmp_path / "images", "uint8", 3) == ("uint8", (2, 3, 4))
    with pytest.raises(IdxError, match="wants 1 dimension"):
        read_idx_header(tmp_path / "images", ndim=1)


def test_what_is_no_file_is_told_from_damage(tmp_path):
    with pytest.raises(IsADirectoryError, match="wants a file, this is a folder"):
        read_idx(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no such file .*null"):
        read_idx("a\0b")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # to open it would wait for ever
        with pytest.raises(OSError, match="wants an ordinary file, this is a pipe or device"):
            read_idx(tmp_path / "pipe")


def test_numpys_integers_and_names_in_any_alphabet(tmp_path):
    write_idx(tmp_path / "ß数.gz", IMAGES)
    np.testing.assert_array_equal(read_idx(str(tmp_path / "ß数.gz"), ndim=np.int64(3), limit=np.int64(24)), IMAGES)
