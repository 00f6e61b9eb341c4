"""Downloads that are killed: the next start finishes them or fetches anew, and cleans up, with or without a network."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from minidiff.data import DataNotFound, load_mnist, mnist
from minidiff.data.sources import MNIST, md5_of_file

pytest.importorskip("fcntl")


@pytest.fixture
def published(server, write_set, tmp_path, monkeypatch):
    """A small MNIST on the local server, as if it were a public mirror.    -> the server."""
    write_set(tmp_path / "published", "train", 12)
    write_set(tmp_path / "published", "t10k", 5)
    server.files = {path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()}
    md5 = {name: md5_of_file(tmp_path / "published" / name) for name in MNIST.md5}
    monkeypatch.setattr(mnist, "MNIST", dataclasses.replace(MNIST, mirrors=(server.url,), md5=md5))
    return server


def killed(server, lonely, when):
    """Load in another process that is killed (-9) at `when`: the number of renames into the folder after which."""
    code = f"""
        import dataclasses, os, signal
        from pathlib import Path
        from minidiff.data import mnist, unfinished
        mnist.MNIST = dataclasses.replace(mnist.MNIST, mirrors=({server.url!r},), md5={mnist.MNIST.md5!r})
        real, n = os.replace, 0
        def replace(a, b):
            global n
            inside = Path(b).parent.name == "mnist"
            if inside and n == {when}:
                os.kill(os.getpid(), signal.SIGKILL)
            real(a, b)
            n += inside
        os.replace = replace
        mnist.load_mnist()
    """
    environment = {**os.environ, "XDG_CACHE_HOME": str(lonely.parent)}
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert any(name.startswith(".download-") for name in os.listdir(lonely / "mnist"))


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
@pytest.mark.parametrize("download", [True, False])
def test_killed_between_two_renames_all_images_are_there_at_the_next_start(published, lonely, renames, download):
    killed(published, lonely, renames)
    asked = len(published.asked)
    dataset = load_mnist(download=download)
    assert len(dataset) == 17 and dataset.name == "MNIST"
    assert sorted(os.listdir(lonely / "mnist")) == sorted(MNIST.md5)
    assert len(published.asked) == asked  # what was fetched is used


def test_killed_while_fetching_leaves_nothing_after_the_next_start(published, lonely):
    litter = lonely / "mnist" / ".download-abc"
    litter.mkdir(parents=True)
    (litter / "train-images-idx3-ubyte.gz").write_bytes(published.files["train-images-idx3-ubyte.gz"])
    (litter / ".train-labels-idx1-ubyte.gz.12345678.part").write_bytes(b"half")
    with pytest.raises(DataNotFound):
        load_mnist(download=False)
    assert os.listdir(lonely / "mnist") == []
    assert len(load_mnist()) == 17


def test_files_that_are_not_the_published_ones_are_not_moved(published, lonely, write_set):
    write_set(lonely / "mnist" / ".download-abc", "train", 7)
    write_set(lonely / "mnist" / ".download-abc", "t10k", 7)
    with pytest.raises(DataNotFound):
        load_mnist(download=False)
    assert os.listdir(lonely / "mnist") == []


def test_a_folder_of_somebody_else_stays(published, lonely):
    (lonely / "mnist" / ".download-mine").mkdir(parents=True)
    (lonely / "mnist" / ".download-mine" / "thesis.tex").write_text("all my work")
    assert len(load_mnist()) == 17
    assert (lonely / "mnist" / ".download-mine" / "thesis.tex").exists()


def test_a_download_at_work_is_left_alone(published, lonely):
    """Another process has fetched all and moved one set: that is not the whole data set."""
    from minidiff.data.unfinished import download_folder

    (lonely / "mnist").mkdir(parents=True)
    with download_folder(lonely / "mnist", mnist.MNIST.md5) as folder:
        for name, data in published.files.items():
            (lonely / "mnist" / name if "train" in name else folder / name).write_bytes(data)
        with pytest.raises(DataNotFound, match="in .*mnist a download is not finished"):
            load_mnist(download=False)
        assert folder.exists()
    assert len(load_mnist(download=False)) == 17 and not folder.exists()


def test_a_folder_that_cannot_be_written_is_not_taken_for_a_whole_one(published, lonely, monkeypatch):
    killed(published, lonely, 2)

    def refuse(*paths):
        raise PermissionError(13, "Permission denied", str(paths[0]))

    with monkeypatch.context() as context:
        context.setattr(os, "replace", refuse)
        with pytest.raises(DataNotFound, match="a download is not finished"):
            load_mnist(download=False)
    assert len(load_mnist(download=False)) == 17


@pytest.mark.parametrize("moves", [0, 1, 3])
def test_ctrl_c_between_two_renames(published, lonely, monkeypatch, moves):
    real, n = os.replace, 0

    def interrupted(source, target):
        nonlocal n
        if os.path.dirname(target) == str(lonely / "mnist"):
            n += 1
            if n == moves + 1:
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_mnist()
    assert len(load_mnist(download=False)) == 17
    assert sorted(os.listdir(lonely / "mnist")) == sorted(MNIST.md5)
