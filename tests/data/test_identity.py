"""What a checkpoint keeps of a data set, to know it again."""

import json
import re

import numpy as np
import pytest

from minidiff.data import Dataset, identity_difference, load_mnist, make_digits
from minidiff.data.identity import checksum_of

IMAGES = np.arange(80, dtype=np.uint8).reshape(20, 1, 2, 2)
LABELS = np.arange(20) % 10


def dataset(images=IMAGES, labels=LABELS, name="a"):
    return Dataset(images, labels, name, "", folder="/data/a")


def test_an_identity_survives_json(lonely, write_set, tmp_path):
    write_set(tmp_path / "mnist", "t10k", 5)
    here = load_mnist(tmp_path, download=False).identity()
    assert json.loads(json.dumps(here)) == here
    assert here["name"] == "MNIST-format files" and here["source"] == "MNIST-format files, not MNIST's own"
    assert here["folder"] == str((tmp_path / "mnist").resolve())
    assert (here["n_images"], here["image_shape"], here["n_classes"]) == (5, [1, 28, 28], 10)
    assert len(here["checksum"]) == 32


def test_a_relative_folder_becomes_absolute(lonely, write_set, tmp_path, monkeypatch):
    write_set(tmp_path / "data" / "mnist", "t10k", 5)
    monkeypatch.chdir(tmp_path)
    assert load_mnist("data", download=False).folder == str((tmp_path / "data" / "mnist").resolve())


def test_the_checksum_is_of_all_that_is_in_it():
    whole = dataset().checksum
    assert whole == dataset(IMAGES.copy(), LABELS.astype(np.int64)).checksum
    one_pixel = IMAGES.copy()
    one_pixel[7, 0, 1, 1] += 1
    one_label = LABELS.copy()
    one_label[3] = 0
    others = [dataset(one_pixel), dataset(labels=one_label), dataset(IMAGES.reshape(20, 1, 1, 4)), dataset(IMAGES[::-1]), *dataset().split(6)]
    assert len({whole, *(other.checksum for other in others)}) == 1 + len(others)
    assert checksum_of(LABELS) == checksum_of(LABELS.astype(">i8"))


def test_the_checksum_stays_what_it_was():
    """Checkpoints keep it: a change of this number makes all of them refuse their own data."""
    assert dataset().checksum == "fe576b72cfd7f5a1978c8f80e46ced30"


def test_drawn_digits_are_known_by_their_recipe():
    digits = make_digits(np.int64(30), np.int64(4))
    assert digits.checksum == make_digits(30, 4).checksum
    assert len({digits.checksum, make_digits(31, 4).checksum, make_digits(30, 5).checksum, *(part.checksum for part in digits.split(5))}) == 5
    assert digits.split(5, 1)[0].checksum == make_digits(30, 4).split(np.int64(5), np.int64(1))[0].checksum
    assert digits.identity()["folder"] is None and digits.identity()["source"] == "drawn by the program"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (dataset(), ""),
        (Dataset(IMAGES, LABELS, "a", "another note", folder="/elsewhere"), ""),
        (make_digits(20), "the name is digits but was a"),
        (dataset(IMAGES[:9], LABELS[:9]), "the number of images is 9 but was 20"),
        (dataset(IMAGES.reshape(20, 4, 1, 1)), r"the shape of an image is \[4, 1, 1\] but was \[1, 2, 2\]"),
        (dataset(255 - IMAGES), "the run was trained on a from /data/a, this is a from /data/a: the checksum is [0-9a-f]{32} but was"),
    ],
)
def test_two_are_compared_in_words(other, message):
    difference = identity_difference(dataset().identity(), other.identity())
    assert re.search(message, difference)
    assert bool(difference) == bool(message) and "\n" not in difference


def test_a_checkpoint_that_does_not_know_is_no_difference():
    assert identity_difference({}, dataset().identity()) == ""
    assert "the name" in identity_difference({"name": "MNIST"}, dataset().identity())
