import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F


def test_the_mean_stays_and_the_gradient_has_the_same_mask():
    x = md.Tensor(np.ones((300, 300), np.float32), requires_grad=True)
    y = F.dropout(x, 0.3, md.RNG(0))
    assert y.data.mean() == pytest.approx(1, abs=0.01) and (y.data == 0).mean() == pytest.approx(0.3, abs=0.01)
    y.backward(np.ones(y.shape, np.float32))
    np.testing.assert_array_equal(x.grad, y.data)


def test_the_generator_decides():
    x = np.ones(50)
    np.testing.assert_array_equal(F.dropout(x, 0.5, md.RNG(1)).data, F.dropout(x, 0.5, md.RNG(1)).data)
    assert not np.array_equal(F.dropout(x, 0.5, md.RNG(1)).data, F.dropout(x, 0.5, md.RNG(2)).data)


@pytest.mark.parametrize("p", [-0.1, 1, 2])
def test_p_must_be_a_probability_below_1(p):
    with pytest.raises(ValueError, match=rf"dropout: p must be in \[0, 1\), got {p}"):
        F.dropout(np.ones(2), p, md.RNG(0))
