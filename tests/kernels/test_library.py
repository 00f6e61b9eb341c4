"""Finding the compiled modules, and saying what is missing."""

import subprocess
import sys

import numpy as np
import pytest

from minidiff import kernels
from minidiff.engine.registry import Unsupported
from minidiff.kernels.cuda import library
from minidiff.kernels.cuda.library import float32, load, native


def test_the_cpu_module_contains_no_sanitizer(emulated):
    """The hooks are our own (csrc/emulator/hooks.cpp); an undefined one would need libtsan."""
    listed = subprocess.run(["nm", "-D", "--undefined-only", load("cpu")[0].__file__], capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("nm is not installed")
    assert "malloc" in listed.stdout or "operator new" in listed.stdout or "_Znw" in listed.stdout  # it does list symbols
    assert not [line for line in listed.stdout.splitlines() if "tsan" in line or "ubsan" in line or "asan" in line]


def test_the_cuda_module_imports_without_a_driver_and_says_so():
    cuda, reason = load("cuda")
    if cuda is None:
        pytest.skip(reason)
    count, driver, toolkit = cuda.devices()
    assert toolkit >= 11000 and count >= 0
    if driver == 0:
        assert count == 0 and any("no NVIDIA driver" in line for line in kernels.status())


def test_a_launch_without_a_gpu_names_the_kernel():
    cuda, reason = load("cuda")
    if cuda is None or cuda.devices()[0]:
        pytest.skip(reason or "there is a GPU")

    class NoArray:
        __cuda_array_interface__ = {"typestr": "<f4", "shape": (1, 1, 1, 1), "data": (256, False), "version": 3}

    sizes = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1)
    with pytest.raises(RuntimeError, match="conv2d_tiled: CUDA: no usable NVIDIA driver or GPU on this machine"):
        cuda.conv2d("tiled", sizes, NoArray(), NoArray(), None, NoArray(), 0, 1, None, 0)
    with pytest.raises(TypeError, match="wanted an array of CuPy, got numpy.ndarray"):
        cuda.conv2d("tiled", sizes, np.zeros((1, 1, 1, 1), np.float32), NoArray(), None, NoArray(), 0, 1, None, 0)


def test_status_of_what_is_missing(monkeypatch):
    def nothing(device):
        return None, f"the {device} kernels are not built"

    monkeypatch.setattr(library, "load", nothing)
    assert kernels.status() == [
        "kernels on CPU (emulated, for tests and debuggers): the cpu kernels are not built",
        "kernels on GPU: the cuda kernels are not built",
    ]
    with pytest.raises(Unsupported, match="the cpu kernels are not built"):
        native(np.zeros(1, np.float32))
    with pytest.raises(RuntimeError, match="kernels.checks: the cpu kernels are not built"), kernels.checks():
        pass


@pytest.mark.parametrize("found, message", [
    ((0, 0, 13000), "no NVIDIA driver on this machine"),
    ((1, 12080, 13000), "the NVIDIA driver supports CUDA 12.8 only"),
    ((0, 13000, 13000), "driver for CUDA 13.0, no GPU: they cannot run here"),
    ((1, 13020, 13000), "driver for CUDA 13.2, 1 GPU"),
    ((2, 13020, 13000), "driver for CUDA 13.2, 2 GPUs"),
])  # fmt: skip
def test_status_of_a_gpu(monkeypatch, found, message):
    class Cuda:
        architectures = "75 90"

        @staticmethod
        def devices():
            return found

    monkeypatch.setattr(library, "load", lambda device: (Cuda, ""))
    lines = kernels.status()
    assert lines[1] == "kernels on GPU: built with CUDA 13.0 for compute capabilities 7.5, 9.0 and newer"
    assert message in lines[2]


def test_load_says_how_to_build():
    code = "import sys; sys.modules['minidiff._kernels_cpu'] = None; from minidiff.kernels.cuda.library import load; print(load('cpu')[1])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "the cpu kernels are not built" in said and "MINIDIFF_KERNELS=cpu pip install ." in said


