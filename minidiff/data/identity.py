"""Knowing a data set again: what a checkpoint keeps of the one that it was trained on."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

Identity = dict[str, Any]
"""JSON-able: name, source, folder, n_images, image_shape, n_classes, checksum."""

FACTS = {
    "name": "the name",
    "n_images": "the number of images",
    "image_shape": "the shape of an image",
    "n_classes": "the number of classes",
    "checksum": "the checksum",
}
"""What must be equal, and what it is called. A folder may have been moved, so it is only told."""


def checksum_of(*parts: str | np.ndarray) -> str:
    """A digest of texts and arrays, with their types and shapes; the same on every machine."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, str):
            digest.update(b"text " + part.encode() + b"\0")
        else:
            little = np.ascontiguousarray(part, part.dtype.newbyteorder("<"))
            digest.update(f"array {little.dtype.str} {part.shape}\0".encode())
            digest.update(little.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def identity_difference(saved: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What tells two data sets apart, in one sentence; "" if they are the same one.

    saved, here: what `Dataset.identity()` returned. A checkpoint of an older version may lack some
    or all of the facts: those are not compared.
    """
    different = [
        f"{what} is {here[fact]} but was {saved[fact]}"
        for fact, what in FACTS.items()
        if fact in saved and fact in here and saved[fact] != here[fact]
    ]
    if not different:
        return ""
    return (
        f"the run was trained on {_called(saved)}, this is {_called(here)}: {', '.join(different)}"
    )


def _called(identity: Mapping[str, Any]) -> str:
    name = str(identity.get("name", "an unknown data set"))
    folder = identity.get("folder")
    return f"{name} from {folder}" if folder else name
