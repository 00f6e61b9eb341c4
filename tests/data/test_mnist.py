import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from minidiff.data import DataNotFound, IdxError, folders, load_mnist, mnist, write_idx


@pytest.fixture
def published(server, write_set, tmp_path, monkeypatch):
    """A small MNIST on the local server, as if it were a public mirror.    -> the server."""
    write_set(tmp_path / "published", "train", 12)
    write_set(tmp_path / "published", "t10k", 5)
    server.files = {path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()}
    md5 = {name: hashlib.md5(server.files[name]).hexdigest() for name in mnist.MNIST.md5}
    monkeypatch.setattr(mnist, "MNIST", dataclasses.replace(mnist.MNIST, mirrors=(server.url,), md5=md5))
    return server


@pytest.mark.parametrize("folder", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("ending", [".gz", ""])
def test_both_sets_are_found_directly_and_in_the_usual_subfolders(lonely, write_set, tmp_path, folder, ending):
    train = write_set(tmp_path / "data" / folder, "train", 12, ending)
    t10k = write_set(tmp_path / "data" / folder, "t10k", 5, ending)
    dataset = load_mnist(tmp_path / "data", download=False)
    np.testing.assert_array_equal(dataset.images, np.concatenate([train, t10k])[:, None])
    assert dataset.labels.shape == (17,) and dataset.labels.dtype == np.int64
    assert dataset.name == "MNIST-format files"
    assert dataset.note == f"MNIST-format files, not MNIST's own: 17 images from {(tmp_path / 'data' / folder).resolve()}."


def test_one_set_is_used_as_it_is_and_the_note_says_so(lonely, write_set, tmp_path):
    write_set(tmp_path, "t10k", 5)
    dataset = load_mnist(tmp_path)
    assert len(dataset) == 5
    assert dataset.note == f"MNIST-format files, not MNIST's own: {tmp_path} holds only the t10k set; its 5 images are used as they are."


def test_other_spelling_of_the_file_names(lonely, write_set, tmp_path):
    write_set(tmp_path, "train", 3, ending="")
    for path in tmp_path.glob("train-*"):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(load_mnist(tmp_path, download=False)) == 3


def test_the_order_is_data_dir_then_environment_then_cache(lonely, write_set, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDIFF_DATA", str(tmp_path / "environment"))
    write_set(lonely / "mnist", "train", 3)
    assert len(load_mnist(tmp_path / "given", download=False)) == 3
    write_set(tmp_path / "environment", "train", 2)
    assert len(load_mnist(tmp_path / "given", download=False)) == 2
    write_set(tmp_path / "given", "train", 1)
    assert len(load_mnist(tmp_path / "given", download=False)) == 1


@pytest.mark.parametrize(
    ("platform", "variable", "value", "cache"),
    [
        ("linux", "XDG_CACHE_HOME", "/caches", "/caches/minidiff"),
        ("linux", "XDG_CACHE_HOME", "", "~/.cache/minidiff"),
        ("darwin", "XDG_CACHE_HOME", "/caches", "~/Library/Caches/minidiff"),
        ("win32", "LOCALAPPDATA", "/local", "/local/minidiff"),
        ("win32", "LOCALAPPDATA", "", "~/AppData/Local/minidiff"),
    ],
)
def test_the_cache_is_where_the_platform_keeps_caches(monkeypatch, platform, variable, value, cache):
    monkeypatch.setattr(folders.sys, "platform", platform)
    monkeypatch.setenv(variable, value)
    assert folders.user_cache() == Path(cache).expanduser()


def test_fashion_is_not_mistaken_for_mnist_whose_files_have_the_same_names(lonely, write_set, tmp_path):
    write_set(tmp_path / "a", "t10k", 10, labels=mnist.MNIST.first_labels["t10k"])
    write_set(tmp_path / "b", "train", 10, labels=mnist.FASHION.first_labels["train"])
    assert len(load_mnist(tmp_path / "a", download=False)) == 10
    assert load_mnist(tmp_path / "b", fashion=True, download=False).classes[9] == "boot"
    with pytest.raises(DataNotFound):
        load_mnist(tmp_path / "a", fashion=True, download=False)
    with pytest.raises(DataNotFound):
        load_mnist(tmp_path / "b", download=False)


def test_real_test_digits(lonely, real_mnist):
    dataset = load_mnist(real_mnist, download=False)
    test = dataset.images[-10_000:], dataset.labels[-10_000:]
    assert test[0].shape == (10_000, 1, 28, 28)
    assert tuple(test[1][:10]) == mnist.MNIST.first_labels["t10k"]
    assert np.bincount(test[1]).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]  # as LeCun's page has them
    name = "t10k-images-idx3-ubyte.gz"
    assert hashlib.md5((real_mnist / name).read_bytes()).hexdigest() == mnist.MNIST.md5[name]


def labels_as_images(folder, write_set):
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())


def lose_labels(folder, write_set):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()


def lose_images(folder, write_set):
    (folder / "t10k-images-idx3-ubyte.gz").unlink()


def cut_off(folder, write_set):
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:1000])


def label_ten(folder, write_set):
    write_set(folder, "t10k", 5, labels=[0, 1, 10, 3, 4])


