import numpy as np
import pytest

from minidiff.engine.random import RNG
from minidiff.nn import Linear
from minidiff.training.ema import EMA


def test_average_follows_its_formula():
    layer = Linear(2, 2, rng=RNG(0))
    ema = EMA(layer, decay=0.9)
    expected = layer.weight.data.copy()
    for n in range(1, 31):
        layer.weight.assign(layer.weight.data + np.float32(n))
        ema.update(layer)
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * layer.weight.data
    np.testing.assert_allclose(ema.average["weight"], expected, rtol=1e-5)


def test_applied_to_puts_the_own_parameters_back():
    layer = Linear(2, 2, rng=RNG(0))
    ema = EMA(layer, decay=0.5)
    own = layer.weight.data + 1
    layer.weight.assign(own)
    with pytest.raises(RuntimeError, match="inside"), ema.applied_to(layer):
        assert layer.weight.data is ema.average["weight"]
        raise RuntimeError("inside")
    assert layer.weight.data is own


def test_bad_decay():
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\), got 1"):
        EMA(Linear(1, 1), decay=1)
