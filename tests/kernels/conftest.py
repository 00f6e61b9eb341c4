"""What the kernel tests share: the device, arrays between margins of NaN, and the checks of the emulator, on in every test."""

import contextlib

import numpy as np
import pytest

from minidiff import kernels
from minidiff.kernels.cuda.library import load

MARGIN = 64  # numbers on either side of an array, enough to keep it aligned to 256 bytes


def gpu():
    """CuPy, if it finds a GPU and the CUDA kernels are built; else None."""
    try:
        import cupy

        return cupy if cupy.cuda.runtime.getDeviceCount() and load("cuda")[0] else None
    except Exception:  # CuPy is missing, or finds no driver
        return None


class Device:
    """Makes arrays on a device; `margins_intact()` says whether any kernel wrote beside one of them."""

    def __init__(self, name):
        self.name = name
        self.xp = np if name == "cpu" else gpu()
        self.module = load(name)[0]
        self.stream = 0 if name == "cpu" else self.xp.cuda.get_current_stream().ptr
        self.buffers = []

    def array(self, values):
        """A float32 array with these values, in the middle of NaN: a kernel that reads beside it computes NaN."""
        values = np.asarray(values, np.float32)
        buffer = self.xp.full(values.size + 2 * MARGIN, np.nan, np.float32)
        array = buffer[MARGIN : MARGIN + values.size].reshape(values.shape)
        array[...] = self.xp.asarray(values)
        self.buffers.append((buffer, values.size))
        return array

    def empty(self, shape):
        """The same, to be filled by a kernel: what it does not write stays NaN."""
        return self.array(np.full(shape, np.nan))

    def margins_intact(self):
        margins = [margin for buffer, size in self.buffers for margin in (buffer[:MARGIN], buffer[MARGIN + size :])]
        return bool(self.xp.isnan(self.xp.concatenate(margins)).all())

    def numpy(self, array):
        return array if self.xp is np else self.xp.asnumpy(array)


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    wanted = request.config.getoption("--device")
    if wanted not in (None, request.param):
        pytest.skip(f"--device {wanted}")
    if request.param == "cpu":
        if load("cpu")[0] is None:
            pytest.skip(load("cpu")[1])
    elif gpu() is None:
        (pytest.fail if wanted else pytest.skip)("no GPU, no CuPy, or the CUDA kernels are not built")
    with kernels.checks() if request.param == "cpu" else contextlib.nullcontext():
        yield Device(request.param)


@pytest.fixture
def emulated():
    """Skips without the CPU kernels; the checks are on."""
    if load("cpu")[0] is None:
        pytest.skip(load("cpu")[1])
    with kernels.checks():
        yield
