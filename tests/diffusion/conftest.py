"""`@pytest.mark.checks("equation.id", ...)` says which equations a test proves against an independent answer."""

import numpy as np
import pytest

from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG


def pytest_configure(config):
    config.addinivalue_line("markers", "checks(*ids): the exact check of these equations")


@pytest.fixture(scope="session")
def linear():
    """The paper's schedule: linear, T = 1000."""
    return make_schedule("linear", 1000)


@pytest.fixture
def rng():
    return RNG(0)


@pytest.fixture
def images(rng):
    """Three small float64 images x_0 in [-1, 1], their times and their noises."""
    x_0 = 2 * rng.uniform((3, 1, 4, 4), dtype=np.float64) - 1
    return x_0, np.array([1, 37, 1000]), rng.normal((3, 1, 4, 4), dtype=np.float64)
