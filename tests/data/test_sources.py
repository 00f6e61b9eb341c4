"""Whose files these are: told by their checksums, and by the first labels where somebody has changed them."""

import dataclasses
import gzip
import hashlib
import shutil

import numpy as np
import pytest

from minidiff.data import (
    Captions,
    DataNotFound,
    load_dataset,
    load_mnist,
    mnist,
    read_idx,
    write_idx,
)
from minidiff.data.sources import FASHION, KMNIST, MNIST, md5_of_file, md5_of_idx

NAMES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def own(source, folder):
    """`source`, as if the files of this folder were the published ones."""
    md5 = {path.name: md5_of_file(path) for path in folder.iterdir()}
    unpacked = {path.stem: hashlib.md5(gzip.decompress(path.read_bytes())).hexdigest() for path in folder.iterdir()}
    return dataclasses.replace(source, md5=md5, unpacked_md5=unpacked)


def test_mnists_own_test_digits_are_called_mnist(lonely, real_mnist, tmp_path):
    for name in NAMES:
        shutil.copy(real_mnist / f"{name}.gz", tmp_path)
    dataset = load_mnist(tmp_path, download=False)
    assert dataset.name == "MNIST" and dataset.note.startswith(f"MNIST: {tmp_path} holds only the t10k set")


def test_the_packer_does_not_matter_but_every_number_does(lonely, real_mnist, tmp_path):
    arrays = {name: read_idx(real_mnist / f"{name}.gz").copy() for name in NAMES}
    for name, array in arrays.items():
        write_idx(tmp_path / name, array)
        assert md5_of_idx(array) == MNIST.unpacked_md5[name]
    assert load_mnist(tmp_path, download=False).name == "MNIST"
    for name in NAMES:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes(), 1))
        (tmp_path / name).unlink()
    assert load_mnist(tmp_path, download=False).name == "MNIST"
    arrays[NAMES[0]][9_999, 27, 27] ^= 1
    (tmp_path / f"{NAMES[0]}.gz").unlink()
    write_idx(tmp_path / NAMES[0], arrays[NAMES[0]])
    assert load_mnist(tmp_path, download=False).name == "MNIST-format files"


def test_unknown_files_are_not_called_mnist(lonely, write_set, tmp_path):
    """EMNIST's digits, say."""
    write_set(tmp_path, "train", 20)
    write_set(tmp_path, "t10k", 5)
    for name in ("mnist", "auto"):
        dataset = load_dataset(name, tmp_path, download=False)
        assert dataset.name == "MNIST-format files"
        assert dataset.note == f"MNIST-format files, not MNIST's own: 25 images from {tmp_path}."


def test_one_unknown_set_of_two_is_enough(lonely, write_set, tmp_path, monkeypatch):
    write_set(tmp_path / "a", "train", 20)
    monkeypatch.setattr(mnist, "MNIST", own(MNIST, tmp_path / "a"))
    assert load_mnist(tmp_path / "a", download=False).name == "MNIST"
    write_set(tmp_path / "a", "t10k", 5)
    assert load_mnist(tmp_path / "a", download=False).name == "MNIST-format files"


@pytest.mark.parametrize("other", ["KMNIST", "FASHION"])
def test_known_files_of_others_are_named_and_not_taken(lonely, write_set, tmp_path, monkeypatch, other):
    write_set(tmp_path / "mnist", "t10k", 5)
    monkeypatch.setattr(mnist, other, own(getattr(mnist, other), tmp_path / "mnist"))
    name = getattr(mnist, other).name
    with pytest.raises(DataNotFound, match=rf"MNIST is not in .* \({tmp_path}/mnist holds files of {name} under these names\)"):
        load_mnist(tmp_path, download=False)
    dataset = load_dataset("auto", tmp_path, n_digits=3, download=False)
    assert dataset.name == "digits" and name in dataset.note


def test_files_that_begin_as_fashions_are_named(lonely, write_set, tmp_path):
    write_set(tmp_path, "train", 60, labels=[*FASHION.first_labels["train"], *range(10)] * 3)
    with pytest.raises(DataNotFound, match="holds files of Fashion-MNIST under these names"):
        load_mnist(tmp_path, download=False)


def test_mnists_files_in_fashions_folder_are_named_too(lonely, write_set, tmp_path):
    write_set(tmp_path / "fashion", "t10k", 10, labels=MNIST.first_labels["t10k"])
    with pytest.raises(DataNotFound, match="Fashion-MNIST is not in .*fashion holds files of MNIST under these names"):
        load_mnist(tmp_path, fashion=True, download=False)


def test_a_download_overwrites_no_files_of_others(server, lonely, write_set, tmp_path, monkeypatch):
    write_set(tmp_path / "published", "train", 12)
    write_set(tmp_path / "published", "t10k", 5)
    server.files = {path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()}
    monkeypatch.setattr(mnist, "MNIST", dataclasses.replace(own(MNIST, tmp_path / "published"), mirrors=(server.url,)))
    write_set(tmp_path / "data" / "mnist", "train", 60, labels=[*FASHION.first_labels["train"], *range(10)] * 3)
    before = {path.name: path.read_bytes() for path in (tmp_path / "data" / "mnist").iterdir()}
    dataset = load_mnist(tmp_path / "data")
    assert dataset.name == "MNIST" and len(dataset) == 17 and dataset.folder == str((tmp_path / "data" / "MNIST" / "raw").resolve())
    assert {path.name: path.read_bytes() for path in (tmp_path / "data" / "mnist").iterdir()} == before


def test_captions_take_the_labels_of_unknown_files_by_their_numbers(lonely, write_set, tmp_path):
    write_set(tmp_path / "mnist", "t10k", 40, labels=np.arange(40) % 10)
    write_set(tmp_path / "fashion", "t10k", 40, labels=np.arange(40) % 10)
    assert Captions.of(load_mnist(tmp_path, download=False)).nouns[7] == "seven"
    assert Captions.of(load_mnist(tmp_path, fashion=True, download=False)).nouns[9] == "boot"


def test_no_two_data_sets_share_a_checksum():
    sums = [md5 for source in (MNIST, FASHION, KMNIST) for md5 in (*source.md5.values(), *source.unpacked_md5.values())]
    assert len(set(sums)) == len(sums) == 20 and all(len(md5) == 32 for md5 in sums)
