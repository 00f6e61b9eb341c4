"""Own pictures: what lies in a folder or an npz file becomes a data set, or the error says what is wrong with it."""

import os

import numpy as np
import pytest
from PIL import Image

from minidiff.data import (
    Captions,
    Loader,
    NpzError,
    OwnPicturesError,
    PictureError,
    identity_difference,
    load_dataset,
    load_pictures,
)
from minidiff.data.own_pictures import MOST_CLASSES
from minidiff.engine.random import RNG

RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.fixture
def folder(tmp_path):
    """Ten pictures: red ones of 40 x 20 in b/, white ones of 20 x 30 in a/."""
    for name, size, colour in [("b", (40, 20), RED), ("a", (20, 30), WHITE)]:
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", size, colour).save(tmp_path / "p" / name / f"{i}.{'png' if i < 3 else 'JPG'}", format="PNG" if i < 3 else "JPEG")
    return tmp_path / "p"


def colours(images):
    return images.mean(axis=(2, 3)).round()


def test_subfolders_are_classes_in_the_order_of_their_names(folder):
    dataset = load_pictures(folder, 16)
    assert dataset.images.shape == (10, 3, 16, 16) and dataset.images.dtype == np.uint8
    assert dataset.classes == ("a", "b") and dataset.labels.tolist() == [0] * 5 + [1] * 5
    np.testing.assert_allclose(colours(dataset.images), [WHITE] * 5 + [RED] * 5, atol=1)  # JPEG rounds
    assert dataset.note == f"own pictures: 10 coloured pictures in 2 classes from {folder}, 16 x 16."


