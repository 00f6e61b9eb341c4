import os
import stat

import numpy as np
import pytest

from minidiff.data import atomic_write
from minidiff.data.atomic import save_npz


def test_the_file_appears_under_its_name_when_the_block_ends(tmp_path):
    with atomic_write(tmp_path / "a.bin") as part:
        part.write_bytes(b"new")
        assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(failure), atomic_write(tmp_path / "a.bin") as part:
        part.write_bytes(b"half of the n")
        raise failure
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_arrays_are_written_completely_or_not_at_all(tmp_path):
    class Bad:
        def __array__(self, *_, **__):
            raise ValueError("no array")

    save_npz(tmp_path / "a.npz", x=np.arange(3))
    with pytest.raises(ValueError, match="no array"):
        save_npz(tmp_path / "a.npz", x=np.zeros(3), y=Bad())
    assert np.load(tmp_path / "a.npz")["x"].tolist() == [0, 1, 2]
    assert os.listdir(tmp_path) == ["a.npz"]


def test_a_folder_that_is_missing_is_told_with_the_name_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cannot write: No such file.*missing.a\.bin'"):
        with atomic_write(tmp_path / "missing" / "a.bin"):
            pass


@pytest.mark.skipif(not hasattr(os, "umask") or os.name == "nt", reason="POSIX permissions")
def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "ordinary").touch()
    with atomic_write(tmp_path / "a.bin"):
        pass
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)
