"""MNIST and Fashion-MNIST: found on this machine, or downloaded once.

Files in MNIST's format that are not MNIST's own are taken too, and called so: whoever gives
KMNIST's or EMNIST's files the names of MNIST's is not told that these are MNIST.
"""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .dataset import Dataset
from .download import DownloadError, fetch
from .files import is_file
from .folders import HOW_TO_SAY_WHERE, check_folder, data_folders, user_cache
from .idx import IdxError, read_idx, read_idx_header
from .sources import FASHION, IMAGES, KMNIST, LABELS, MNIST, SETS, Source
from .unfinished import download_folder, settle_abandoned

__all__ = ["FASHION", "MNIST", "DataNotFound", "load_mnist", "user_cache"]

MOST_IMAGES = 300_000  # in one file; EMNIST's digits, the largest set of this format, are 240,000


class DataNotFound(FileNotFoundError):
    """The data set is neither on this machine nor to be downloaded.    reason: why, in one line."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


class LoadedSet(NamedTuple):
    """One of the two sets.    owned: whether both files have the published checksums."""

    images: np.ndarray  # (N, 28, 28) uint8
    labels: np.ndarray  # (N,) uint8
    owned: bool


class Foreign(NamedTuple):
    """Says that a set belongs to another data set, called `name`."""

    name: str


def load_mnist(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    fashion: bool = False,
    download: bool = True,
    timeout: float = 15.0,
) -> Dataset:
    """MNIST, or Fashion-MNIST.    -> images (N, 1, 28, 28), labels (N,) in 0..9

    N is 70,000 for both sets, 60,000 for "train" and 10,000 for "t10k". They are looked for in
    `data_dir`, $MINIDIFF_DATA and the user's cache, directly or in the usual sub-folders; the first
    that has one or both is used as it is. Else they are downloaded to the first of the three that
    is given (`timeout`: seconds of silence). A download that was killed is finished or removed.
    Files that are not the published ones are taken too, and the name and the note say so.

    Raises: IdxError for a file that is corrupt or does not fit; DataNotFound with what to do if
    there is nothing; PermissionError or NotADirectoryError for a folder that was named and can't be
    used.
    """
    source = FASHION if fashion else MNIST
    folders, cache = data_folders(data_dir)
    remarks: list[str] = []
    for folder in folders:
        dataset = _search(source, folder, remarks, may_be_closed=folder == cache)
        if dataset is not None:
            return dataset

    searched = "not in " + ", ".join(map(str, folders)) if folders else "nowhere to be looked for"
    if not folders:
        remarks.append(f"this user has no home folder: {HOW_TO_SAY_WHERE}")
    searched += f" ({'; '.join(remarks)})" if remarks else ""
    target = _target(source, folders[0]) if folders else None
    if not download or target is None:
        raise DataNotFound(_by_hand(source, target, searched), searched)
    try:
        _download_all(source, target, timeout)
        dataset = _load_folder(source, target, remarks)
    except OSError as error:
        searched += " and could not be downloaded"
        failures = str(error).splitlines()
        message = _by_hand(source, target, "\n  ".join([searched + ":", *failures]))
        raise DataNotFound(message, f"{searched} ({failures[0]})") from error
    if dataset is None:  # another program has put other files there meanwhile
        raise DataNotFound(_by_hand(source, target, searched), searched)
    return dataset


def _search(source: Source, root: Path, remarks: list[str], may_be_closed: bool) -> Dataset | None:
    """The data set below one of the folders.

    may_be_closed: nobody named this folder, so that it is no error if it can't be read.
    """
    try:
        check_folder(root)
        for folder in dict.fromkeys((root / name).resolve() for name in source.folders):
            dataset = _load_folder(source, folder, remarks)
            if dataset is not None:
                return dataset
    except (PermissionError, NotADirectoryError) as error:
        if not may_be_closed:
            raise
        remarks.append(f"{root}: {error.strerror or 'is no folder'}")
    return None


def _load_folder(source: Source, folder: Path, remarks: list[str]) -> Dataset | None:
    """The sets that lie in this folder, checked. None if there is none, with a remark why."""
    unfinished = settle_abandoned(folder, source.md5)
    found: dict[str, LoadedSet] = {}
    for name in SETS:
        if unfinished and not _is_complete(folder):
            break
        loaded = _load_set(source, folder, name)
        if isinstance(loaded, Foreign):
            remarks.append(f"{folder} holds files of {loaded.name} under these names")
        elif loaded is not None:
            found[name] = loaded
    if unfinished and not found:
        remarks.append(f"in {folder} a download is not finished")
    if not found:
        return None
    images = np.concatenate([loaded.images for loaded in found.values()])[:, None]
    labels = np.concatenate([loaded.labels for loaded in found.values()]).astype(np.int64)
    owned = all(loaded.owned for loaded in found.values())
    name = source.name if owned else f"{source.name}-format files"
    title = source.name if owned else f"{name}, not {source.name}'s own"
    note = f"{title}: {len(images):,} images from {folder}."
    if len(found) < len(SETS):
        note = (
            f"{title}: {folder} holds only the {', '.join(found)} set; "
            f"its {len(images):,} images are used as they are."
        )
    return Dataset(images, labels, name, note, source.classes, title, str(folder))


def _load_set(source: Source, folder: Path, name: str) -> LoadedSet | Foreign | None:
    """One set; None where there is none, and whose it is if it is another data set's."""
    images_path = _find(folder, f"{name}-{IMAGES}")
    labels_path = _find(folder, f"{name}-{LABELS}")
    if images_path is None and labels_path is None:
        return None
    if images_path is None or labels_path is None:
        kind, there = (IMAGES, labels_path) if images_path is None else (LABELS, images_path)
        raise IdxError(
            f"{there}: wants {name}-{kind} beside it (with or without .gz), came no such file"
        )
    _check_headers(images_path, labels_path)
    labels = read_idx(labels_path, dtype="uint8", ndim=1)
    for other in (MNIST, FASHION, KMNIST):
        if other.name != source.name and _belongs_to(other, name, labels_path, labels):
            return Foreign(other.name)
    if labels.max() > 9:
        raise IdxError(
            f"{labels_path}: wants labels in 0..9, came {labels.max()} at index {labels.argmax()}"
        )
    images = read_idx(images_path, dtype="uint8", ndim=3)
    owned = source.owns(f"{name}-{LABELS}", labels_path, labels)
    owned = owned and source.owns(f"{name}-{IMAGES}", images_path, images)
    return LoadedSet(images, labels, owned)


