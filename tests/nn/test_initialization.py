import numpy as np
import pytest

import minidiff as md
from minidiff.nn.initialization import uniform_fan_in


def test_bounds_and_shape():
    p = uniform_fan_in((30, 40), 16, md.RNG(0))
    assert p.shape == (30, 40) and p.requires_grad and p.dtype == np.float32
    assert 0.24 < np.abs(p.data).max() <= 0.25 and p.data.std() == pytest.approx(0.25 / 3**0.5, rel=0.05)


def test_no_inputs_give_zeros():
    assert not uniform_fan_in((3,), 0, md.RNG(0)).data.any()


def test_the_distribution_is_that_of_torch():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    torch.manual_seed(0)
    theirs = torch.nn.Linear(64, 2000).weight.detach().numpy()
    ours = uniform_fan_in((2000, 64), 64, md.RNG(0)).data
    np.testing.assert_allclose(np.quantile(ours, np.linspace(0, 1, 11)), np.quantile(theirs, np.linspace(0, 1, 11)), atol=2e-3)
