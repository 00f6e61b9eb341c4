import numpy as np
import pytest

import minidiff as md
from minidiff import nn
from minidiff.engine.random import layers_draw_from


def test_in_training_it_drops_with_the_blocks_generator():
    layer, x = nn.Dropout(0.25), np.ones((200, 200), np.float32)
    with layers_draw_from(md.RNG(0)):
        y = layer(x).data
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01) and y.mean() == pytest.approx(1, abs=0.02)
    with layers_draw_from(md.RNG(0)):
        np.testing.assert_array_equal(layer(x).data, y)


def test_in_evaluation_and_at_p_0_it_does_nothing():
    x = md.Tensor([1.0])
    assert nn.Dropout(0.5).eval()(x) is x and nn.Dropout(0)(x) is x


def test_it_wants_a_generator_and_says_so():
    with pytest.raises(RuntimeError, match=r"Dropout\(p=0.5\) draws random numbers in training mode.*or call model.eval\(\)"):
        nn.Dropout(0.5)(md.Tensor([1.0]))


@pytest.mark.parametrize("p", [-0.1, 1, 1.5])
def test_p_must_be_a_probability_below_1(p):
    with pytest.raises(ValueError, match=rf"Dropout: p must be in \[0, 1\), got {p}"):
        nn.Dropout(p)
