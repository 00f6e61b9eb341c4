"""The reader of npz files believes nothing: sizes are compared before anything is unpacked."""

import io
import struct
import zipfile

import numpy as np
import pytest
from support.fuzzing import bounded_memory

from minidiff.data import NpzError, npz, read_npz

SAMPLES = np.arange(12, dtype=np.float32).reshape(3, 1, 2, 2)


@pytest.fixture
def refused(tmp_path):
    """The message about an npz file of these bytes, in which `samples` is wanted."""

    def run(data, **options):
        path = tmp_path / "s.npz"
        path.write_bytes(data)
        with bounded_memory(30), pytest.raises(NpzError) as caught:
            read_npz(path, ("samples",), **options)
        message = str(caught.value)
        assert "\n" not in message and message.startswith(f"{path}: wanted an npz file with an array `samples`: ")
        return message.removeprefix(f"{path}: wanted an npz file with an array `samples`: ")

    return run


def archive(method=zipfile.ZIP_DEFLATED, **members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as z:
        for name, data in members.items():
            z.writestr(f"{name}.npy", data)
    return file.getvalue()


def npy(header, body=b"", version=1):
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode("latin-1") + body


def header(shape, descr="'<f4'", order=False):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("array", [SAMPLES, np.asfortranarray(SAMPLES), SAMPLES.astype(">f4"), SAMPLES[:0], np.float32(3), np.array(["a", "bc"])])
def test_whole_arrays_come_back_as_they_were(tmp_path, save, array):
    save(tmp_path / "é.npz", samples=array, labels=np.arange(3), other=np.arange(4))
    arrays = read_npz(str(tmp_path / "é.npz"), ("samples",), optional=("labels", "absent"))
    assert set(arrays) == {"samples", "labels"}
    np.testing.assert_array_equal(arrays["samples"], array)
    assert arrays["samples"].dtype.isnative and arrays["samples"].flags.writeable
    assert arrays["samples"].shape == np.shape(array)


def test_a_lacking_array_is_named_with_what_there_is(refused):
    file = io.BytesIO()
    np.savez(file, x=SAMPLES, y=SAMPLES)
    assert refused(file.getvalue()) == "there is no array of that name, only 'x', 'y'"


def test_a_header_that_declares_petabytes_allocates_nothing(refused):
    message = refused(archive(samples=npy(header((10**5, 3, 10**5, 10**5)))))
    assert message == "samples.npy declares (100000, 3, 100000, 100000) float32, 12,000,000,000,000,000 bytes, more than 536,870,912"


def test_a_header_that_declares_other_than_there_is(refused):
    assert refused(archive(samples=npy(header((3,)), bytes(11)))) == "samples.npy declares (3,) float32, 12 bytes, but holds 11"
    assert refused(archive(samples=npy(header((3,)), bytes(13)))) == "samples.npy declares (3,) float32, 12 bytes, but holds 13"


def test_a_bomb_of_zip_is_refused_before_it_is_unpacked(refused):
    bomb = archive(samples=npy(header((10**8,)), bytes(4 * 10**8)))
    assert len(bomb) < 500_000
    assert refused(bomb, limit=10**8).endswith("more than 100,000,000")


def test_objects_are_refused_without_running_them(refused):
    file = io.BytesIO()
    np.savez(file, samples=np.array([{}, None], object))
    assert refused(file.getvalue()) == "samples.npy has a header that makes no sense: object are no plain numbers"
    assert "no plain numbers" in refused(archive(samples=npy(header((1,), "[('a', '<f4'), ('b', '|O')]"), bytes(12))))


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4'", "(" * 5000, "[" * 9000, "", "\x00", "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4), }", header((True, 2)),
        header("'no'"), header((1,), "'<f99'"), header((1,), "'|V0'"), "{}", header((3,)) + " " * 20_000, header((1,) * 60), "{'descr': '''",
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_headers_that_make_no_sense_are_refused(refused, text, version):
    assert refused(archive(samples=npy(text, bytes(4), version))).startswith("samples.npy has a header that makes no sense: ")


def test_a_header_of_gigabytes_is_not_read(refused):
    start = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1)
    assert "has a header that makes no sense" in refused(archive(samples=start + bytes(300_000_000)))


def test_damage_in_the_archive_is_told(refused):
    data = archive(samples=npy(header((1000,)), np.random.default_rng(0).bytes(4000)))
    assert refused(data[:-40]) == "it is no npz file, or it is cut off"
    assert refused(b"") == refused(b"PK\x03\x04 nothing") == "it is no npz file, or it is cut off"
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    assert "damaged" in refused(bytes(flipped))
    stored = bytearray(archive(zipfile.ZIP_STORED, samples=npy(header((1000,)), bytes(4000))))
    stored[len(stored) // 2] ^= 1
    assert "Bad CRC-32" in refused(bytes(stored))


def test_other_ways_to_pack_are_refused(refused):
    assert "packed in a way that npz files aren't" in refused(archive(zipfile.ZIP_LZMA, samples=npy(header((1,)), bytes(4))))
    encrypted = bytearray(archive(samples=npy(header((1,)), bytes(4))))
    encrypted[6] |= 1
    encrypted[encrypted.rindex(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refused(bytes(encrypted))


def test_a_directory_of_thousands_of_names_is_not_kept_in_memory(refused):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        for i in range(20_000):
            z.writestr(f"{i}.npy", b"")
    assert refused(file.getvalue()) == f"its directory has more than {npz.MOST_DIRECTORY_BYTES:,} bytes"


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "none.npz", ("samples",))
    with pytest.raises(IsADirectoryError, match="wants a file, this is a folder"):
        read_npz(tmp_path, ("samples",))
