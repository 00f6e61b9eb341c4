import math

import numpy as np
import pytest

from minidiff.engine import elementwise as el
from minidiff.engine.tensor import Tensor


@pytest.mark.parametrize("name", ["sqrt", "exp", "log"])
def test_floats_stay_floats_and_float32_stays_float32(name):
    function = getattr(el, name)
    expected = getattr(math, name)(0.7)
    assert type(function(0.7)) is float and function(0.7) == expected
    array = function(np.array([0.7], np.float32))
    assert array.dtype == np.float32 and array[0] == pytest.approx(expected, rel=1e-6)
    x = Tensor(np.array([0.7]), requires_grad=True)
    y = function(x)
    y.sum().backward()
    slope = {"sqrt": 0.5 / expected, "exp": expected, "log": 1 / 0.7}[name]
    assert y.data[0] == pytest.approx(expected, rel=1e-12) and x.grad[0] == pytest.approx(slope, rel=1e-12)


def test_erfc_is_python_s_and_keeps_the_dtype():
    x = np.linspace(-5, 20, 11)
    np.testing.assert_array_equal(el.erfc(x), [math.erfc(v) for v in x])
    assert el.erfc(x.astype(np.float32)).dtype == np.float32


def test_detach_and_plain():
    x = Tensor(np.ones(3), requires_grad=True)
    assert not el.detach(x).requires_grad
    array = np.ones(3)
    assert el.detach(array) is array and el.plain(array) is array and el.plain(x) is x.data and el.plain(2.0) == 2.0


def test_sum_per_image():
    np.testing.assert_array_equal(el.sum_per_image(np.arange(12.0).reshape(2, 3, 2)), [15, 51])
