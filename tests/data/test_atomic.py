import os
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

from minidiff.data import atomic_write
from minidiff.data.atomic import remove_parts, save_npz


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


KILLED = """
import os, signal, sys
from minidiff.data import atomic_write
with atomic_write(sys.argv[1]) as part:
    part.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_a_writer(path):
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=60).returncode == -9


@pytest.mark.skipif(os.name == "nt", reason="POSIX locks")
def test_what_a_killed_writer_left_goes_at_the_next_write(tmp_path):
    (tmp_path / "é.bin").write_bytes(b"old")
    for name in ("é.bin", "b.bin"):
        kill_a_writer(tmp_path / name)
    assert len(os.listdir(tmp_path)) == 3 and (tmp_path / "é.bin").read_bytes() == b"old"
    with atomic_write(tmp_path / "é.bin") as part:
        part.write_bytes(b"new")
        assert {name.split(".")[1] for name in os.listdir(tmp_path) if name.endswith(".part")} == {"é", "b"}
    assert len(os.listdir(tmp_path)) == 2  # b.bin's is b.bin's writer's
    remove_parts(tmp_path)
    assert os.listdir(tmp_path) == ["é.bin"]


def test_a_file_that_is_being_written_stays(tmp_path):
    with atomic_write(tmp_path / "a.bin") as first:
        first.write_bytes(b"first")
        with atomic_write(tmp_path / "a.bin") as second:
            second.write_bytes(b"second")
        remove_parts(tmp_path)
        assert first.exists()
    assert (tmp_path / "a.bin").read_bytes() == b"first"


def test_other_files_stay(tmp_path):
    names = {".a.bin.part", "a.bin.12345678.part", ".a.bin.1234567g.part", ".bash_history"}
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    with atomic_write(tmp_path / "a.bin") as part:
        part.write_bytes(b"new")
    remove_parts(tmp_path)
    assert set(os.listdir(tmp_path)) == {*names, "a.bin"}


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    calls = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("sync"), real_sync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("rename"), real_replace(*paths)))
    with atomic_write(tmp_path / "a.bin") as part:
        part.write_bytes(b"new")
    assert calls == ["sync", "rename", "sync"]


def test_a_disk_that_fails_at_last_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write: No space left on device: '.*a\.bin'"), atomic_write(tmp_path / "a.bin") as part:
        part.write_bytes(b"new")
    assert (tmp_path / "a.bin").read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_a_full_disk_is_told_with_the_name_that_was_asked_for(tmp_path):
    resource = pytest.importorskip("resource")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write: File too large: '.*a\.npz'"):
            save_npz(tmp_path / "a.npz", x=np.random.default_rng(0).random(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == []
