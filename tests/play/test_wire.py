"""What the page sends to Python and gets back, without a browser."""

import json

import numpy as np
import pytest

from minidiff.classroom.page import wire
from minidiff.engine.tensor import Tensor


def test_arrays_travel_as_bytes_and_numbers_as_json():
    buffers = []
    value = {"a": np.arange(6.0).reshape(2, 3), "k": np.array([1, 2]), "n": np.float32(0.5), "t": Tensor([1.0]), "x": [1, None, "word"]}
    packed = json.loads(json.dumps(wire.as_json(value, buffers)))
    assert packed["a"] == {"array": 0, "shape": [2, 3], "dtype": "f4"}
    np.testing.assert_array_equal(np.frombuffer(buffers[0], "<f4").reshape(2, 3), value["a"])
    np.testing.assert_array_equal(np.frombuffer(buffers[packed["k"]["array"]], "<i4"), [1, 2])
    assert packed["n"] == 0.5 and packed["x"] == [1, None, "word"]


@pytest.mark.parametrize(("number", "word"), [(float("nan"), "nan"), (float("inf"), "inf"), (np.float64("-inf"), "-inf")])
def test_numbers_that_json_cannot_hold_become_words(number, word):
    assert wire.as_json(number, []) == word


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("no equation is called 'x'"), "no equation is called 'x'"),
        (ValueError("t must\n  be 1"), "t must be 1"),
        (TypeError("no"), "TypeError: no"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_an_error_becomes_one_line(error, text):
    assert wire.sentence(error) == text


def test_an_unknown_function_is_an_error_for_the_screen():
    text, buffers = wire.call("points.nothing", "{}")
    assert json.loads(text) == {"error": "the page has no function 'points.nothing'"} and buffers == []


def test_what_a_function_raises_is_an_error_for_the_screen():
    text, _ = wire.call("points.forward", json.dumps({"data": "square", "schedule": "linear", "T": 10, "t": 1}))
    assert json.loads(text)["error"] == "points: the data must be roll, moons, clusters, four or drawn"
