"""Types of options for argparse: what they take, and the most that is taken.

A number that nobody can mean (1e12 images) is refused at once. It would fail after the training,
for want of memory, or never.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from minidiff.data.by_name import NAMES, OR_PICTURES, is_place
from minidiff.data.own_pictures import FACTOR, LEAST_SIZE, MOST_SIZE
from minidiff.engine.backend import use_device

MOST = 1_000_000  # of anything that is counted, unless something less is said
MOST_IMAGES = 100_000  # in memory at once
MOST_CHANNELS = 1024
MOST_SEED = 2**63 - 1


def _number(
    text: str, wanted: str, kind: Callable[[str], Any], fits: Callable[[Any], bool], most: float
) -> Any:
    try:
        value = kind(text)
    except ValueError:  # also for an int of thousands of digits
        raise argparse.ArgumentTypeError(f"wanted {wanted}, got {_short(text)}") from None
    if value > most:
        raise argparse.ArgumentTypeError(f"wanted at most {most:,}, got {_short(text)}")
    if not fits(value):
        raise argparse.ArgumentTypeError(f"wanted {wanted}, got {_short(text)}")
    return value


def _short(text: str) -> str:
    return (text if len(text) <= 40 else text[:37] + "...") or "nothing"


def up_to(most: int, least: int = 1) -> Callable[[str], int]:
    """The type of a whole number in least..most."""
    wanted = f"a whole number >= {least}"
    return lambda text: _number(text, wanted, int, lambda value: value >= least, most)


def positive_int(text: str) -> int:
    """A whole number in 1..1,000,000."""
    return up_to(MOST)(text)


def images(text: str) -> int:
    """How many images: 1..100,000."""
    return up_to(MOST_IMAGES)(text)


def channels(text: str) -> int:
    """How many channels: 1..1024."""
    return up_to(MOST_CHANNELS)(text)


def seed(text: str) -> int:
    """A whole number in 0..2^63 - 1."""
    return up_to(MOST_SEED, least=0)(text)


def positive_float(text: str) -> float:
    """A number above 0, up to 1,000,000."""
    return _number(text, "a number > 0", float, lambda value: value > 0, MOST)


def at_least_0(text: str) -> float:
    """A number in [0, 1,000,000]."""
    return _number(text, "a number >= 0", float, lambda value: value >= 0, MOST)


def fraction(text: str) -> float:
    """A number in [0, 1)."""
    return _number(text, "a number in [0, 1)", float, lambda value: 0 <= value < 1, float("inf"))


def zero_to_one(text: str) -> float:
    """A number in [0, 1]."""
    return _number(text, "a number in [0, 1]", float, lambda value: 0 <= value <= 1, float("inf"))


class Place(str):
    """The name of a file or a folder, which a checkpoint keeps as an absolute path."""


def path(text: str) -> Place:
    """The name of a file or a folder. "" is none: it would be the root of the file system."""
    if not text.strip():
        raise argparse.ArgumentTypeError("wanted the name of a file or a folder, got nothing")
    return Place(text)


def data(text: str) -> str:
    """The name of a data set, or the absolute path of own pictures that are there."""
    if text in NAMES:
        return text
    if not is_place(text):
        raise argparse.ArgumentTypeError(f"wanted one of {OR_PICTURES}, got {_short(text)}")
    return os.path.abspath(text)


def size(text: str) -> int:
    """The side of own pictures: a multiple of 4 in 8..512."""
    wanted = f"a multiple of {FACTOR} in {LEAST_SIZE}..{MOST_SIZE}"
    return _number(
        text, wanted, int, lambda value: value >= LEAST_SIZE and value % FACTOR == 0, MOST_SIZE
    )


def device(text: str) -> str:
    """A device that is there. It becomes the current one."""
    try:
        use_device(text)
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text
