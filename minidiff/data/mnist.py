"""MNIST and Fashion-MNIST: found on this machine, or downloaded once.

Both are two sets ("train": 60,000 images, "t10k": 10,000), each a file of images and a file of
labels, under the same file names.
MNIST: LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist/.
Fashion-MNIST: Xiao, Rasul, Vollgraf, arXiv:1708.07747.
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .dataset import DIGITS, Dataset
from .download import DownloadError, fetch
from .idx import IdxError, read_idx

SETS = ("train", "t10k")
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"


@dataclass(frozen=True)
class Source:
    """Where a data set lives.

    md5: of each gzipped file. first_labels: by set, since two data sets have the same file names.
    """

    name: str
    folders: tuple[str, ...]  # below the folder that is searched; downloads go to the first
    mirrors: tuple[str, ...]
    md5: dict[str, str]
    first_labels: dict[str, tuple[int, ...]]
    classes: tuple[str, ...]


MNIST = Source(
    name="MNIST",
    folders=("mnist", "MNIST/raw", "MNIST", "."),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    md5={
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    first_labels={"train": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4), "t10k": (7, 2, 1, 0, 4, 1, 4, 9, 5, 9)},
    classes=DIGITS,
)
FASHION = Source(
    name="Fashion-MNIST",
    folders=("fashion", "fashion-mnist", "FashionMNIST/raw", "FashionMNIST", "."),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    md5={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    first_labels={"train": (9, 0, 0, 3, 0, 2, 7, 2, 5, 5), "t10k": (9, 2, 1, 1, 6, 1, 4, 6, 5, 7)},
    classes=(
        "T-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "boot",
    ),
)


class DataNotFound(FileNotFoundError):
    """The data set is neither on this machine nor to be downloaded.    reason: why, in one line."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


def load_mnist(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    fashion: bool = False,
    download: bool = True,
    timeout: float = 15.0,
) -> Dataset:
    """MNIST, or Fashion-MNIST.

    It looks in `data_dir`, $MINIDIFF_DATA and the user's cache, directly or in the usual
    sub-folders. The first folder that has one or both sets is used as it is. Else it downloads into
    the first of the three that is given. timeout: seconds that the server may be silent.
    -> Dataset with images (N, 1, 28, 28) and labels (N,) in 0..9, N = 70,000 if both sets are there

    Raises: IdxError for a file that is corrupt or does not fit; DataNotFound, which says what to
    do, if there is nothing.
    """
    source = FASHION if fashion else MNIST
    roots = _roots(data_dir)
    for root in roots:
        for folder in dict.fromkeys((root / name).resolve() for name in source.folders):
            dataset = _load_folder(source, folder)
            if dataset is not None:
                return dataset

    searched = "not in " + ", ".join(map(str, roots))
    target = roots[0] / source.folders[0]
    if not download:
        raise DataNotFound(_by_hand(source, target, searched), searched)
    try:
        _download_all(source, target, timeout)
    except OSError as error:
        searched += " and could not be downloaded"
        failures = str(error).splitlines()
        message = _by_hand(source, target, "\n  ".join([searched + ":", *failures]))
        raise DataNotFound(message, f"{searched} ({failures[0]})") from error
    dataset = _load_folder(source, target)
    assert dataset is not None, "the verified files were just put there"
    return dataset


def user_cache() -> Path:
    """The folder for things that minidiff can fetch again, in this user's cache."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "minidiff"


def _roots(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    given = [data_dir, os.environ.get("MINIDIFF_DATA")]
    roots = [Path(folder).expanduser() for folder in given if folder] + [user_cache()]
    for root in roots:
        if root.exists() and not root.is_dir():
            raise NotADirectoryError(
                f"data_dir or $MINIDIFF_DATA: {root} is a file but must be a folder"
            )
    return roots


def _load_folder(source: Source, folder: Path) -> Dataset | None:
    """The sets that lie in this folder, checked; None where there is none."""
    found = {}
    for name in SETS:
        loaded = _load_set(source, folder, name)
        if loaded is not None:
            found[name] = loaded
    if not found:
        return None
    images = np.concatenate([images for images, _ in found.values()])[:, None]
    labels = np.concatenate([labels for _, labels in found.values()]).astype(np.int64)
    note = f"{source.name}: {len(images):,} images from {folder}."
    if len(found) < len(SETS):
        note = (
            f"{source.name}: {folder} holds only the {', '.join(found)} set; "
            f"its {len(images):,} images are used as they are."
        )
    return Dataset(images, labels, source.name, note, source.classes)


def _load_set(source: Source, folder: Path, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """One set as (N, 28, 28) and (N,) uint8. None if there is none, or another data set's."""
    images_path = _find(folder, f"{name}-{IMAGES}")
    labels_path = _find(folder, f"{name}-{LABELS}")
    if images_path is None and labels_path is None:
        return None
    if images_path is None or labels_path is None:
        missing, there = (
            (f"{name}-{IMAGES}", labels_path)
            if images_path is None
            else (f"{name}-{LABELS}", images_path)
        )
        raise IdxError(
            f"{there}: wants {missing} beside it (with or without .gz), came no such file"
        )
    images = read_idx(images_path, dtype="uint8", ndim=3)
    labels = read_idx(labels_path, dtype="uint8", ndim=1)
    if images.shape[1:] != (28, 28):
        raise IdxError(
            f"{images_path}: wants images of 28 x 28, came {images.shape[1]} x {images.shape[2]}"
        )
    if len(images) != len(labels):
        raise IdxError(
            f"{labels_path}: wants one label for each of the {len(images):,} images of "
            f"{images_path.name}, came {len(labels):,}"
        )
    if labels.max() > 9:
        raise IdxError(
            f"{labels_path}: wants labels in 0..9, came {labels.max()} at index {labels.argmax()}"
        )
    return None if _is_another(source, name, labels) else (images, labels)


def _find(folder: Path, name: str) -> Path | None:
    candidates = [
        folder / spelling
        for stem in (name, name.replace("-idx", ".idx"))
        for spelling in (stem + ".gz", stem)
    ]
    return next((path for path in candidates if path.is_file()), None)


def _is_another(source: Source, name: str, labels: np.ndarray) -> bool:
    """Whether these are the labels of the *other* data set, whose files have the same names."""
    first = tuple(labels[:10].tolist())
    return any(
        first == other.first_labels[name] for other in (MNIST, FASHION) if other.name != source.name
    )


def _download_all(source: Source, target: Path, timeout: float) -> None:
    """Put all files into `target`, or none.

    An interrupted download must not pass for a folder that holds one of the two sets.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target) as unfinished:
        for name, md5 in source.md5.items():
            _download_from_any(source.mirrors, name, Path(unfinished), md5, timeout)
        for name in source.md5:
            os.replace(Path(unfinished, name), target / name)


def _download_from_any(
    mirrors: tuple[str, ...], name: str, folder: Path, md5: str, timeout: float
) -> None:
    failures = []
    for mirror in mirrors:
        try:
            return fetch(mirror + name, folder / name, md5, timeout)
        except DownloadError as error:
            failures.append(str(error))
    raise DownloadError("\n".join(failures))


def _by_hand(source: Source, target: Path, what_happened: str) -> str:
    return (
        f"{source.name} is {what_happened}\n"
        f"Put {', '.join(source.md5)} into {target} by hand (or into any folder named as data_dir "
        f"or in $MINIDIFF_DATA),"
        " or use the built-in digits, which need no files."
    )
