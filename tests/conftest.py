"""What tests of several floors share. `tests/support` holds the code behind it."""

import contextlib
import sys
from pathlib import Path

import numpy as np
import pytest

from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG

sys.path.insert(0, str(Path(__file__).parent))  # for `from support...`
with contextlib.suppress(ModuleNotFoundError):  # few tests need it
    import hypothesis

    hypothesis.settings.register_profile("minidiff", deadline=None)  # how long a case takes is the machine's, not the code's
    hypothesis.settings.load_profile("minidiff")


@pytest.fixture
def strict():
    """A registered array library of device "strict" that refuses to mix with NumPy and counts what is read by the host."""
    from support.strict_arrays import StrictArray, strict_module

    from minidiff.engine import backend

    backend.register_array_module(StrictArray, strict_module, "strict")
    yield strict_module
    del backend._modules[StrictArray]
    backend._known.clear()


def pytest_addoption(parser):
    parser.addoption("--device", choices=["cpu", "cuda"], help="cuda: tests of a GPU fail where they would be skipped; cpu: skip them")


@pytest.fixture(params=["stand-in", "gpu"])
def cuda(request):
    """Device "cuda": on every machine a module that stands for CuPy, and CuPy itself where there is a GPU. Yields (module, watcher).

    `watcher.transfers` counts what the host and the device exchange; on a GPU nobody counts, and it stays as it is.
    """
    from support import fake_cupy

    if request.param == "gpu":
        yield real_cupy(request.config), fake_cupy.Watcher()
        return
    if reason := fake_cupy.usable():
        pytest.skip(reason)
    if request.config.getoption("--device") == "cuda":
        pytest.skip("--device cuda: on the GPU only")
    with fake_cupy.installed() as both:
        yield both


@pytest.fixture
def gpu(request):
    """CuPy on a GPU."""
    return real_cupy(request.config)


def real_cupy(config):
    """CuPy, if it finds a GPU; else the test is skipped, or fails with --device cuda."""
    wanted = config.getoption("--device")
    if wanted == "cpu":
        pytest.skip("--device cpu")
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
        return cupy
    except Exception as error:  # CuPy is missing, or finds no driver
        (pytest.fail if wanted == "cuda" else pytest.skip)(f"no GPU: {error}")


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
