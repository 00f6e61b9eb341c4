"""What tests of several floors share. `tests/support` holds the code behind it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `from support...`


@pytest.fixture
def strict():
    """A registered array library of device "strict" that refuses to mix with NumPy and counts what is read by the host."""
    from support.strict_arrays import StrictArray, strict_module

    from minidiff import backend

    backend.register_array_module(StrictArray, strict_module, "strict")
    yield strict_module
    del backend._modules[StrictArray]
    backend._known.clear()


@pytest.fixture
def fake_cupy():
    """Device "cuda" by a module that stands for CuPy; yields (module, watcher); `watcher.transfers` counts what host and it exchange."""
    from support import fake_cupy

    if reason := fake_cupy.usable():
        pytest.skip(reason)
    with fake_cupy.installed() as both:
        yield both
