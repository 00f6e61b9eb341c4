"""Where data are looked for: users without a home, folders that may not be read, files where folders should be."""

import errno
import os

import pytest

from minidiff.data import DataNotFound, folders, load_dataset, load_mnist


@pytest.fixture
def homeless(monkeypatch):
    """A user who is in no list and has no HOME, as in many containers."""
    for name in ("MINIDIFF_DATA", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def no_home(cls=None):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("minidiff.data.folders.sys.platform", "linux")
    monkeypatch.setattr("pathlib.Path.home", no_home)


def test_a_user_without_a_home_can_name_a_folder(homeless, write_set, tmp_path, monkeypatch):
    write_set(tmp_path, "t10k", 5)
    assert len(load_mnist(tmp_path, download=False)) == 5
    monkeypatch.setenv("MINIDIFF_DATA", str(tmp_path))
    assert len(load_mnist(download=False)) == 5
    monkeypatch.delenv("MINIDIFF_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert folders.user_cache() == tmp_path / "cache" / "minidiff"


def test_a_user_without_a_home_is_told_what_to_set(homeless):
    with pytest.raises(DataNotFound, match="this user has no home folder: name a folder .--data-dir, .* or set MINIDIFF_DATA, HOME or XDG_CACHE_HOME"):
        load_mnist()
    dataset = load_dataset("auto", n_digits=3)
    assert dataset.name == "digits" and "no home folder" in dataset.note


def test_the_home_of_an_unknown_user_is_told(lonely):
    with pytest.raises(FileNotFoundError, match="data_dir or .MINIDIFF_DATA: ~nobody-of-this-name"):
        load_dataset("auto", "~nobody-of-this-name/data")


@pytest.fixture
def closed(monkeypatch):
    """closed(folder): this user may not list it."""

    def close(folder):
        real = os.scandir

        def scandir(path="."):
            if os.fspath(path) == os.fspath(folder):
                raise PermissionError(errno.EACCES, "Permission denied", os.fspath(folder))
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return close


def test_a_named_folder_that_may_not_be_read_is_an_error(lonely, closed, tmp_path):
    closed(tmp_path)
    for name in ("mnist", "auto"):
        with pytest.raises(PermissionError, match=r"this user may not read the folder \(Permission denied\)"):
            load_dataset(name, tmp_path)


def test_a_cache_that_may_not_be_read_is_passed_over_with_a_remark(lonely, closed, write_set, tmp_path):
    lonely.mkdir(parents=True)
    closed(lonely)
    with pytest.raises(DataNotFound, match=r"MNIST is not in .*cache/minidiff \(.*cache/minidiff: this user may not read the folder \(Permission denied\)\)"):
        load_mnist(download=False)
    write_set(tmp_path / "given", "t10k", 5)
    assert len(load_mnist(tmp_path / "given", download=False)) == 5


def test_a_file_that_may_not_be_read_is_not_called_damaged(lonely, write_set, tmp_path, monkeypatch):
    write_set(tmp_path, "t10k", 5)

    def closed_file(path, *args):
        raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))

    monkeypatch.setattr("minidiff.data.files.open", closed_file, raising=False)
    with pytest.raises(PermissionError, match="Permission denied"):
        load_dataset("auto", tmp_path, download=False)


def test_a_name_in_any_alphabet(lonely, write_set, tmp_path):
    write_set(tmp_path / "Bücher – 数字" / "mnist", "t10k", 5)
    dataset = load_mnist(str(tmp_path / "Bücher – 数字"), download=False)
    assert "Bücher – 数字" in dataset.note
