import numpy as np
import pytest

from minidiff.data import DataNotFound, DownloadError, IdxError, load_dataset, make_digits
from minidiff.data.mnist import FASHION


def test_digits_are_drawn(lonely):
    dataset = load_dataset("digits", n_digits=30, seed=4)
    np.testing.assert_array_equal(dataset.images, make_digits(30, seed=4).images)
    assert dataset.note == "digits: 30 images of digits drawn by the program, seed 4."


def test_mnist_and_fashion_are_read_from_files(lonely, write_set, tmp_path):
    write_set(tmp_path / "mnist", "t10k", 5)
    write_set(tmp_path / "fashion", "train", 10, labels=FASHION.first_labels["train"])
    assert load_dataset("mnist", tmp_path, download=False).name == "MNIST-format files"
    assert load_dataset("fashion", tmp_path, download=False).name == "Fashion-MNIST-format files"


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_what_was_asked_for_by_name_is_not_replaced(lonely, name):
    with pytest.raises(DataNotFound, match="MNIST is not in"):
        load_dataset(name, download=False)


def test_auto_is_mnist_where_it_can_be_had(lonely, write_set, tmp_path):
    write_set(tmp_path, "t10k", 5)
    assert load_dataset("auto", tmp_path, download=False).note.startswith(f"MNIST-format files, not MNIST's own: {tmp_path} holds only the t10k set")


def test_auto_is_digits_else_and_says_so_in_one_line(lonely, monkeypatch):
    def no_network(url, *args):
        raise DownloadError(f"{url}: no connection (Name or service not known)")

    monkeypatch.setattr("minidiff.data.mnist.fetch", no_network)
    dataset = load_dataset("auto", n_digits=7)
    assert len(dataset) == 7
    assert dataset.note == (
        "digits: 7 images of digits drawn by the program, seed 0. They stand in for MNIST, which is "
        f"not in {lonely} and could not be downloaded (https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz: "
        "no connection (Name or service not known))."
    )


def test_auto_does_not_hide_a_corrupt_file(lonely, write_set, tmp_path):
    write_set(tmp_path, "t10k", 5)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bnonsense")
    with pytest.raises(IdxError, match="t10k-images-idx3-ubyte.gz: the gzip stream is corrupt"):
        load_dataset("auto", tmp_path, download=False)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="load_dataset: name must be one of mnist, fashion, digits, auto, or a folder of pictures or an .npz file that is there, got 'MNIST'"):
        load_dataset("MNIST")
