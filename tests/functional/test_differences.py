"""docs/differences_from_pytorch.md: what it says of minidiff, run."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff import optim

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "differences_from_pytorch.md").read_text(encoding="utf-8")
X = md.Tensor([1.0, 2.0, 2.0], requires_grad=True)
IMAGES = np.ones((1, 1, 2, 2), "f")


def gradient(y):
    return md.gradients(y, [X])[0].tolist()


def edit_by_another_library():
    array = md.Tensor(np.ones(3, "f"))
    array.__dlpack__()
    loss = (X * array).sum()
    ctypes.c_float.from_address(array.data.ctypes.data).value = 5
    loss.backward()


VALUES = [
    ("`x.var()`, `x.std()`", lambda: F.var([0.0, 2.0]).item() == F.std([0.0, 2.0]).item() == 1),
    ("`x.max(axis)`, `x.min(axis)`", lambda: gradient(X.max()) == [0, 0.5, 0.5]),
    ("`max_pool2d`: the first has it", lambda: gradient(F.max_pool2d(F.concatenate([X, X[1:2]]).reshape(1, 1, 2, 2), 2).sum()) == [0, 1, 0]),
    ("`F.maximum(x, y)`", lambda: gradient(F.maximum(X, 2.0).sum()) == [0, 0.5, 0.5]),
    ("`avg_pool2d` of integers", lambda: F.avg_pool2d(np.array([[[[0, 1], [0, 1]]]]), 2).item() == 0.5),
    ("float16", lambda: F.mean(np.full(70_000, 2, np.float16)).item() == 2),
    ("integers where a fraction", lambda: F.exp(np.arange(2)).dtype == np.float64 and F.exp(np.ones(2, bool)).dtype == np.float32),
    ("attend to nothing", lambda: not F.attention(IMAGES, IMAGES, IMAGES, np.zeros((2, 2), bool)).data.any()),
    ("`sum` of an empty axis", lambda: F.sum(np.ones((2, 0))).item() == 0),
]

REFUSALS = [
    ("a number has no axis", ValueError, lambda: F.sum(np.float32(1), 0)),
    ("`max`, `mean`, `softmax` of one", ValueError, lambda: F.mean(np.ones((2, 0)), 1)),
    ("float32 together with float64", TypeError, lambda: X * np.ones(3)),
    ("with float16", TypeError, lambda: X * np.ones(3, np.float16)),
    ("an array of integers", TypeError, lambda: X * np.arange(3)),
    ("shapes that merely broadcast", ValueError, lambda: F.mse_loss(np.ones((2, 1)), np.ones(2))),
    ("integers in `softmax`", TypeError, lambda: F.softmax(np.arange(3))),
    ("complex numbers", TypeError, lambda: X * 1j),
    ("another byte order", TypeError, lambda: X * np.ones(3, ">f4")),
    ("masked arrays", TypeError, lambda: X * np.ma.masked_array([1.0, 2, 3])),
    ("of anything but booleans", TypeError, lambda: X & X),
    ("negative padding", ValueError, lambda: F.pad(X, (-1, 0))),
    ("repeated letters", ValueError, lambda: F.einsum("ii->i", np.ones((2, 2)))),
    ('mode="bicubic"', ValueError, lambda: F.resize(IMAGES, 4, "bicubic")),
    ("an edit by PyTorch or another library", RuntimeError, edit_by_another_library),
    ("groups of parameters", TypeError, lambda: optim.SGD([{"params": [X]}], 0.1)),
    ("`weight=` of `cross_entropy`", TypeError, lambda: F.cross_entropy(np.ones((1, 2)), [0], weight=[1, 1])),
    ("probabilities as labels", TypeError, lambda: F.cross_entropy(np.ones((2, 2)), np.ones(2))),
]


@pytest.mark.parametrize("line, holds", VALUES, ids=[line for line, _ in VALUES])
def test_a_value(line, holds):
    assert line in PAGE and holds()


@pytest.mark.parametrize("line, error, call", REFUSALS, ids=[line for line, *_ in REFUSALS])
def test_a_refusal(line, error, call):
    assert line in PAGE
    with pytest.raises(error):
        call()
