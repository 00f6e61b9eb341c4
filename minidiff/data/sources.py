"""Published data sets in MNIST's format: where they are, and what tells their files apart.

All have the same file names: two sets ("train": 60,000 images, "t10k": 10,000), each with images
and labels.

MNIST: LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist/
Fashion-MNIST: Xiao, Rasul, Vollgraf, arXiv:1708.07747
KMNIST: Clanuwat and others, arXiv:1812.01718
"""

import hashlib
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .dataset import DIGITS
from .files import open_file
from .idx import IDX_TYPES

SETS = ("train", "t10k")
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"


@dataclass(frozen=True)
class Source:
    """Where a data set lives, and how its files are known.

    md5: of each gzipped file.
    unpacked_md5: of what is in it, which does not depend on the packer.
    first_labels: by set; they tell files apart that were changed and are in none of the tables.
    """

    name: str
    folders: tuple[str, ...]  # below the folder that is searched; downloads go to the first
    mirrors: tuple[str, ...]
    md5: dict[str, str]
    first_labels: dict[str, tuple[int, ...]]
    classes: tuple[str, ...]
    unpacked_md5: dict[str, str] = field(default_factory=dict)

    def owns(self, name: str, path: Path, array: np.ndarray) -> bool:
        """Whether the file at `path`, in which `array` was read, is the published `name`."""
        published = self.unpacked_md5.get(name)
        return md5_of_file(path) == self.md5.get(f"{name}.gz") or (
            published is not None and md5_of_idx(array) == published
        )


def md5_of_file(path: Path) -> str:
    """The MD5 checksum of a file's bytes, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with open_file(path) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def md5_of_idx(array: np.ndarray) -> str:
    """The MD5 checksum of the IDX file, not gzipped, that holds this uint8 array."""
    code = next(code for code, name in IDX_TYPES.items() if name == "uint8")
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


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
    unpacked_md5={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
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
    unpacked_md5={
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
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
KMNIST = Source(  # only to be recognised under MNIST's file names
    name="KMNIST",
    folders=(),
    mirrors=(),
    md5={
        "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    },
    first_labels={},
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)
