"""Data to learn from: MNIST and its like, own pictures, digits drawn by the program, points."""

from minidiff.data.atomic import atomic_write, save_npz
from minidiff.data.by_name import NAMES, load_dataset
from minidiff.data.captions import Captions
from minidiff.data.dataset import Dataset
from minidiff.data.digits import draw_digits, make_digits
from minidiff.data.download import DownloadError, fetch
from minidiff.data.identity import identity_difference
from minidiff.data.idx import IdxError, read_idx, write_idx
from minidiff.data.loader import Loader
from minidiff.data.measures import measure
from minidiff.data.mnist import DataNotFound, load_mnist
from minidiff.data.npz import NpzError, read_npz
from minidiff.data.own_pictures import OwnPicturesError, load_pictures
from minidiff.data.picture import PictureError, read_picture
from minidiff.data.points import swiss_roll, swiss_roll_curve
from minidiff.data.scaling import check_labels, check_range, to_bytes, to_float, to_unit
from minidiff.data.vocabulary import Vocabulary

__all__ = [
    "NAMES", "Captions", "DataNotFound", "Dataset", "DownloadError", "IdxError",
    "Loader", "NpzError", "OwnPicturesError", "PictureError", "Vocabulary", "atomic_write",
    "check_labels", "check_range", "draw_digits", "fetch", "identity_difference",
    "load_dataset", "load_mnist", "load_pictures", "make_digits", "measure", "read_idx",
    "read_npz", "read_picture", "save_npz", "swiss_roll", "swiss_roll_curve", "to_bytes",
    "to_float", "to_unit", "write_idx",
]  # fmt: skip
