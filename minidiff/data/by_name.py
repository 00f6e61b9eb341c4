"""Data sets by name or place, as a program's --data option gives them."""

import os
from dataclasses import replace

from .dataset import Dataset
from .digits import make_digits
from .mnist import DataNotFound, load_mnist
from .own_pictures import load_pictures

NAMES = ("mnist", "fashion", "digits", "auto")
OR_PICTURES = f"{', '.join(NAMES)}, or a folder of pictures or an .npz file that is there"


def is_place(name: str) -> bool:
    """Whether --data names a folder or an npz file. A name of NAMES goes first: mnist, ./mnist."""
    return name not in NAMES and (os.path.isdir(name) or os.path.isfile(name))


def load_dataset(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    n_digits: int = 20_000,
    seed: int = 0,
    download: bool = True,
    size: int | None = None,
    grey: bool = False,
) -> Dataset:
    """The data set called `name`. Its `note` is a sentence to print.

    A folder of pictures or an npz file is read by `load_pictures`, with size (28) and grey.
    "mnist" and "fashion" are those of `load_mnist`. "digits" are n_digits images that the program
    draws from `seed`. "auto" is MNIST if it can be had, else digits. A corrupt MNIST file is an
    error under "auto", too.
    """
    if is_place(name):
        return load_pictures(name, 28 if size is None else size, grey)
    if name in NAMES and (grey or size not in (None, 28)):
        raise ValueError(
            f"load_dataset: size and grey are for own pictures; {name} is grey, 28 x 28"
        )
    if name == "digits":
        return make_digits(n_digits, seed)
    if name in ("mnist", "fashion"):
        return load_mnist(data_dir, fashion=name == "fashion", download=download)
    if name != "auto":
        raise ValueError(f"load_dataset: name must be one of {OR_PICTURES}, got {name!r}")
    try:
        return load_mnist(data_dir, download=download)
    except DataNotFound as error:
        digits = make_digits(n_digits, seed)
        return replace(
            digits, note=f"{digits.note} They stand in for MNIST, which is {error.reason}."
        )