def _check_headers(images_path: Path, labels_path: Path) -> None:
    """What the headers declare fits together and into memory; the numbers are not read before."""
    n_images, height, width = read_idx_header(images_path, dtype="uint8", ndim=3).shape
    (n_labels,) = read_idx_header(labels_path, dtype="uint8", ndim=1).shape
    if (height, width) != (28, 28):
        raise IdxError(f"{images_path}: wants images of 28 x 28, came {height} x {width}")
    if n_images != n_labels:
        raise IdxError(
            f"{labels_path}: wants one label for each of the {n_images:,} images of "
            f"{images_path.name}, came {n_labels:,}"
        )
    if n_images > MOST_IMAGES:
        raise IdxError(f"{images_path}: wants at most {MOST_IMAGES:,} images, came {n_images:,}")


def _belongs_to(source: Source, name: str, path: Path, labels: np.ndarray) -> bool:
    """Whether these are another data set's labels, whose files have the same names."""
    first = tuple(labels[:10].tolist())
    return first == source.first_labels.get(name) or source.owns(f"{name}-{LABELS}", path, labels)


def _find(folder: Path, name: str) -> Path | None:
    candidates = [
        folder / spelling
        for stem in (name, name.replace("-idx", ".idx"))
        for spelling in (stem + ".gz", stem)
    ]
    return next((path for path in candidates if is_file(path)), None)


def _is_complete(folder: Path) -> bool:
    """Whether all four files are there."""
    return all(_find(folder, f"{name}-{kind}") for name in SETS for kind in (IMAGES, LABELS))


def _target(source: Source, root: Path) -> Path | None:
    """The folder to download to. It holds no file of these names, which would be overwritten."""
    names = [f"{part}-{kind}" for part in SETS for kind in (IMAGES, LABELS)]
    with contextlib.suppress(PermissionError):
        for folder in (root / name for name in source.folders[:-1]):
            if not any(_find(folder, name) for name in names):
                return folder
    return None


def _download_all(source: Source, target: Path, timeout: float) -> None:
    """Put all files into `target`, or none: half a download must not pass for one of the sets."""
    target.mkdir(parents=True, exist_ok=True)
    with download_folder(target, source.md5) as unfinished:
        for name, md5 in source.md5.items():
            _download_from_any(source.mirrors, name, unfinished, md5, timeout)


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


def _by_hand(source: Source, target: Path | None, what_happened: str) -> str:
    where = "into an empty folder" if target is None else f"into {target}"
    return (
        f"{source.name} is {what_happened}\n"
        f"Put {', '.join(source.md5)} {where} by hand "
        "(or into any folder named as data_dir or in $MINIDIFF_DATA), "
        "or use the built-in digits, which need no files."
    )