def other_count(folder, write_set):
    labels = (folder / "t10k-labels-idx1-ubyte.gz").read_bytes()
    write_set(folder, "t10k", 6)
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(labels)


def other_size(folder, write_set):
    write_idx(folder / "t10k-images-idx3-ubyte.gz", np.zeros((5, 32, 32), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (labels_as_images, r"t10k-images-idx3-ubyte.gz: wants 3 dimension\(s\), came 1 \(magic 00 00 08 01\)"),
        (lose_labels, r"t10k-images-idx3-ubyte.gz: wants t10k-labels-idx1-ubyte beside it \(with or without .gz\), came no such file"),
        (lose_images, r"t10k-labels-idx1-ubyte.gz: wants t10k-images-idx3-ubyte beside it"),
        (cut_off, r"t10k-images-idx3-ubyte.gz: the gzip stream is cut off"),
        (label_ten, r"t10k-labels-idx1-ubyte.gz: wants labels in 0..9, came 10 at index 2"),
        (other_count, r"t10k-labels-idx1-ubyte.gz: wants one label for each of the 6 images of t10k-images-idx3-ubyte.gz, came 5"),
        (other_size, r"t10k-images-idx3-ubyte.gz: wants images of 28 x 28, came 32 x 32"),
    ],
)
def test_a_spoilt_set_is_refused_by_name_even_if_the_other_set_is_good(published, lonely, write_set, tmp_path, spoil, message):
    write_set(tmp_path / "data", "train", 12)
    write_set(tmp_path / "data", "t10k", 5)
    spoil(tmp_path / "data", write_set)
    with pytest.raises(IdxError, match=message):
        load_mnist(tmp_path / "data")
    assert published.asked == []


def test_a_file_is_no_folder(lonely, tmp_path):
    (tmp_path / "a.gz").touch()
    with pytest.raises(NotADirectoryError, match="a.gz is a file but must be a folder"):
        load_mnist(tmp_path / "a.gz")


@pytest.mark.parametrize("given", [True, False])
def test_downloads_once_to_the_folder_given_or_the_cache(published, lonely, tmp_path, given):
    folder = tmp_path / "given" if given else lonely
    data_dir = folder if given else None
    assert len(load_mnist(data_dir)) == 17
    assert sorted(os.listdir(folder / "mnist")) == sorted(published.files)
    assert len(load_mnist(data_dir)) == 17
    assert sorted(published.asked) == sorted(published.files)


def test_the_second_mirror_is_asked_when_the_first_fails(published, lonely, monkeypatch):
    monkeypatch.setattr(mnist, "MNIST", dataclasses.replace(mnist.MNIST, mirrors=(published.url + "broken/", published.url)))
    assert len(load_mnist()) == 17
    assert published.asked[:2] == ["broken/train-images-idx3-ubyte.gz", "train-images-idx3-ubyte.gz"]


def test_a_download_that_breaks_half_way_leaves_no_half_data_set(published, lonely):
    published.cut_off.add("t10k-images-idx3-ubyte.gz")  # the train set was complete by then
    with pytest.raises(DataNotFound, match="t10k-images-idx3-ubyte.gz: wants .* the download was cut off"):
        load_mnist()
    assert os.listdir(lonely / "mnist") == []


def test_ctrl_c_leaves_no_half_data_set(published, lonely, monkeypatch):
    real_fetch = mnist.fetch

    def interrupted(url, *args):
        if "t10k" in url:
            raise KeyboardInterrupt
        real_fetch(url, *args)

    monkeypatch.setattr(mnist, "fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_mnist()
    assert os.listdir(lonely / "mnist") == []


def test_a_silent_mirror_is_given_up(published, lonely):
    published.silent.add("train-images-idx3-ubyte.gz")
    with pytest.raises(DataNotFound, match="the server was silent for 0.2 s"):
        load_mnist(timeout=0.2)


def test_no_network_tells_where_to_put_the_files(published, lonely):
    published.files.clear()
    with pytest.raises(DataNotFound) as caught:
        load_mnist()
    message = str(caught.value)
    assert message.startswith(
        f"MNIST is not in {lonely} and could not be downloaded:\n  {published.url}train-images-idx3-ubyte.gz: the server answered 404"
    )
    assert f"Put {', '.join(mnist.MNIST.md5)} into {lonely / 'mnist'} by hand" in message
    assert "$MINIDIFF_DATA" in message and "built-in digits" in message


def test_without_download_no_server_is_asked(published, lonely):
    with pytest.raises(DataNotFound, match="MNIST is not in "):
        load_mnist(download=False)
    assert published.asked == []


def test_a_cache_that_cannot_be_written_is_named(published, lonely):
    lonely.parent.write_text("a file where the folder should be")
    with pytest.raises(DataNotFound, match=r"could not be downloaded:\n.*Not a directory.*/cache/minidiff"):
        load_mnist()
    assert published.asked == []


def test_every_published_file_has_a_checksum():
    for source in (mnist.MNIST, mnist.FASHION):
        assert len(set(source.md5.values())) == 4 and all(len(md5) == 32 for md5 in source.md5.values())
        assert len(source.mirrors) == 2 and all(url.endswith("/") for url in source.mirrors)
