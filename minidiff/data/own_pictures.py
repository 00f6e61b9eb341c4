"""Own pictures as a data set: a folder of picture files, or an npz file of arrays.

    pictures/cat/1.jpg  pictures/dog/2.png  ...      subfolders are the classes
    pictures/1.jpg      pictures/2.png      ...      one class
    pictures.npz        images (N, H, W), (N, H, W, C) or (N, C, H, W), and labels (N,)

Of each picture the largest square in its middle is kept, and resized.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .dataset import Dataset
from .folders import check_folder
from .identity import checksum_of
from .npz import npz_names, read_npz
from .picture import centre_of, read_picture
from .scaling import as_int, to_bytes, to_unit
from .sources import md5_of_file

NAME = "own pictures"
ENDINGS = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".pgm",
    ".ppm",
)  # fmt: skip
IDX_BEGINNINGS = ("train-images", "train-labels", "t10k-images", "t10k-labels")
LEAST_IMAGES, MOST_IMAGES = 10, 1_000_000
MOST_BYTES = 1 << 31  # of the data set in memory
MOST_CLASSES = 1000
LEAST_SIZE, MOST_SIZE, FACTOR = 8, 512, 4  # the networks halve a picture twice
ARRAYS = (  # the names of images and labels in npz files: ours, MedMNIST's, Keras', samples.npz's
    ("images", "labels"), ("train_images", "train_labels"), ("x_train", "y_train"),
    ("samples", "labels"), ("arr_0", "arr_1"),
)  # fmt: skip


class OwnPicturesError(ValueError):
    """A folder or an npz file that is no data set. Its message says what was wanted."""


class Found(NamedTuple):
    """What lies in a folder."""

    files: list[Path]
    labels: list[int]
    classes: list[str]
    left_out: int  # files that are no pictures


def load_pictures(path: str | os.PathLike[str], size: int = 28, grey: bool = False) -> Dataset:
    """The pictures in a folder, or the arrays of an npz file, as (N, C, size, size).

    C is 3, or 1 where all pictures are grey. The order is that of the names.
    size: a multiple of 4 in 8..512. grey: make coloured pictures grey, too.

    Raises: OwnPicturesError or PictureError in one line; NpzError for a damaged npz file;
    FileNotFoundError or PermissionError if there is nothing to be read.
    """
    path, size = Path(os.path.abspath(path)), check_size(size)
    if path.is_dir():
        return _from_folder(path, size, grey)
    if path.suffix.lower() == ".npz":
        return _from_npz(path, size, grey)
    if not path.exists():
        raise FileNotFoundError(f"data: there is no folder and no file {path}")
    raise OwnPicturesError(f"data: wanted a folder of pictures or an .npz file, got {path}")


def check_size(size: int) -> int:
    """A side of pictures that the networks can halve twice.

    Raises: TypeError if it is no integer; ValueError if it is out of range.
    """
    size = as_int("load_pictures: size", size)
    if not LEAST_SIZE <= size <= MOST_SIZE or size % FACTOR:
        raise ValueError(
            f"load_pictures: size must be a multiple of {FACTOR} in {LEAST_SIZE}..{MOST_SIZE}, "
            f"got {size}"
        )
    return size


def _from_folder(folder: Path, size: int, grey: bool) -> Dataset:
    found = find_pictures(folder)
    n, channels = len(found.files), 1 if grey else 3
    _check_count(f"{folder}", n, channels * size**2)
    images = np.empty((n, channels, size, size), np.uint8)
    digests = []
    for i, file in enumerate(found.files):
        images[i] = to_bytes(to_unit(read_picture(file, images.shape[1:], centred=True)[0]))
        digests.append(f"{file.relative_to(folder).as_posix()} {md5_of_file(file)}")
    labels = np.array(found.labels, np.int64)
    rest = f" {found.left_out} files are no pictures and left out." if found.left_out else ""
    # another version of Pillow may round a grey differently: the recipe tells what the files are
    names = found.classes if len(found.classes) > 1 else []
    recipe = f"pictures {checksum_of(*digests, *names)}, {size} x {size}"
    return _dataset(images, labels, found.classes, folder, rest, recipe)


def find_pictures(folder: Path) -> Found:
    """The files with a picture's ending in a folder, or in its subfolders, which are classes.

    Hidden files and folders are passed over. Links are followed.

    Raises: OwnPicturesError if there are none, if they lie in both places, or too many classes.
    """
    check_folder(folder)
    here, folders, left_out = _entries(folder)
    by_class = {}
    for subfolder in folders:
        check_folder(subfolder)
        inside, _, others = _entries(subfolder)
        left_out += others
        if inside:
            by_class[subfolder.name] = inside
    if here and by_class:
        raise OwnPicturesError(
            f"{folder}: wanted pictures in the folder or in its subfolders, got both: "
            f"{here[0].name} and {next(iter(by_class.values()))[0].relative_to(folder)}"
        )
    if not here and not by_class:
        raise OwnPicturesError(
            f"{folder}: wanted files {', '.join(ENDINGS[:3])}, ... in it or in its subfolders, "
            f"got none{_hint(folder)}"
        )
    if len(by_class) > MOST_CLASSES:
        raise OwnPicturesError(
            f"{folder}: wanted at most {MOST_CLASSES} classes, got {len(by_class)} subfolders"
        )
    if here:
        return Found(here, [0] * len(here), [folder.name or "picture"], left_out)
    pairs = [(file, i) for i, files in enumerate(by_class.values()) for file in files]
    files, labels = [file for file, _ in pairs], [label for _, label in pairs]
    return Found(files, labels, list(by_class), left_out)


def _entries(folder: Path) -> tuple[list[Path], list[Path], int]:
    """The pictures and the folders in a folder, by name, and the number of other files."""
    with os.scandir(folder) as entries:
        seen = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda e: e.name)
    folders = [Path(entry.path) for entry in seen if entry.is_dir()]
    files = [Path(entry.path) for entry in seen if not entry.is_dir()]
    pictures = [file for file in files if file.suffix.lower() in ENDINGS]
    return pictures, folders, len(files) - len(pictures)


def _hint(folder: Path) -> str:
    """What to do with a folder that holds something else."""
    names = [entry.name for entry in os.scandir(folder)]
    if any(name.startswith(IDX_BEGINNINGS) for name in names):
        return ", but files in MNIST's format: name it by --data-dir, with --data mnist"
    if arrays := [name for name in names if name.lower().endswith(".npz")]:
        return f", but {arrays[0]}: name that file"
    return ""


def _from_npz(path: Path, size: int, grey: bool) -> Dataset:
    names = npz_names(path)
    pair = next((pair for pair in ARRAYS if pair[0] in names), None)
    if pair is None:
        wanted = ", ".join(f"`{images}`" for images, _ in ARRAYS)
        raise OwnPicturesError(
            f"{path}: wanted an array of images called {wanted}, got only "
            f"{', '.join(map(repr, names[:5])) or 'nothing'}"
        )
    arrays = read_npz(path, pair[:1], optional=pair[1:])
    pixels, labels = arrays[pair[0]], arrays.get(pair[1])
    pictures = _channels_last(f"{path}: {pair[0]}", pixels)
    _check_count(f"{path}", len(pictures), 3 * size**2)
    images = np.stack([_resized(picture, size) for picture in pictures])
    if grey and images.shape[1] == 3:
        images = np.stack([_grey(image) for image in images])
    indices, classes = _classes(f"{path}: {pair[1]}", labels, len(images))
    recipe = f"arrays {checksum_of(pixels, indices, *classes)}, {size} x {size}"
    return _dataset(images, indices, classes, path, "", recipe)


def _channels_last(name: str, pixels: np.ndarray) -> np.ndarray:
    """-> (N, H, W, 1 or 3) uint8"""
    wanted = "(N, H, W), (N, H, W, C) or (N, C, H, W) with C = 1, 3"
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype.kind == "f":
        low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
        if not (low >= 0 and high <= 1):
            raise OwnPicturesError(
                f"{name} must be uint8 in 0..255 or floats in [0, 1], got {pixels.dtype} in "
                f"[{low:g}, {high:g}]"
            )
        pixels = to_bytes(pixels) if pixels.size else pixels.astype(np.uint8)
    elif pixels.dtype != np.uint8:
        raise OwnPicturesError(
            f"{name} must be uint8 in 0..255 or floats in [0, 1], got {pixels.dtype}"
        )
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    elif pixels.ndim == 4 and pixels.shape[1] in (1, 3):  # the package's own order goes first
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or 0 in pixels.shape[1:]:
        raise OwnPicturesError(f"{name} must be {wanted}, got {pixels.shape}")
    return pixels


def _resized(picture: np.ndarray, size: int) -> np.ndarray:
    """(H, W, C) -> (C, size, size). What has that size already stays as it is."""
    if picture.shape[:2] != (size, size):
        from PIL import Image

        image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
        image = image.crop(centre_of(image.size, (size, size))).resize((size, size))
        picture = np.asarray(image).reshape(size, size, picture.shape[2])
    return picture.transpose(2, 0, 1)


def _grey(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))[None]


def _classes(name: str, labels: np.ndarray | None, n: int) -> tuple[np.ndarray, list[str]]:
    """Integers or words as indices of classes, which are called as they are."""
    if labels is None:
        return np.zeros(n, np.int64), ["picture"]
    if labels.ndim == 2 and labels.shape[1] == 1:  # MedMNIST's
        labels = labels[:, 0]
    if labels.shape != (n,) or labels.dtype.kind not in "iuU":
        raise OwnPicturesError(
            f"{name} must be ({n},) integers or words, one for each image, got {labels.dtype} "
            f"{labels.shape}"
        )
    values, indices = np.unique(labels, return_inverse=True)
    if len(values) > MOST_CLASSES:
        raise OwnPicturesError(f"{name}: wanted at most {MOST_CLASSES} classes, got {len(values)}")
    return indices.reshape(-1).astype(np.int64), [str(value) for value in values]


def _check_count(where: str, n: int, n_bytes: int) -> None:
    if not LEAST_IMAGES <= n <= MOST_IMAGES:
        raise OwnPicturesError(
            f"{where}: wanted {LEAST_IMAGES} to {MOST_IMAGES:,} pictures, got {n:,}"
        )
    if n * n_bytes > MOST_BYTES:
        raise OwnPicturesError(
            f"{where}: {n:,} pictures of this size take {n * n_bytes:,} bytes, more than "
            f"{MOST_BYTES:,}: choose a smaller size"
        )


def _dataset(
    images: np.ndarray, labels: np.ndarray, classes: list[str], path: Path, rest: str, recipe: str
) -> Dataset:
    if images.shape[1] == 3 and all(_is_grey(part) for part in _parts(images)):
        images = np.ascontiguousarray(images[:, :1])
    n, channels, size, _ = images.shape
    kind = "grey" if channels == 1 else "coloured"
    of = f" in {len(classes)} classes" if len(classes) > 1 else ""
    note = f"{NAME}: {n:,} {kind} pictures{of} from {path}, {size} x {size}.{rest}"
    source = "a folder of pictures" if path.is_dir() else "an npz file"
    return Dataset(
        images, labels, NAME, note, tuple(classes), source, str(path), f"{recipe}, {kind}"
    )


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    return (images[start : start + 1000] for start in range(0, len(images), 1000))


def _is_grey(images: np.ndarray) -> bool:
    """Whether red, green and blue are the same everywhere."""
    return bool((images[:, :1] == images[:, 1:]).all())