def test_arrays_that_kernels_do_not_take():
    with pytest.raises(Unsupported, match="x is int32, the kernels compute in float32"):
        float32(x=np.zeros(3, np.int32))
    huge = np.broadcast_to(np.float32(0), (2**16, 2**15))
    with pytest.raises(Unsupported, match=r"x has 2147483648 elements, the kernels count to 2\^31"):
        float32(x=huge)


def test_a_foreign_array_library_is_refused(strict):
    from minidiff.engine.backend import to_device

    with pytest.raises(Unsupported, match="kernels take arrays of NumPy or CuPy, not of"):
        native(to_device(np.zeros(2, np.float32), "strict"))


def test_checks_switch_on_and_off(emulated):
    module = load("cpu")[0]
    with kernels.checks(False):
        assert module.set_checking(False) is False
        with kernels.checks():
            assert module.set_checking(True) is True
    assert module.set_checking(True) is True


def test_the_arrays_of_a_call_are_forgotten_when_it_ends_however_it_ends(emulated):
    module = load("cpu")[0]
    x, mean = np.ones((1, 2, 4), np.float32), np.ones((1, 1), np.float32)
    arguments = ["fast", x, 1, None, None, 1e-5, False, np.ones_like(x), mean, np.ones_like(mean), 0]
    module.group_norm_forward(*arguments)
    assert module.allowed_arrays() == 0
    for wrong, value in ((8, mean.astype(float)), (9, np.ones((3, 3), np.float32)), (3, "a word")):  # while converting, in the call, both
        with pytest.raises((TypeError, ValueError)):
            module.group_norm_forward(*[value if n == wrong else a for n, a in enumerate(arguments)])
        assert module.allowed_arrays() == 0


def test_one_array_given_twice_stays_until_the_call_ends(emulated):
    module = load("cpu")[0]
    q = np.ones((1, 1, 4, 8), np.float32)
    module.attention_forward("naive", q, q, q, None, False, 1.0, np.empty_like(q), np.empty((1, 1, 4), np.float32), "auto", 0)
    assert module.allowed_arrays() == 0


def test_checks_keep_the_limits_of_the_gpu_that_is_named(emulated):
    module = load("cpu")[0]
    with kernels.checks(capability="7.5"):
        assert module.gpu() == 75
    assert module.gpu() == 90
    for wrong in ("7", "9.9", "Hopper", ""):
        with pytest.raises(ValueError, match="capability must be one whose limits are known here, such as .*, got"):
            with kernels.checks(capability=wrong):
                pass


def test_the_binding_checks_a_plan_against_the_limits_of_a_grid(emulated):
    module = load("cpu")[0]
    sizes = (1, 4, 4, 4, 4, 1, 1, 4, 4, 1, 1, 0, 0, 1, 1, 4)
    x, weight = np.ones((1, 4, 4, 4), np.float32), np.ones((4, 1, 1, 1), np.float32)
    with pytest.raises(ValueError, match="groups x stride classes x splits must be at most 65535, got 65536"):
        module.conv2d("fast", sizes, x, weight, None, np.empty_like(x), 4, 16384, np.empty(16384 * x.size, np.float32), 0)
    with pytest.raises(ValueError, match="this tile, or more than one split, needs an array parts"):
        module.conv2d_weight_gradient("fast", sizes, x, x, weight, False, 4, 2, None, 0)
    strided = (1, 1, 4, 4, 1, 1, 1, 2, 2, 2, 2, 0, 0, 1, 1, 1)
    dy, dx = np.ones((1, 1, 2, 2), np.float32), np.empty((1, 1, 4, 4), np.float32)
    with pytest.raises(ValueError, match="at most 65535, got 65536"):
        module.conv2d_input_gradient("fast", strided, dy, weight[:1], None, dx, 4, 16384, np.empty(16384 * 16, np.float32), 0)