def test_pictures_in_the_folder_itself_are_one_class(folder):
    dataset = load_dataset(str(folder / "b"), size=8)
    assert dataset.classes == ("b",) and dataset.labels.tolist() == [0] * 5


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Five pictures are enough here."""
    monkeypatch.setattr("minidiff.data.own_pictures.LEAST_IMAGES", 2)


def test_the_middle_is_kept_in_its_proportions(tmp_path):
    wide = np.zeros((20, 60), np.uint8)
    wide[:, 20:40] = 255  # the middle square is white
    tall = wide.T
    for i, pixels in enumerate((wide, tall)):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    np.testing.assert_array_equal(load_pictures(tmp_path, 12).images, 255)
    off = np.roll(wide, 10, axis=1)  # half of the square is black
    Image.fromarray(off).save(tmp_path / "0.png")
    row = load_pictures(tmp_path, 20).images[0, 0, 10]
    np.testing.assert_array_equal(row, [0] * 10 + [255] * 10)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "LA", "I;16"])
def test_pictures_without_colour_have_one_channel_whatever_their_mode(tmp_path, mode):
    ramp = np.linspace(0, 255, 64).round().astype(np.uint8).reshape(8, 8)
    picture = Image.fromarray(ramp.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(ramp).convert(mode)
    for i in range(2):
        picture.save(tmp_path / f"{i}.png")
    dataset = load_pictures(tmp_path, 8)
    np.testing.assert_array_equal(dataset.images, np.broadcast_to(ramp, (2, 1, 8, 8)))
    assert "2 grey pictures" in dataset.note


def test_grey_takes_the_colour_out(folder):
    dataset = load_pictures(folder, 8, grey=True)
    assert dataset.images.shape == (10, 1, 8, 8)
    np.testing.assert_allclose(colours(dataset.images)[:, 0], [255] * 5 + [76] * 5, atol=1)  # ITU-R 601: 0.299 red


def test_other_files_and_hidden_ones_are_no_pictures(folder):
    (folder / "a" / "notes.txt").write_text("x")
    (folder / "README.md").write_text("x")
    (folder / ".DS_Store").write_text("x")
    (folder / ".thumbs").mkdir()
    (folder / "empty").mkdir()
    dataset = load_pictures(folder, 8)
    assert len(dataset) == 10 and dataset.classes == ("a", "b")
    assert dataset.note.endswith(" 2 files are no pictures and left out.")


def test_a_data_set_is_known_again_where_it_was_moved_and_not_if_a_picture_changed(folder, tmp_path):
    before = load_pictures(folder, 8).identity()
    moved = folder.rename(tmp_path / "elsewhere")
    assert identity_difference(before, load_pictures(moved, 8).identity()) == ""
    assert "the checksum is" in identity_difference(before, load_pictures(moved, 12).identity())
    assert "the shape of an image is [1, 8, 8]" in identity_difference(before, load_pictures(moved, 8, grey=True).identity())
    (moved / "b").rename(moved / "c")
    assert "the checksum is" in identity_difference(before, load_pictures(moved, 8).identity())
    (moved / "c").rename(moved / "b")
    Image.new("RGB", (9, 9), (254, 0, 0)).save(moved / "b" / "0.png")
    assert "the checksum is" in identity_difference(before, load_pictures(moved, 8).identity())


def test_a_loader_and_captions_take_it(folder):
    (folder / "b").rename(folder / "Red_car 2")
    dataset = load_pictures(folder, 8)
    x_0, labels = Loader(dataset.images, dataset.labels, 4, RNG(0), n_classes=2).next_batch()
    assert x_0.shape == (4, 3, 8, 8) and set(labels) <= {0, 1}
    (folder / "a").rename(folder / "owl")
    captions = Captions.of(load_pictures(folder, 8))
    assert captions.nouns == ("red-car-2", "owl")
    facts = captions.facts(dataset.images, dataset.labels)
    assert facts.tolist() == [[label] for label in dataset.labels]
    assert set(captions.describe(facts, RNG(1))) == {"red-car-2", "a red-car-2", "owl", "an owl"}
    assert captions.plain(np.array([1, 0])) == ["an owl", "a red-car-2"]


@pytest.mark.parametrize(
    "shape, wanted", [((3, 8, 8), (1, 8, 8)), ((3, 8, 8, 3), (3, 8, 8)), ((3, 8, 8, 1), (1, 8, 8)), ((3, 3, 8, 8), (3, 8, 8)), ((3, 20, 30, 3), (3, 8, 8)), ((3, 1, 5, 6), (1, 8, 8))]
)
def test_arrays_of_every_order(tmp_path, shape, wanted):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels)
    dataset = load_pictures(tmp_path / "a.npz", 8)
    assert dataset.images.shape == (3, *wanted)
    if set(shape[1:]) <= {1, 3, 8}:  # nothing is resized: every pixel is as it was
        same = pixels.reshape(3, *wanted) if shape[-1] not in (1, 3) else pixels.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(dataset.images, same)


@pytest.mark.parametrize("images, labels", [("images", "labels"), ("train_images", "train_labels"), ("x_train", "y_train"), ("samples", "labels"), ("arr_0", "arr_1")])
def test_the_usual_names_of_arrays_and_labels_of_any_kind(tmp_path, images, labels):
    np.savez(tmp_path / "a.npz", **{images: np.full((4, 8, 8), 0.5, np.float32), labels: np.array([[7], [3], [7], [9]])})
    dataset = load_pictures(tmp_path / "a.npz", 8)
    assert dataset.classes == ("3", "7", "9") and dataset.labels.tolist() == [1, 0, 1, 2]
    assert (dataset.images == 128).all()
    np.savez(tmp_path / "a.npz", **{images: np.ones((2, 8, 8), bool), labels: np.array(["dog", "cat"])})
    dataset = load_pictures(tmp_path / "a.npz", 8)
    assert dataset.classes == ("cat", "dog") and dataset.labels.tolist() == [1, 0] and (dataset.images == 255).all()


OK = np.zeros((3, 8, 8), np.uint8)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x": OK}, "wanted an array of images called `images`, `train_images`, `x_train`, `samples`, `arr_0`, got only 'x'"),
        ({"images": OK.astype(np.int64)}, r"images must be uint8 in 0..255 or floats in \[0, 1\], got int64"),
        ({"images": OK - 1.0}, r"floats in \[0, 1\], got float64 in \[-1, -1\]"),
        ({"images": OK * np.nan}, r"in \[nan, nan\]"),
        ({"images": OK[0]}, r"images must be \(N, H, W\), \(N, H, W, C\) or \(N, C, H, W\) with C = 1, 3, got \(8, 8\)"),
        ({"images": np.zeros((3, 8, 8, 4), np.uint8)}, r"with C = 1, 3, got \(3, 8, 8, 4\)"),
        ({"images": OK[:, :0]}, r"with C = 1, 3, got \(3, 0, 8\)|got \(3, 0, 8, 1\)"),
        ({"images": OK[:1]}, "wanted 2 to 1,000,000 pictures, got 1"),
        ({"images": OK, "labels": np.zeros(2, int)}, r"labels must be \(3,\) integers or words, one for each image, got int64 \(2,\)"),
        ({"images": OK, "labels": np.zeros(3)}, r"labels must be \(3,\) integers or words, one for each image, got float64"),
        ({"images": OK.astype(object)}, "object are no plain numbers"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        load_pictures(tmp_path / "a.npz", 8)
    assert str(tmp_path / "a.npz") in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_and_greedy_npz_files_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=OK)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-40])
    (tmp_path / "text.npz").write_text("images")
    for name in ("cut.npz", "text.npz"):
        with pytest.raises(NpzError, match=f"{name}: wanted an npz file: it is no npz file, or it is cut off"):
            load_pictures(tmp_path / name)
    with pytest.raises(OwnPicturesError, match="wanted a folder of pictures or an .npz file, got .*a.txt"):
        (tmp_path / "a.txt").write_text("")
        load_pictures(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match="there is no folder and no file .*none"):
        load_pictures(tmp_path / "none")


def test_too_much_is_refused_before_a_pixel_is_read(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("minidiff.data.own_pictures.read_picture", None)
    monkeypatch.setattr("minidiff.data.own_pictures.MOST_BYTES", 10 * 3 * 64 - 1)
    with pytest.raises(OwnPicturesError, match="10 pictures of this size take 1,920 bytes, more than 1,919: choose a smaller size"):
        load_pictures(folder, 8)
    monkeypatch.setattr("minidiff.data.own_pictures.MOST_IMAGES", 9)
    with pytest.raises(OwnPicturesError, match="wanted 2 to 9 pictures, got 10"):
        load_pictures(folder, 8)


def test_folders_that_are_no_data_set_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(OwnPicturesError, match="empty: wanted files .png, .jpg, .jpeg, ... in it or in its subfolders, got none$"):
        load_pictures(tmp_path / "empty")
    (tmp_path / "empty" / "t10k-images-idx3-ubyte.gz").write_text("")
    with pytest.raises(OwnPicturesError, match="got none, but files in MNIST's format: name it by --data-dir, with --data mnist"):
        load_pictures(tmp_path / "empty")
    (tmp_path / "arrays").mkdir()
    np.savez(tmp_path / "arrays" / "a.npz", images=OK)
    with pytest.raises(OwnPicturesError, match="got none, but a.npz: name that file"):
        load_pictures(tmp_path / "arrays")
    Image.new("L", (8, 8)).save(folder / "here.png")
    with pytest.raises(OwnPicturesError, match=f"wanted pictures in the folder or in its subfolders, got both: here.png and a{os.sep}0.png"):
        load_pictures(folder)


def test_a_damaged_picture_is_named(folder):
    (folder / "b" / "1.png").write_bytes((folder / "b" / "1.png").read_bytes()[:50])
    with pytest.raises(PictureError, match=r"wanted a picture file, got .*b.1\.png: "):
        load_pictures(folder, 8)


def test_a_bomb_is_refused_by_its_header(folder, monkeypatch):
    monkeypatch.setattr("minidiff.data.picture.MOST_PIXELS", 500)
    with pytest.raises(PictureError, match="b.0.png: it has 40 x 20 pixels, more than 500"):
        load_pictures(folder / "b", 8)


def test_too_many_classes_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((MOST_CLASSES + 1, 8, 8), np.uint8), labels=np.arange(MOST_CLASSES + 1))
    with pytest.raises(OwnPicturesError, match="labels: wanted at most 1000 classes, got 1001"):
        load_pictures(tmp_path / "a.npz", 8)


@pytest.mark.parametrize("size", [0, 4, 10, 516, -8])
def test_sizes_that_networks_cannot_halve_twice_are_refused(folder, size):
    with pytest.raises(ValueError, match=f"size must be a multiple of 4 in 8..512, got {size}"):
        load_pictures(folder, size)


def test_size_and_grey_are_for_own_pictures():
    for options in ({"size": 32}, {"grey": True}):
        with pytest.raises(ValueError, match="size and grey are for own pictures; digits is grey, 28 x 28"):
            load_dataset("digits", **options)
