import re
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import minidiff
from minidiff.engine.printing import describe, place, show


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (10_000_000, "10000000"),
        (1 / 3, "0.333333"),
        (True, "True"),
        ("a", "a"),
        (None, "None"),
        (np.float32(0.5), "0.5    float32 ()"),
        (np.array(0.5), "0.5    float64 ()"),
        (np.arange(12).reshape(3, 4), "[[ 0, 1, 2, 3], [ 4, 5, 6, 7], [ 8, 9, 10, 11]]  (3, 4)"),
        (np.zeros(13), "float64 (13,), min 0, mean 0, max 0"),
        (minidiff.Tensor([1.0, 2.0]), "[1., 2.]  (2,)"),
        ((1, 2), "(1, 2)"),
        (len, "len()"),
        (namedtuple("Moments", "mean, n")(np.array([0.5]), 3), "Moments(mean=[0.5]  (1,), n=3)"),
    ],
)
def test_one_line_for_every_value(value, text):
    assert show(value) == text


def test_no_address_is_shown():
    assert not re.search("0x", describe(object())) and not re.search("0x", show(lambda: 1))


def test_an_empty_array_has_no_range():
    assert "(0, 3)" in show(np.zeros((0, 3)))


def test_a_file_of_the_package_is_named_from_the_package_on(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert place(minidiff.engine.tensor.__file__) == "minidiff/engine/tensor.py"
    assert place(str(tmp_path / "a.py")) == "a.py"
    elsewhere = str(Path(tmp_path.anchor) / "elsewhere" / "a.py")
    assert place(elsewhere) == elsewhere
