"""Pictures to learn from: MNIST and Fashion-MNIST from files, digits drawn by the program, and mini-batches of them."""

from .atomic import atomic_write
from .catalogue import NAMES, load_dataset
from .dataset import Dataset
from .digits import draw_digits, make_digits
from .download import DownloadError, fetch
from .idx import IdxError, read_idx, write_idx
from .loader import Loader
from .mnist import DataNotFound, load_mnist
from .scaling import check_labels, check_range, to_bytes, to_float, to_unit

__all__ = [
    "NAMES",
    "DataNotFound",
    "Dataset",
    "DownloadError",
    "IdxError",
    "Loader",
    "atomic_write",
    "check_labels",
    "check_range",
    "draw_digits",
    "fetch",
    "load_dataset",
    "load_mnist",
    "make_digits",
    "read_idx",
    "to_bytes",
    "to_float",
    "to_unit",
    "write_idx",
]
