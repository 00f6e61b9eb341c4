"""Data sets by name, as a program's --data option gives it."""

import os
from dataclasses import replace

from .dataset import Dataset
from .digits import make_digits
from .mnist import DataNotFound, load_mnist

NAMES = ("mnist", "fashion", "digits", "auto")


def load_dataset(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    n_digits: int = 20_000,
    seed: int = 0,
    download: bool = True,
) -> Dataset:
    """The data set called `name`. Its `note` is a sentence to print.

    "mnist" and "fashion" are those of `load_mnist`. "digits" are n_digits images that the program
    draws from `seed`. "auto" is MNIST if it can be had, else digits. A corrupt MNIST file is an
    error under "auto", too.
    """
    if name == "digits":
        return make_digits(n_digits, seed)
    if name in ("mnist", "fashion"):
        return load_mnist(data_dir, fashion=name == "fashion", download=download)
    if name != "auto":
        raise ValueError(f"load_dataset: name must be one of {', '.join(NAMES)}, got {name!r}")
    try:
        return load_mnist(data_dir, download=download)
    except DataNotFound as error:
        digits = make_digits(n_digits, seed)
        return replace(
            digits, note=f"{digits.note} They stand in for MNIST, which is {error.reason}."
        )
