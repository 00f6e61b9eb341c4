"""Pictures to learn from: MNIST and Fashion-MNIST from files, digits drawn by the program, and mini-batches of them."""

from .atomic import atomic_write
from .by_name import NAMES, load_dataset
from .captions import Captions
from .dataset import Dataset
from .digits import draw_digits, make_digits
from .download import DownloadError, fetch
from .identity import identity_difference
from .idx import IdxError, read_idx, write_idx
from .loader import Loader
from .measures import measure
from .mnist import DataNotFound, load_mnist
from .npz import NpzError, read_npz
from .picture import PictureError, read_picture
from .points import swiss_roll, swiss_roll_curve
from .scaling import check_labels, check_range, to_bytes, to_float, to_unit
from .vocabulary import Vocabulary

__all__ = [
    "NAMES",
    "Captions",
    "DataNotFound",
    "Dataset",
    "DownloadError",
    "IdxError",
    "Loader",
    "NpzError",
    "PictureError",
    "Vocabulary",
    "atomic_write",
    "check_labels",
    "check_range",
    "draw_digits",
    "fetch",
    "identity_difference",
    "load_dataset",
    "load_mnist",
    "make_digits",
    "measure",
    "read_idx",
    "read_npz",
    "read_picture",
    "swiss_roll",
    "swiss_roll_curve",
    "to_bytes",
    "to_float",
    "to_unit",
    "write_idx",
]
